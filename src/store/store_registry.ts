import { type Backoff, backoffMs } from "../core/backoff.ts";
import { RpcError, textOf } from "../core/error.ts";
import { type Logger, silent } from "../core/logger.ts";
import { checkDuration, checkInteger, withDefaults } from "../core/options.ts";
import { hexId, type Platform, runtimePlatform } from "../core/platform.ts";
import { checkServiceName } from "../core/service.ts";
import { checkInstance } from "../registry/check_instance.ts";
import type { Instance } from "../registry/instance.ts";
import { EVERYTHING } from "../registry/directory.ts";
import type {
  Lease,
  RegisterOptions,
  Registry,
  RemovalCause,
  RenewOptions,
  RenewResult,
  Snapshot,
  WatchEvent,
  WatchOptions,
} from "../registry/registry.ts";
import { WatchBoard } from "../registry/watch_board.ts";
import { Mirror } from "./mirror.ts";
import type { Store, StoreEvent } from "./store.ts";
import { StoreWatch } from "./store_watch.ts";

/** How a registry over a store works, whatever the store. */
export interface StoreRegistryOptions {
  /** How long a lease lasts without renewal unless `register` says otherwise, in milliseconds, 1 to a day. Default 15 000. */
  ttlMs?: number;
  /** How long the store may take to answer, in milliseconds, 1 to 60 000. Default 5 000. */
  timeoutMs?: number;
  /**
   * For how long it is doubted that an instance has gone that vanished from the store without being deregistered, in
   * milliseconds. It stays listed as suspect meanwhile, and everything is well if it returns; and if more than half, and at least
   * three, vanish in that time, they leave a few at a time. Default: a third of its lease, which is a beat.
   */
  believeMs?: number;
  /** How long at most instances stay listed because more than half have vanished, in milliseconds, 0 to a day. Default 300 000. */
  preserveMs?: number;
  /**
   * For how long it says at first of a store that is new, or of one that lists only who is connected to it, that what is missing
   * there may only not have returned yet, in milliseconds, 0 to a day: clients go on calling whom they know. Default 20 000.
   */
  warmingMs?: number;
  /**
   * How many changes are remembered for watchers that resume or fell behind, 1 to a million; fewer when they are so large that they
   * would take more than 64 MiB. Default 10 000.
   */
  historyLimit?: number;
  /** Is told who comes and goes, and when the store does. Default: nobody. */
  logger?: Logger;
  /** Time and chance. Default: the runtime's. */
  platform?: Platform;
}

/** The same with every question answered. */
export type CheckedStoreRegistryOptions =
  & Required<Omit<StoreRegistryOptions, "believeMs">>
  & Pick<StoreRegistryOptions, "believeMs">;

/** How it works where nothing is said. */
export const DEFAULT_STORE_REGISTRY: Readonly<CheckedStoreRegistryOptions> = Object.freeze({
  ttlMs: 15_000,
  timeoutMs: 5_000,
  believeMs: undefined,
  preserveMs: 300_000,
  warmingMs: 20_000,
  historyLimit: 10_000,
  logger: silent,
  platform: runtimePlatform,
});

/**
 * What a registry knows of its store: `unread` until somebody looks something up or follows it, `current` while it is told of
 * every change, `away` while the store can't be reached: it answers from its memory then, and nothing can be written.
 */
export type StoreState = "unread" | "current" | "away" | "closed";

const MAX_TTL_MS = 24 * 60 * 60_000;
const CAUSES: ReadonlySet<unknown> = new Set<RemovalCause>(["deregistered", "drained", "expired", "fenced", "admin"]);
const RETRY: Backoff = { firstMs: 200, factor: 1.6, maxMs: 5_000, jitter: 0.5 };
/** How long a writer waits to see here what it has written. Nothing depends on it but the order in which it sees things. */
const SEEN_MS = 1_000;

interface Waiter {
  readonly isOver: () => boolean;
  readonly end: () => void;
}

/**
 * A registry over a store that several processes share. What the store lists is mirrored here as soon as somebody looks
 * something up or watches; whoever only registers reads nothing.
 *
 * While the store can't be reached, `lookup` and the watches go on with what it last listed, `register` and `renew` reject with
 * `unavailable`, and nobody is evicted; when it is back, whoever was listed has the time to live of its lease, and a third, to
 * return.
 */
export class StoreRegistry implements Registry, AsyncDisposable {
  readonly #store: Store;
  readonly #options: CheckedStoreRegistryOptions;
  readonly #board: WatchBoard;
  readonly #mirror: Mirror;
  readonly #closing = new AbortController();
  readonly #waiters = new Set<Waiter>();
  #following: Promise<void> | undefined;
  /** How the attempt to read the store that is under way, or was the last, ends: with what went wrong, if anything did. */
  #attempt = Promise.withResolvers<unknown>();
  #sweeper: Disposable | undefined;
  #warmer: Disposable | undefined;

