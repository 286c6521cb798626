/** What clients do: calls of every kind, with deadlines, cancellations, slow readers and errors, drawn from the seed. */
import { type CallOptions, type Client, type Context, RpcError } from "../../../mod.ts";
import type { Code } from "../../../src/core/code.ts";
import type { Config } from "../config.ts";
import { Dice } from "../dice.ts";
import type { Happening, Recorder, Settled } from "../history.ts";
import { isPiece, metadataOf, type Piece, pieceOf, RUN, type Wish, Work } from "./service.ts";

/** One call, as it was drawn. */
export interface Op {
  readonly id: string;
  /** When it begins. */
  readonly at: number;
  readonly method: keyof typeof Work.methods;
  readonly wish: Wish;
  /** How many requests it sends, how large they are, and how long it waits before each further one. */
  readonly requests: { readonly count: number; readonly bytes: number; readonly paceMs: number };
  /** How long it waits after each reply. */
  readonly readMs: number;
  readonly timeoutMs?: number;
  /** When it is taken back, after it began. */
  readonly cancelMs?: number;
  /** After how many replies it is left. */
  readonly leaveAfter?: number;
  readonly retry: boolean;
  readonly waitForReady: boolean;
  readonly hashKey: string;
  /** Whether it must be answered. */
  readonly must?: boolean;
}

const FAILURES: readonly Code[] = ["not_found", "aborted", "unavailable", "permission_denied", "data_loss"];

/** The calls of one client. */
export function drawOps(config: Config, client: number): Op[] {
  const { longestMs } = config;
  const ops = Array.from({ length: config.ops }, (_, n) => drawOp(config, client, n)).sort((a, b) => a.at - b.at);
  return longestMs === undefined ? ops : ops.map((op) => shortened(op, longestMs));
}

/** A call that takes no longer than people have the time for. */
function shortened(op: Op, longestMs: number): Op {
  const short = (ms: number | undefined) => Math.min(ms ?? 0, longestMs / 2);
  return {
    ...op,
    timeoutMs: Math.min(op.timeoutMs ?? Infinity, longestMs),
    wish: { ...op.wish, delayMs: short(op.wish.delayMs), paceMs: short(op.wish.paceMs) / 10 },
    requests: { ...op.requests, paceMs: short(op.requests.paceMs) / 10 },
    readMs: short(op.readMs) / 10,
  };
}

function drawOp(config: Config, client: number, n: number): Op {
  const dice = Dice.for(config.seed, "op", client, n);
  const { habits } = config;
  const method = dice.pick(habits.methods);
  const large = dice.chance(habits.large);
  const bytes = () => dice.magnitude(0, large ? config.messageBytes : 300);
  const many = () => dice.magnitude(0, large ? 12 : 25);
  const pace = () => dice.chance(0.5) ? 0 : dice.around(dice.pick([2, 50, 300]));
  const delayMs = dice.chance(0.5) ? 0 : dice.around(dice.pick([5, 100, 1_500]));
  const fail = dice.chance(0.1) ? dice.pick(FAILURES) : undefined;
  const patient = dice.chance(habits.patient);
  const streams = method !== "note" && Work.methods[method].kind !== "unary";
  const timeoutMs = patient ? undefined : Math.ceil(dice.around(dice.pick([30, 500, 3_000, 20_000])));
  const cancelMs = dice.chance(habits.cancels) ? dice.around(dice.pick([0, 5, 100, 2_000])) : undefined;
  const held = dice.chance(0.05) && (timeoutMs !== undefined || cancelMs !== undefined || !streams);
  return {
    id: `c${client}.${n}`,
    at: dice.chance(0.5) ? dice.around(config.safetyMs / 6) : dice.between(0, config.safetyMs),
    method,
    wish: {
      delayMs: Math.round(held ? 3_600_000 : delayMs),
      stubborn: !held && dice.chance(0.1),
      count: many(),
      bytes: bytes(),
      paceMs: Math.round(pace()),
      fail,
      enough: dice.chance(0.1) ? dice.between(1, 5) : undefined,
      hops: !streams && dice.chance(0.2) ? dice.between(1, 3) : undefined,
    },
    requests: { count: streams ? many() : 1, bytes: bytes(), paceMs: pace() },
    readMs: pace(),
    timeoutMs,
    cancelMs,
    leaveAfter: dice.chance(habits.leaves) ? dice.between(0, 6) : undefined,
    retry: dice.chance(0.9),
    waitForReady: dice.chance(0.3),
    hashKey: `key ${dice.between(1, 5)}`,
  };
}

