/**
 * What became of calls that may come again. Pure book-keeping: it takes `now`, and owns no timer.
 *
 * A key is kept while its call runs and for the window of its method after that; never is one forgotten early, for then its call
 * would run twice. So there is a bound on keys, at which calls with new ones are refused; what gives way when results take too
 * much room is the oldest result, and its key stays.
 */
import type { Codec } from "../core/codec.ts";
import type { RpcError } from "../core/error.ts";
import type { Metadata } from "../core/metadata.ts";

/** How a call ended, in the form in which it can be said again. */
export type Result =
  | {
    readonly kind: "reply";
    readonly codec: Codec;
    readonly message: Uint8Array;
    readonly metadata: Metadata | undefined;
    readonly trailers: Metadata | undefined;
  }
  | {
    readonly kind: "failure";
    /** Without its details and its cause: those may be anything, of any size. */
    readonly error: RpcError;
    readonly details?: { readonly codec: Codec; readonly message: Uint8Array };
  };

/** One key. */
export class Kept<Running> {
  readonly key: string;
  /** What its call gives while it runs. */
  running: Running | undefined;
  /** What its call gave; `undefined` while it runs, and when that is no longer kept. */
  result: Result | undefined;
  bytes = 0;
  expiresAt = Infinity;

  constructor(key: string) {
    this.key = key;
  }
}

/** What one key costs beside its result. */
const KEY_BYTES = 200;

/** What became of calls, by key. */
export class ResultBook<Running> {
  readonly #maxKeys: number;
  readonly #maxBytes: number;
  readonly #kept = new Map<string, Kept<Running>>();
  /** Those that have ended, by the length of their window, the oldest first. */
  readonly #ended = new Map<number, Set<Kept<Running>>>();
  /** Those with a result, the oldest first. */
  readonly #results = new Set<Kept<Running>>();
  #bytes = 0;

  /** @param maxBytes of all results together */
  constructor(maxKeys: number, maxBytes: number) {
    this.#maxKeys = maxKeys;
    this.#maxBytes = maxBytes;
  }

  /** How many keys it keeps. */
  get keys(): number {
    return this.#kept.size;
  }

  /** How much the results take. */
  get bytes(): number {
    return this.#bytes;
  }

  /** What is known of a key. */
  find(key: string, now: number): Kept<Running> | undefined {
    this.#expire(now);
    return this.#kept.get(key);
  }

  /** A new key. `undefined` when there are too many. */
  begin(key: string, now: number): Kept<Running> | undefined {
    this.#expire(now);
    if (this.#kept.size >= this.#maxKeys) return undefined;
    const kept = new Kept<Running>(key);
    this.#kept.set(key, kept);
    return kept;
  }

  /** How long until a key makes room, in milliseconds; `Infinity` when all calls still run. */
  roomInMs(now: number): number {
    let soonest = Infinity;
    for (const ended of this.#ended.values()) {
      for (const { expiresAt } of ended) {
        soonest = Math.min(soonest, expiresAt);
        break;
      }
    }
    return Math.max(0, soonest - now);
  }

  /** Its call has ended. */
  end(kept: Kept<Running>, result: Result, windowMs: number, now: number): void {
    kept.running = undefined;
    kept.result = result;
    kept.bytes = KEY_BYTES + sizeOf(result);
    kept.expiresAt = now + windowMs;
    let ended = this.#ended.get(windowMs);
    if (ended === undefined) this.#ended.set(windowMs, ended = new Set());
    ended.add(kept);
    this.#results.add(kept);
    this.#bytes += kept.bytes;
    for (const oldest of this.#results) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#dropResult(oldest);
    }
  }

  /** Its call may run again. */
  release(kept: Kept<Running>): void {
    this.#kept.delete(kept.key);
  }

  #expire(now: number): void {
    for (const ended of this.#ended.values()) {
      for (const kept of ended) {
        if (kept.expiresAt > now) break;
        ended.delete(kept);
        this.#dropResult(kept);
        this.#kept.delete(kept.key);
      }
    }
  }

  #dropResult(kept: Kept<Running>): void {
    if (!this.#results.delete(kept)) return;
    kept.result = undefined;
    this.#bytes -= kept.bytes;
  }
}

function sizeOf(result: Result): number {
  if (result.kind === "failure") {
    const { error: { message, metadata }, details } = result;
    return 2 * message.length + sizeOfPairs(metadata) + (details?.message.length ?? 0);
  }
  return result.message.length + sizeOfPairs(result.metadata) + sizeOfPairs(result.trailers);
}

function sizeOfPairs(metadata: Metadata | undefined): number {
  let size = 0;
  for (const [key, value] of metadata ?? []) size += key.length + value.length;
  return size;
}
