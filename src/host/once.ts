/** Runs a call once, however often it comes. */
import { type Call, type Context, type Peer, Reply } from "../core/call.ts";
import type { Codec } from "../core/codec.ts";
import type { Code } from "../core/code.ts";
import type { Criticality } from "../core/criticality.ts";
import { HANDLER_FAILED, RpcError } from "../core/error.ts";
import { Metadata } from "../core/metadata.ts";
import type { Timers } from "../core/timers.ts";
import type { TraceContext } from "../core/trace_context.ts";
import { IncomingCall } from "../connection/incoming_call.ts";
import { type Kept, type Result, ResultBook } from "./result_book.ts";

/** After these a caller would try again, and hear the same. */
const TEMPTING: ReadonlySet<Code> = new Set(["unavailable", "resource_exhausted"]);

/** What a call of a key that runs is, to those who come after it. */
interface Running {
  readonly owner: Peer;
  readonly context: OwnContext;
  readonly result: Promise<Result>;
}

/** Runs calls once. */
export class Once {
  readonly #book: ResultBook<Running>;
  readonly #owners = new WeakMap<Kept<Running>, Peer>();
  readonly #running = new Set<OwnContext>();
  readonly #onEnded: (() => void)[] = [];
  readonly #timers: Timers;
  readonly #onRepeat: () => void;

  /** @param onRepeat told of each call that did not run because another of its key has, or does */
  constructor(limits: { dedupeKeys: number; dedupeBytes: number }, timers: Timers, onRepeat: () => void) {
    this.#book = new ResultBook(limits.dedupeKeys, limits.dedupeBytes);
    this.#timers = timers;
    this.#onRepeat = onRepeat;
  }

  /** How many keys are kept. */
  get keys(): number {
    return this.#book.keys;
  }

  /** How many bytes their results take. */
  get bytes(): number {
    return this.#book.bytes;
  }