/** A call that must be answered, made when nothing stands in its way. */
export function probe(id: string, method: Op["method"] = "again"): Op {
  return {
    id,
    at: 0,
    method,
    wish: { count: 5, bytes: 100 },
    requests: { count: 5, bytes: 100, paceMs: 0 },
    readMs: 0,
    timeoutMs: 60_000,
    retry: true,
    waitForReady: true,
    hashKey: id,
    must: true,
  };
}

/** A call whose replies are left when the first is read and the others have come. */
export function leaving(id: string): Op {
  return { ...probe(id, "down"), wish: { count: 5, bytes: 1_500 }, readMs: 100, leaveAfter: 1, must: false };
}

/** What calls need of the node that they are made on. */
export interface CallerHost {
  readonly record: Recorder;
  /** The time that records have. */
  now(): number;
  readonly client: Client;
  readonly config: Config;
  /** Resolves after a while. */
  sleep(ms: number): Promise<void>;
}

/** Makes a call, and puts down how it went. It never rejects. */
export async function runOp(host: CallerHost, op: Op): Promise<void> {
  const { record } = host;
  const caller = new Caller(host, op);
  const cancel = new AbortController();
  caller.begin();
  let over = false;
  if (op.cancelMs !== undefined) {
    void host.sleep(op.cancelMs).then(() => {
      if (over) return;
      record({ what: "cancel", id: op.id, how: "signal" });
      cancel.abort();
    });
  }
  await caller.run(cancel.signal);
  over = true;
}

/** Makes a call on behalf of another one, as handlers do. @throws {RpcError} as the call ends */
export async function runNested(
  host: CallerHost,
  id: string,
  wish: Wish,
  parent: Context,
  parentId: string,
): Promise<void> {
  const method = (wish.hops ?? 0) % 2 === 0 ? "again" : "once";
  const op = { ...probe(id, method), wish, must: undefined, waitForReady: false, timeoutMs: undefined };
  const caller = new Caller(host, op, { parent, parentId });
  caller.begin();
  const error = await caller.run(undefined);
  if (error !== undefined) throw error;
}

/** One call on its way. */
class Caller {
  readonly #host: CallerHost;
  readonly #op: Op;
  readonly #on: { parent: Context; parentId: string } | undefined;
  #seq = 0;

  constructor(host: CallerHost, op: Op, on?: { parent: Context; parentId: string }) {
    this.#host = host;
    this.#op = op;
    this.#on = on;
  }