  /** Makes a registry that does nothing yet. @throws {TypeError} {RangeError} when an option can't be used */
  constructor(store: Store, options?: StoreRegistryOptions) {
    const checked = this.#options = withDefaults<CheckedStoreRegistryOptions>(DEFAULT_STORE_REGISTRY, options);
    checkInteger("ttlMs", checked.ttlMs, 1, MAX_TTL_MS);
    checkInteger("timeoutMs", checked.timeoutMs, 1, 60_000);
    const { random, clock } = checked.platform;
    this.#store = store;
    this.#board = new WatchBoard({
      epoch: hexId(random, 16),
      random,
      wall: () => clock.wall(),
      historyLimit: checkInteger("historyLimit", checked.historyLimit, 1, 1_000_000),
      onChange: ({ instanceId, after, cause }) => {
        const { logger } = checked;
        if (after === undefined) logger.info(`Removed instance "${instanceId}": ${cause}`);
        else if (after.suspect) logger.warn(`Instance "${instanceId}" has vanished from ${store.name}`);
        else logger.debug(`Listed instance "${instanceId}"`, after.instance);
      },
    });
    checkInteger("warmingMs", checked.warmingMs, 0, MAX_TTL_MS);
    this.#mirror = new Mirror(this.#board.book.directory, {
      believeMs: checked.believeMs === undefined ? undefined : checkDuration("believeMs", checked.believeMs),
      preserveMs: checkInteger("preserveMs", checked.preserveMs, 0, MAX_TTL_MS),
      preservePerMs: checked.ttlMs,
      wall: () => clock.wall(),
    });
  }

  /** What it knows of the store. */
  get state(): StoreState {
    if (this.#closing.signal.aborted) return "closed";
    if (this.#mirror.isCurrent) return "current";
    return this.#mirror.isKnown ? "away" : "unread";
  }

  /** How many loops over a watch are open. */
  get watcherCount(): number {
    return this.#board.watcherCount;
  }

  /** Lists an instance. Rejects with `TypeError` when it is malformed, with `RangeError` when `ttlMs` is. */
  async register(instance: Instance, options: RegisterOptions = {}): Promise<Lease> {
    const ttlMs = checkInteger("ttlMs", options.ttlMs ?? this.#options.ttlMs, 1, MAX_TTL_MS);
    const checked = checkInstance(instance);
    const lease = await this.#ask(
      `register instance "${checked.id}"`,
      options.signal,
      (signal) => this.#store.register(checked, ttlMs, options.owner, signal),
    );
    this.#followIfMust();
    await this.#seen(() => this.#mirror.tokenOf(checked.id) === lease.token);
    return lease;
  }

  /** Starts the time to live anew. */
  async renew(lease: Lease, options: RenewOptions = {}): Promise<RenewResult> {
    const result = await this.#ask("renew a lease", options.signal, (signal) => this.#store.renew(lease, signal));
    this.#followIfMust();
    return result;
  }

  /** Ends the lease and the listing; `cause` defaults to `deregistered`. Harmless when they have ended already. */
  async deregister(lease: Lease, cause: RemovalCause = "deregistered"): Promise<void> {
    if (!CAUSES.has(cause)) throw new TypeError(`Cannot deregister an instance: there is no cause ${String(cause)}`);
    const { instanceId, token } = lease;
    const what = `deregister instance "${instanceId}"`;
    await this.#ask(what, undefined, (signal) => this.#store.deregister(lease, cause, signal));
    await this.#seen(() => this.#mirror.tokenOf(instanceId) !== token);
  }

  /** What was last heard to be listed under a service's name, or under `"*"`. */
  async lookup(service: string, options: { signal?: AbortSignal } = {}): Promise<Snapshot> {
    checkName(service);
    await this.#ready("look up a service", options.signal);
    return this.#board.book.directory.snapshot(service);
  }

  /**
   * Follows what is listed under a service's name, or under `"*"`: each loop over it from its own first event on. It ends with
   * an error only when the store can't be reached and never could; later it stays silent until the store is back.
   */
  watch(service: string, options: WatchOptions = {}): AsyncIterable<WatchEvent> {
    checkName(service);
    const open = async (signal: AbortSignal) => {
      await this.#ready(`watch "${service}"`, signal);
      return this.#board.watch(service, { ...options, signal });
    };
    return { [Symbol.asyncIterator]: () => new StoreWatch(options.signal, open) };
  }

  /** Ends every watch, without an error, and everything else; later calls reject with `unavailable`. Leases are left to expire. */
  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    this.#sweeper?.[Symbol.dispose]();
    this.#warmer?.[Symbol.dispose]();
    this.#board.close();
    for (const waiter of this.#waiters) waiter.end();
    await Promise.all([this.#following, this.#store.close()]);
  }

  /** Closes it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #checkOpen(what: string): void {
    if (!this.#closing.signal.aborted) return;
    throw new RpcError("unavailable", `Cannot ${what}: the registry is closed`, { executed: "no" });
  }

  /** Asks the store for something, for as long as it may take, and says in our words why that failed. */
  async #ask<T>(what: string, given: AbortSignal | undefined, action: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.#checkOpen(what);
    if (given?.aborted) throw aborted(what, given);
    const { timeoutMs, platform } = this.#options;
    const late = new AbortController();
    using _timer = platform.clock.timer(timeoutMs, () => late.abort());
    const signals = [late.signal, this.#closing.signal];
    const signal = AbortSignal.any(given === undefined ? signals : [...signals, given]);
    try {
      return await abortable(action(signal), signal);
    } catch (error) {
      if (given?.aborted) throw aborted(what, given);
      this.#checkOpen(what);
      if (error instanceof RpcError) throw error;
      const why = late.signal.aborted ? `no answer in ${timeoutMs} ms` : textOf(error);
      throw new RpcError("unavailable", `Cannot ${what} with ${this.#store.name}: ${why}`, { cause: error });
    }
  }

  /** Resolves once it is known what the store lists, be it only from memory. */
  async #ready(what: string, signal: AbortSignal | undefined): Promise<void> {
    this.#checkOpen(what);
    if (signal?.aborted) throw aborted(what, signal);
    this.#following ??= this.#follow();
    if (this.#mirror.isKnown) return;
    const failure = await abortable(this.#attempt.promise, signal).catch(() => undefined);
    this.#checkOpen(what);
    if (signal?.aborted) throw aborted(what, signal);
    if (this.#mirror.isKnown) return;
    throw new RpcError("unavailable", `Cannot ${what}: ${this.#store.name} can't be reached: ${textOf(failure)}`, {
      executed: "no",
      cause: failure,
    });
  }

  #followIfMust(): void {
    if (this.#following !== undefined || this.#closing.signal.aborted || !this.#store.mustBeFollowed) return;
    this.#following = this.#follow();
  }

  async #follow(): Promise<void> {
    const { signal } = this.#closing;
    const { logger, platform } = this.#options;
    for (let failures = 0; !signal.aborted;) {
      try {
        for await (const event of this.#store.follow(signal)) {
          if (signal.aborted) break;
          if (!this.#mirror.isCurrent) this.#found(event);
          failures = 0;
          this.#mirror.apply(event, platform.clock.now());
          this.#attempt.resolve(undefined);
          this.#heard();
        }
      } catch (error) {
        if (signal.aborted) break;
        if (this.#mirror.isCurrent || failures === 0) {
          logger.warn(
            `Lost sight of ${this.#store.name}: what it last listed is kept, and nothing can be written`,
            error,
          );
        }
        this.#mirror.away();
        this.#attempt.resolve(error);
        this.#heard();
      }
      if (signal.aborted) break;
      await this.#pause(backoffMs(RETRY, failures++, platform.random));
      if (!this.#mirror.isKnown) this.#attempt = Promise.withResolvers();
    }
    this.#attempt.resolve(undefined);
  }

  #found(event: StoreEvent): void {
    const { logger, warmingMs, platform } = this.#options;
    if (this.#mirror.isKnown) {
      logger.info(`${this.#store.name} is back: what it does not list has the time of its lease to return`);
    } else if (event.kind === "listing" && event.warming && warmingMs > 0) {
      logger.info(`What is missing in ${this.#store.name} may return yet, for ${warmingMs} ms`);
      this.#board.book.directory.warming = true;
      this.#warmer = platform.clock.timer(warmingMs, () => this.#board.endWarming());
    }
  }

  /** Something was heard of the store: wakes who waits for it, and sees to who has been missing for long enough. */
  #heard(): void {
    for (const waiter of this.#waiters) if (!this.#mirror.isCurrent || waiter.isOver()) waiter.end();
    this.#sweep();
  }

  #sweep(): void {
    this.#sweeper?.[Symbol.dispose]();
    this.#sweeper = undefined;
    const { clock } = this.#options.platform;
    const next = this.#mirror.sweep(clock.now());
    if (next !== Infinity) this.#sweeper = clock.timer(Math.max(0, next - clock.now()), () => this.#sweep());
  }

  /** Waits until what was written to the store is seen in the mirror, if there is one; but not for long. */
  async #seen(isOver: () => boolean): Promise<void> {
    if (!this.#mirror.isCurrent || this.#closing.signal.aborted || isOver()) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiter: Waiter = { isOver, end: resolve };
    this.#waiters.add(waiter);
    using _timer = this.#options.platform.clock.timer(SEEN_MS, resolve);
    await promise;
    this.#waiters.delete(waiter);
  }

  async #pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    using _timer = this.#options.platform.clock.timer(ms, resolve);
    await abortable(promise, this.#closing.signal).catch(() => {});
  }
}

/** A promise that rejects as soon as the signal aborts, whatever becomes of it. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

function aborted(what: string, signal: AbortSignal): RpcError {
  return new RpcError("cancelled", `Cannot ${what}: the signal has aborted`, { executed: "no", cause: signal.reason });
}

function checkName(service: string): void {
  if (service !== EVERYTHING) checkServiceName(service);
}
