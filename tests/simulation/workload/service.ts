/** The service that the workload calls, and its handlers, which put down all that they do. */
import type { Code } from "../../../src/core/code.ts";
import { type Context, Metadata, RpcError } from "../../../mod.ts";
import { bidi, clientStream, type Implementation, oneway, serverStream, service, unary } from "../../../mod.ts";
import type { Recorder } from "../history.ts";

/** One message. Its text follows from the others, so that whoever gets it can tell whether it is what was sent. */
export interface Piece {
  readonly id: string;
  readonly seq: number;
  readonly text: string;
}

/** What a handler is asked to do; travels as metadata. */
export interface Wish {
  /** How long it takes before it answers. */
  readonly delayMs?: number;
  /** Whether it takes that long also when its signal aborts. */
  readonly stubborn?: boolean;
  /** How many replies it gives. */
  readonly count?: number;
  /** How many bytes of text each reply has. */
  readonly bytes?: number;
  /** How long it waits before each further reply, or after each request. */
  readonly paceMs?: number;
  /** What it fails with when it is done. */
  readonly fail?: Code;
  /** After how many requests it has enough. */
  readonly enough?: number;
  /** How many more calls it makes, one from another, before it answers. */
  readonly hops?: number;
}

export const Work = service("sim.Work", {
  once: unary<Piece, Piece>(),
  again: unary<Piece, Piece>({ idempotent: true }),
  /** Not idempotent, and tried again all the same. */
  keep: unary<Piece, Piece>({ dedupe: { windowMs: 120_000 } }),
  note: oneway<Piece>(),
  down: serverStream<Piece, Piece>(),
  downAgain: serverStream<Piece, Piece>({ idempotent: true }),
  up: clientStream<Piece, { id: string; count: number }>(),
  both: bidi<Piece, Piece>(),
});

/** The metadata that names a call. */
export const ID = "x-call";
/** The metadata that holds its wish. */
export const WISH = "x-wish";
/** The metadata that goes back before the first reply and behind the last. */
export const RUN = "x-run";

/** The text of a message. */
export function textOf(id: string, seq: number, bytes: number): string {
  const unit = `${id}#${seq};`;
  return unit.repeat(Math.ceil(bytes / unit.length)).slice(0, bytes);
}

/** A message. */
export function pieceOf(id: string, seq: number, bytes: number): Piece {
  return { id, seq, text: textOf(id, seq, bytes) };
}

/** Whether a message is the one that was sent for this call with this number. */
export function isPiece(piece: Piece, id: string, seq: number): boolean {
  return piece.id === id && piece.seq === seq && piece.text === textOf(id, seq, piece.text.length);
}

/** What handlers need of the node that they are on. */
export interface HandlerHost {
  readonly record: Recorder;
  /** A name that no other run of a handler has. */
  nextRun(): string;
  /** A name of the connection that a call came on, and of no other one. */
  connectionOf(ctx: Context): string;
  /** Resolves after a while. */
  sleep(ms: number): Promise<void>;
  /** Makes a call on behalf of another one. */
  callOn(id: string, wish: Wish, parent: Context, parentId: string): Promise<void>;
}

/** One run of a handler. */
class Run {
  readonly id: string;
  readonly wish: Wish;
  readonly name: string;
  readonly #host: HandlerHost;
  readonly #signal: AbortSignal;
  #left = false;