  begin(): void {
    const { method, timeoutMs, wish, requests, must, retry } = this.#op;
    const { config } = this.#host;
    const streams = method !== "note" && Work.methods[method].kind !== "unary";
    const parentMs = this.#on?.parent.remainingMs() ?? Infinity;
    const limitMs = Math.min(
      timeoutMs ?? (streams && method !== "up" ? Infinity : streams ? Infinity : 10_000),
      parentMs,
    );
    const { client, server } = config.limits;
    const maxMessageBytes = Math.min(client.maxMessageBytes ?? 4_194_304, server.maxMessageBytes ?? 4_194_304);
    const messageBytes = Math.max(requests.bytes, wish.bytes ?? 0);
    const idempotent = Work.methods[method].idempotent;
    const attempts = config.retry === false || !retry ? 1 : config.retry.maxAttempts ?? 3;
    const hedges = config.hedge !== undefined && method === "again" ? (config.hedge.maxInFlight ?? 2) - 1 : 0;
    this.#put({
      what: "call",
      id: this.#op.id,
      method,
      idempotent,
      replayed: config.retry !== false && retry,
      ...(limitMs === Infinity ? {} : { timeoutMs: limitMs }),
      maxAttempts: idempotent ? attempts + hedges : 1,
      ...(wish.fail === undefined ? {} : { fail: wish.fail }),
      messageBytes,
      ...(this.#on === undefined ? {} : { parent: this.#on.parentId }),
      ...(must ? { must } : {}),
      full: (client.maxQueuedCalls ?? 1_024) < 100 || messageBytes + 1_000 > maxMessageBytes,
    });
  }

  /** Gives the error that the call ended with. */
  async run(signal: AbortSignal | undefined): Promise<unknown> {
    const { id, wish, method, timeoutMs, retry, waitForReady, hashKey } = this.#op;
    const runs: (string | undefined)[] = [];
    const options: CallOptions = {
      metadata: metadataOf(id, wish),
      timeoutMs,
      signal,
      retry,
      waitForReady,
      hashKey,
      parent: this.#on?.parent,
      onMetadata: (metadata) => void runs.push(metadata.text(RUN)),
      onTrailers: (trailers) => void runs.push(trailers.text(RUN)),
    };
    try {
      const outcome = await this.#make(method, options);
      if (
        outcome === "ok" && method !== "note" && (runs.length !== 2 || runs[0] !== runs[1] || runs[0] === undefined)
      ) {
        throw new Error(`The metadata came from run ${runs[0]}, the trailers from run ${runs[1]}`);
      }
      this.#settled({ outcome });
      return undefined;
    } catch (error) {
      if (error instanceof RpcError) {
        const { code, executed, message } = error;
        this.#settled({ outcome: code, executed, message });
      } else this.#settled({ outcome: "unknown", message: String((error as Error)?.stack ?? error) });
      return error;
    }
  }

  #settled(how: Pick<Settled, "outcome" | "executed" | "message">): void {
    const [count, askedAt] = [this.#count, this.#askedAt];
    this.#put({
      what: "settled",
      id: this.#op.id,
      ...how,
      ...(count === undefined ? {} : { count }),
      ...(askedAt === undefined ? {} : { askedAt }),
    });
  }

  #count: number | undefined;
  #askedAt: number | undefined;

  async #make(method: Op["method"], options: CallOptions): Promise<"ok" | "left"> {
    const { client } = this.#host;
    const work = client.service(Work);
    const { id, requests } = this.#op;
    const request = pieceOf(id, 0, requests.bytes);
    switch (method) {
      case "note":
        await work.note(request, options);
        return "ok";
      case "once":
      case "again":
      case "keep":
        this.#got(await work[method](request, options));
        return "ok";
      case "up": {
        const { id: answered, count } = await work.up(this.#requests(), options);
        if (answered !== id) throw new Error(`The answer of ${answered} came to ${id}`);
        this.#count = count;
        return "ok";
      }
      case "down":
      case "downAgain":
        return await this.#read(work[method](request, options));
      case "both":
        return await this.#read(work.both(this.#requests(), options));
    }
  }

  async #read(replies: AsyncIterableIterator<Piece>): Promise<"ok" | "left"> {
    const { id, readMs, leaveAfter = Infinity } = this.#op;
    for (let read = 0;; read++) {
      if (read >= leaveAfter) {
        this.#put({ what: "cancel", id, how: "leave" });
        await replies.return?.();
        // Whoever has left is told nothing more.
        const { done, value } = await replies.next();
        if (!done) this.#got(value);
        return "left";
      }
      this.#askedAt = this.#host.now();
      const { done, value } = await replies.next();
      if (done) break;
      this.#got(value);
      if (readMs > 0) await this.#host.sleep(readMs);
    }
    const { done, value } = await replies.next();
    if (!done) this.#got(value);
    return "ok";
  }

  #got(piece: Piece): void {
    const good = isPiece(piece, this.#op.id, this.#seq++);
    this.#put({ what: "item", id: this.#op.id, seq: piece.seq, good, bytes: piece.text.length });
  }

  /** The requests: one by one with a pause between them, or as fast as they are taken. */
  #requests(): AsyncGenerator<Piece> | Generator<Piece> {
    return this.#op.requests.paceMs > 0 ? this.#paced() : this.#atOnce();
  }

  async *#paced(): AsyncGenerator<Piece> {
    const { id, requests: { count, paceMs } } = this.#op;
    for (let seq = 0; seq < count; seq++) {
      if (seq > 0) await this.#host.sleep(paceMs);
      yield this.#request(seq);
    }
    this.#put({ what: "sent all", id });
  }

  *#atOnce(): Generator<Piece> {
    const { id, requests: { count } } = this.#op;
    for (let seq = 0; seq < count; seq++) yield this.#request(seq);
    this.#put({ what: "sent all", id });
  }

  #request(seq: number): Piece {
    const { id, requests: { bytes } } = this.#op;
    this.#put({ what: "sent", id, seq, bytes });
    return pieceOf(id, seq, bytes);
  }

  #put(happening: Happening): void {
    this.#host.record(happening);
  }
}