  /**
   * Runs a call, or gives what became of it before.
   * @param execute runs the handler with the context that it is given
   * @throws {RpcError} `resource_exhausted` when too many keys are kept, `permission_denied` when the key is somebody else's
   */
  run(call: Call, windowMs: number, execute: (context: Context) => unknown): Promise<Reply> {
    const { clock } = this.#timers;
    const context = call.context as Context;
    const key = keyOf(call);
    const known = this.#book.find(key, clock.now());
    if (known !== undefined) return this.#repeat(call, known, context.peer);
    const kept = this.#book.begin(key, clock.now());
    if (kept === undefined) {
      throw new RpcError(
        "resource_exhausted",
        `Cannot take a call of "${call.procedure}": ${this.#book.keys} keys are kept (the server's limits.dedupeKeys)`,
        { executed: "no", retryAfterMs: Math.min(this.#book.roomInMs(clock.now()), 1_000) },
      );
    }
    this.#owners.set(kept, context.peer);
    return this.#execute(call, kept, windowMs, execute);
  }

  /** How many handlers run whose connection is lost. */
  get orphans(): number {
    let count = 0;
    for (const context of this.#running) if (context.isOrphan) count++;
    return count;
  }

  /** Resolves when no handler runs. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await new Promise<void>((resolve) => this.#onEnded.push(resolve));
  }

  /** Nobody can come again: handlers that outlived their connection are aborted. */
  close(): void {
    for (const context of this.#running) context.abort(new RpcError("cancelled", "The server was closed"));
  }

  #execute(
    call: Call,
    kept: Kept<Running>,
    windowMs: number,
    execute: (context: Context) => unknown,
  ): Promise<Reply> {
    const context = new OwnContext(call.context as Context, this.#timers);
    this.#running.add(context);
    const { promise: result, resolve } = Promise.withResolvers<Result>();
    kept.running = { owner: context.peer, context, result };
    const over = (result: Result, again: boolean) => {
      context.end();
      this.#running.delete(context);
      for (const wake of this.#onEnded.splice(0)) wake();
      if (again) this.#book.release(kept);
      else this.#book.end(kept, result, windowMs, this.#timers.clock.now());
      resolve(result);
    };
    const failed = (thrown: unknown): never => {
      const again = saysNothingRan(thrown);
      const error = thrown instanceof RpcError
        ? again ? thrown : final(thrown)
        : new RpcError("internal", HANDLER_FAILED, { executed: "yes" });
      over({ kind: "failure", error }, again);
      throw thrown instanceof RpcError ? error : thrown;
    };
    const answered = (message: unknown): Reply => {
      over(keep(call, message, context), false);
      return new Reply({ message });
    };
    try {
      const answer = execute(context);
      return answer instanceof Promise ? answer.then(answered, failed) : Promise.resolve(answered(answer));
    } catch (error) {
      return Promise.reject(error).catch(failed);
    }
  }

  async #repeat(call: Call, kept: Kept<Running>, peer: Peer): Promise<Reply> {
    if (!isSame(this.#owners.get(kept)!, peer)) {
      throw new RpcError("permission_denied", `The key of this call of "${call.procedure}" is another caller's`, {
        executed: "no",
        retryAfterMs: -1,
      });
    }
    this.#onRepeat();
    const result = kept.running === undefined ? kept.result : await kept.running.result;
    if (result === undefined) {
      throw new RpcError(
        "resource_exhausted",
        `"${call.procedure}" has run, and what came of it is no longer kept (the server's limits.dedupeBytes)`,
        { executed: "yes", retryAfterMs: -1 },
      );
    }
    if (result.kind === "failure") throw result.error;
    const { codec, message, metadata, trailers } = result;
    // A codec may give back the very bytes that it was given.
    return new Reply({ message: codec.decode(message.slice()), metadata, trailers });
  }
}

/**
 * Whether a handler says by its failure that it has done nothing, and may be run again. What a client's call failed with says it of
 * that call alone: who knows what the handler did before it made it.
 */
function saysNothingRan(thrown: unknown): boolean {
  return thrown instanceof RpcError && thrown.executed === "no" && thrown.explain === undefined;
}

/** A failure that will not change. */
function final(error: RpcError): RpcError {
  const { code, message, reason, details, metadata, cause, retryAfterMs } = error;
  const told = TEMPTING.has(code) ? -1 : retryAfterMs;
  return new RpcError(code, message, { executed: "yes", reason, details, metadata, cause, retryAfterMs: told });
}

function keyOf({ procedure, dedupe }: Call): string {
  return `${procedure} ${String.fromCharCode(...dedupe!.bytes)}`;
}

/** A reply as it can be given again: encoded, so that nothing the handler does to it later shows. */
function keep(call: Call, message: unknown, { responseMetadata, trailers }: Context): Result {
  const codec = call.codec as Codec;
  let encoded: Uint8Array | string;
  try {
    encoded = codec.encode(message);
  } catch {
    // Whoever sends the reply finds the same, and says more about it.
    const error = new RpcError("internal", `Cannot encode the reply as ${codec.name}`, { executed: "yes" });
    return { kind: "failure", error };
  }
  return {
    kind: "reply",
    codec,
    message: typeof encoded === "string" ? new TextEncoder().encode(encoded) : encoded.slice(),
    metadata: responseMetadata.size === 0 ? undefined : new Metadata(responseMetadata),
    trailers: trailers.size === 0 ? undefined : new Metadata(trailers),
  };
}

/** Whether two connections are of one caller. */
function isSame(one: Peer, other: Peer): boolean {
  if (one.instance !== other.instance) return false;
  if (Object.is(one.identity, other.identity)) return true;
  try {
    // What authenticates makes a new object for each connection.
    return JSON.stringify(one.identity) === JSON.stringify(other.identity);
  } catch {
    return false;
  }
}

/**
 * The context of a handler that outlives its connection: its caller may come again by another one. It is aborted when the
 * caller cancels, when the deadline passes, and when the server closes.
 */
class OwnContext implements Context {
  readonly procedure: string;
  readonly metadata: Metadata;
  readonly responseMetadata: Metadata;
  readonly trailers: Metadata;
  readonly peer: Peer;
  readonly attempt: number;
  readonly hop: number;
  readonly criticality: Criticality;
  trace: TraceContext | undefined;
  readonly #outer: Context;
  readonly #controller = new AbortController();
  readonly #timer: Disposable | undefined;

  constructor(outer: Context, timers: Timers) {
    this.procedure = outer.procedure;
    this.metadata = outer.metadata;
    this.responseMetadata = outer.responseMetadata;
    this.trailers = outer.trailers;
    this.peer = outer.peer;
    this.attempt = outer.attempt;
    this.hop = outer.hop;
    this.criticality = outer.criticality;
    this.trace = outer.trace;
    this.#outer = outer;
    const leftMs = outer.remainingMs();
    if (leftMs !== Infinity) {
      const late = () => this.abort(new RpcError("deadline_exceeded", "The deadline passed before the handler ended"));
      this.#timer = timers.after(leftMs, late);
    }
    outer.signal.addEventListener("abort", this);
    if (outer.signal.aborted) this.handleEvent();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Whether the connection that its call came by is lost. */
  get isOrphan(): boolean {
    return this.#outer instanceof IncomingCall && this.#outer.lost;
  }

  remainingMs(): number {
    return this.#outer.remainingMs();
  }

  abort(reason: RpcError): void {
    this.#controller.abort(reason);
  }

  /** The call is over for the one who made it. */
  handleEvent(): void {
    if (this.isOrphan) return;
    this.#controller.abort(this.#outer.signal.reason);
  }

  /** The handler has ended. */
  end(): void {
    this.#timer?.[Symbol.dispose]();
    this.#outer.signal.removeEventListener("abort", this);
  }
}
