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

/** So deep identities are compared. */
const MAX_IDENTITY_DEPTH = 10;
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
  readonly #callers = new WeakMap<Peer, unknown>();
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
   * @throws {RpcError} `resource_exhausted` when too many keys are kept, of all callers or of this one, `permission_denied` when
   * the key is somebody else's
   */
  run(call: Call, windowMs: number, execute: (context: Context) => unknown): Promise<Reply> {
    const { clock } = this.#timers;
    const context = call.context as Context;
    const key = keyOf(call);
    const known = this.#book.find(key, clock.now());
    if (known !== undefined) return this.#repeat(call, known, context.peer);
    const caller = this.#callerOf(context.peer);
    const kept = this.#book.begin(key, caller, clock.now());
    if (kept === undefined) {
      throw new RpcError(
        "resource_exhausted",
        `Cannot take a call of "${call.procedure}": ${this.#book.keys} keys are kept, ` +
          `${this.#book.keysOf(caller)} of them this caller's (the server's limits.dedupeKeys)`,
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

  #callerOf(peer: Peer): unknown {
    let caller = this.#callers.get(peer);
    if (caller === undefined) this.#callers.set(peer, caller = callerOf(peer));
    return caller;
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
      over(keepFailure(call, error), again);
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
    if (result.kind === "failure") throw failureOf(result);
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
  const encoded = encode(codec, message);
  if (encoded === undefined) return { kind: "failure", error: unencodable(codec) };
  return {
    kind: "reply",
    codec,
    message: encoded,
    metadata: responseMetadata.size === 0 ? undefined : new Metadata(responseMetadata),
    trailers: trailers.size === 0 ? undefined : new Metadata(trailers),
  };
}

/** A failure likewise. What led to it stays with the first who is told. */
function keepFailure(
  call: Call,
  { code, message, executed, reason, details, metadata, retryAfterMs }: RpcError,
): Result {
  const kept = metadata === undefined ? undefined : new Metadata(metadata);
  const error = new RpcError(code, message, { executed, reason, metadata: kept, retryAfterMs });
  if (details === undefined) return { kind: "failure", error };
  const codec = call.codec as Codec;
  const encoded = encode(codec, details);
  if (encoded === undefined) return { kind: "failure", error: unencodable(codec) };
  return { kind: "failure", error, details: { codec, message: encoded } };
}

/** The failure that was kept, for one who comes again. */
function failureOf({ error, details }: Result & { readonly kind: "failure" }): RpcError {
  const { code, message, executed, reason, metadata, retryAfterMs } = error;
  const said = details?.codec.decode(details.message.slice());
  return new RpcError(code, message, { executed, reason, details: said, metadata, retryAfterMs });
}

/** A message in bytes of its own, or `undefined` when it has no form in that codec. */
function encode(codec: Codec, message: unknown): Uint8Array | undefined {
  try {
    const encoded = codec.encode(message);
    return typeof encoded === "string" ? new TextEncoder().encode(encoded) : encoded.slice();
  } catch {
    return undefined;
  }
}

/** Whoever sends the reply finds the same, and says more about it. */
function unencodable(codec: Codec): RpcError {
  return new RpcError("internal", `Cannot encode the reply as ${codec.name}`, { executed: "yes" });
}

/**
 * What the callers are told apart by who share the room: as for admission, but what is kept outlives connections. So it is the same
 * for the next connection with an identity that says the same, and for those of one machine that say nothing of themselves.
 */
function callerOf({ identity, instance, endpoint }: Peer): unknown {
  if (identity !== undefined) {
    const isOpaque = typeof identity !== "object" || identity === null;
    return isOpaque ? identity : textOf(identity) ?? identity;
  }
  return instance !== "" ? `instance ${instance}` : `host ${endpoint.replace(/:\d+$/, "")}`;
}

/** What an identity says, if it says anything. */
function textOf(identity: object): string | undefined {
  try {
    const text = JSON.stringify(identity);
    return text === "{}" ? undefined : text;
  } catch {
    return undefined;
  }
}

/** Whether two connections are of one caller. */
function isSame(one: Peer, other: Peer): boolean {
  // What authenticates makes a new object for each connection.
  return one.instance === other.instance && isSameValue(one.identity, other.identity, MAX_IDENTITY_DEPTH);
}

/** Whether two identities say the same. Of what keeps to itself what it says, such as a `Map`, nobody can tell: no. */
function isSameValue(one: unknown, other: unknown, depth: number): boolean {
  if (Object.is(one, other)) return true;
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null || depth === 0) {
    return false;
  }
  const prototype: unknown = Object.getPrototypeOf(one);
  if (prototype !== Object.getPrototypeOf(other)) return false;
  const keys = Object.keys(one);
  const isPlain = prototype === Object.prototype || prototype === Array.prototype || prototype === null;
  if (keys.length === 0 && !isPlain || keys.length !== Object.keys(other).length) return false;
  return keys.every((key) =>
    Object.hasOwn(other, key) &&
    isSameValue((one as Record<string, unknown>)[key], (other as Record<string, unknown>)[key], depth - 1)
  );
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