  constructor(host: HandlerHost, ctx: Context) {
    this.#host = host;
    this.id = ctx.metadata.text(ID) ?? "?";
    this.wish = JSON.parse(ctx.metadata.text(WISH) ?? "{}");
    this.name = host.nextRun();
    this.#signal = ctx.signal;
    const remainingMs = ctx.remainingMs();
    host.record({
      what: "enter",
      id: this.id,
      run: this.name,
      connection: host.connectionOf(ctx),
      attempt: ctx.attempt,
      ...(remainingMs === Infinity ? {} : { remainingMs }),
    });
    ctx.signal.addEventListener("abort", () => {
      if (!this.#left) host.record({ what: "aborted", id: this.id, run: this.name });
    });
    ctx.responseMetadata.set(RUN, this.name);
    ctx.trailers.set(RUN, this.name);
  }

  /** Waits, unless the signal aborts: then it fails with what that says, at once or at last. */
  async wait(ms: number): Promise<void> {
    if (ms > 0) {
      if (this.wish.stubborn) await this.#host.sleep(ms);
      else {
        const aborted = Promise.withResolvers<void>();
        const wake = () => aborted.resolve();
        this.#signal.addEventListener("abort", wake);
        if (this.#signal.aborted) wake();
        await Promise.race([this.#host.sleep(ms), aborted.promise]);
        this.#signal.removeEventListener("abort", wake);
      }
    }
    this.#signal.throwIfAborted();
  }

  took(piece: Piece, seq: number): void {
    const good = isPiece(piece, this.id, seq);
    this.#host.record({ what: "took", id: this.id, run: this.name, seq: piece.seq, good, bytes: piece.text.length });
  }

  tookAll(): void {
    this.#host.record({ what: "took all", id: this.id, run: this.name });
  }

  hadEnough(): void {
    this.#host.record({ what: "had enough", id: this.id, run: this.name });
  }

  give(seq: number, bytes: number): Piece {
    this.#host.record({ what: "gave", id: this.id, run: this.name, seq, bytes });
    return pieceOf(this.id, seq, bytes);
  }

  /** Ends as the caller wished. */
  finish(): void {
    const { fail } = this.wish;
    if (fail !== undefined) throw new RpcError(fail, `The caller of ${this.id} wished so`);
  }

  leave(how: "done" | "failed" | "cut"): void {
    if (this.#left) return;
    this.#left = true;
    this.#host.record({ what: "leave", id: this.id, run: this.name, how: this.#signal.aborted ? "cut" : how });
  }
}

/** The handlers of one node. */
export function handlersOf(host: HandlerHost): Implementation<typeof Work> {
  const one = async (request: Piece, ctx: Context): Promise<Piece> => {
    const run = new Run(host, ctx);
    try {
      run.took(request, 0);
      const { delayMs = 0, hops = 0, bytes = 0 } = run.wish;
      if (hops > 0) await host.callOn(`${run.id}>${run.name}`, { ...run.wish, hops: hops - 1 }, ctx, run.id);
      await run.wait(delayMs);
      run.finish();
      run.leave("done");
      return pieceOf(run.id, 0, bytes);
    } catch (error) {
      run.leave("failed");
      throw error;
    }
  };
  const many = async function* (request: Piece, ctx: Context): AsyncGenerator<Piece> {
    const run = new Run(host, ctx);
    try {
      run.took(request, 0);
      const { delayMs = 0, count = 0, bytes = 0, paceMs = 0 } = run.wish;
      await run.wait(delayMs);
      for (let seq = 0; seq < count; seq++) {
        if (seq > 0) await run.wait(paceMs);
        yield run.give(seq, bytes);
      }
      run.finish();
      run.leave("done");
    } catch (error) {
      run.leave("failed");
      throw error;
    } finally {
      run.leave("cut");
    }
  };
  return {
    once: one,
    again: one,
    keep: one,
    note: async (request, ctx) => void await one(request, ctx),
    down: many,
    downAgain: many,
    async up(requests, ctx) {
      const run = new Run(host, ctx);
      try {
        const { enough = Infinity, paceMs = 0, delayMs = 0 } = run.wish;
        let count = 0;
        for await (const piece of requests) {
          run.took(piece, count++);
          if (count >= enough) break;
          await run.wait(paceMs);
        }
        if (count < enough) run.tookAll();
        else run.hadEnough();
        await run.wait(delayMs);
        run.finish();
        run.leave("done");
        return { id: run.id, count };
      } catch (error) {
        run.leave("failed");
        throw error;
      }
    },
    async *both(requests, ctx) {
      const run = new Run(host, ctx);
      try {
        const { enough = Infinity, bytes = 0, paceMs = 0 } = run.wish;
        let count = 0;
        for await (const piece of requests) {
          run.took(piece, count);
          await run.wait(paceMs);
          yield run.give(count++, bytes);
          if (count >= enough) break;
        }
        if (count < enough) run.tookAll();
        else run.hadEnough();
        run.finish();
        run.leave("done");
      } catch (error) {
        run.leave("failed");
        throw error;
      } finally {
        run.leave("cut");
      }
    },
  };
}

/** The metadata of a call. */
export function metadataOf(id: string, wish: Wish): Metadata {
  return new Metadata({ [ID]: id, [WISH]: JSON.stringify(wish) });
}
