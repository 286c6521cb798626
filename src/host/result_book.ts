/**
 * What became of calls that may come again. Pure book-keeping: it takes `now`, and owns no timer.
 *
 * A key is kept while its call runs and for the window of its method after that; never is one forgotten early, for then its call
 * would run twice. So there is a bound on keys, at which calls with new ones are refused; what gives way when results take too
 * much room is the oldest result, and its key stays.
 *
 * Of either nobody gets more than he leaves to others (dynamic thresholds, Choudhury and Hahne 1998): one caller alone half of it,
 * two a third each; so whoever comes finds room, and who has much makes do with less as others come. And what one caller does
 * costs no other a result.
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

/** What one caller has in the book. */
class Share<Running> {
  readonly caller: unknown;
  keys = 0;
  bytes = 0;
  /** Those with a result, the oldest first. */
  readonly results = new Set<Kept<Running>>();

  constructor(caller: unknown) {
    this.caller = caller;
  }
}

/** One key. */
export class Kept<Running> {
  readonly key: string;
  /** Belongs to the book. */
  readonly share: Share<Running>;
  /** What its call gives while it runs. */
  running: Running | undefined;
  /** What its call gave; `undefined` while it runs, and when that is no longer kept. */
  result: Result | undefined;
  bytes = 0;
  expiresAt = Infinity;

  constructor(key: string, share: Share<Running>) {
    this.key = key;
    this.share = share;
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
  readonly #shares = new Map<unknown, Share<Running>>();
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

  /** How many keys it keeps of a caller. */
  keysOf(caller: unknown): number {
    return this.#shares.get(caller)?.keys ?? 0;
  }

  /** A new key of a caller. `undefined` when there are too many, or the caller has more than are left. */
  begin(key: string, caller: unknown, now: number): Kept<Running> | undefined {
    this.#expire(now);
    const left = this.#maxKeys - this.#kept.size;
    if (left <= 0 || this.keysOf(caller) > left) return undefined;
    let share = this.#shares.get(caller);
    if (share === undefined) this.#shares.set(caller, share = new Share(caller));
    const kept = new Kept(key, share);
    share.keys++;
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
    const { share } = kept;
    share.results.add(kept);
    this.#add(share, kept.bytes);
    for (const oldest of share.results) {
      if (share.bytes <= this.#maxBytes - this.#bytes) break;
      this.#dropResult(oldest);
    }
  }

  /** Its call may run again. */
  release(kept: Kept<Running>): void {
    const { key, share } = kept;
    this.#kept.delete(key);
    if (--share.keys === 0) this.#shares.delete(share.caller);
  }

  #expire(now: number): void {
    for (const ended of this.#ended.values()) {
      for (const kept of ended) {
        if (kept.expiresAt > now) break;
        ended.delete(kept);
        this.#dropResult(kept);
        this.release(kept);
      }
    }
  }

  #dropResult(kept: Kept<Running>): void {
    if (!kept.share.results.delete(kept)) return;
    kept.result = undefined;
    this.#add(kept.share, -kept.bytes);
  }

  #add(share: Share<Running>, bytes: number): void {
    share.bytes += bytes;
    this.#bytes += bytes;
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
