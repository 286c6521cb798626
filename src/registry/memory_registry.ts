import { RpcError } from "../core/error.ts";
import { type Logger, silent } from "../core/logger.ts";
import { checkInteger, withDefaults } from "../core/options.ts";
import { type Clock, hexId, type Platform, runtimePlatform } from "../core/platform.ts";
import { checkServiceName } from "../core/service.ts";
import { checkInstance } from "./check_instance.ts";
import type { Instance } from "./instance.ts";
import { type BookChange, EVERYTHING, type LeaseBook } from "./lease_book.ts";
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
} from "./registry.ts";
import { WatchBoard } from "./watch_board.ts";

/** How a {@link MemoryRegistry} works. */
export interface MemoryRegistryOptions {
  /** Time and chance. Default: the runtime's. */
  platform?: Platform;
  /** How long a lease lasts without renewal unless `register` says otherwise, in milliseconds, 1 to a day. Default 15 000. */
  ttlMs?: number;
  /** How often leases are looked through, in milliseconds, 1 to 60 000: so much longer one may last. Default 1 000. */
  sweepMs?: number;
  /** How many changes are remembered for watchers that resume or fell behind, 1 to a million. Default 10 000. */
  historyLimit?: number;
  /** Is told who comes and goes. Default: nobody. */
  logger?: Logger;
}

/** How it works where nothing is said. */
export const DEFAULT_MEMORY_REGISTRY: Readonly<Required<MemoryRegistryOptions>> = Object.freeze({
  platform: runtimePlatform,
  ttlMs: 15_000,
  sweepMs: 1_000,
  historyLimit: 10_000,
  logger: silent,
});

const MAX_TTL_MS = 24 * 60 * 60_000;
const CAUSES: ReadonlySet<unknown> = new Set<RemovalCause>(["deregistered", "drained", "expired", "fenced", "admin"]);

/**
 * A registry in this process: for tests, for programs that are their own center, and behind a center.
 *
 * All changes take effect before the method that makes them returns. A loop over `watch` may be told of several changes at
 * once; it costs a place in the history however slow it is, and starts afresh with a snapshot when `historyLimit` changes have
 * passed it by. A watch that could continue behind its cursor says so at once, with no changes if there are none; and one under
 * whose name nothing happens is told how far the registry has come each time that half the history has been written anew.
 *
 * @throws {RangeError} {TypeError}
 */
export class MemoryRegistry implements Registry {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #ttlMs: number;
  readonly #sweepMs: number;
  readonly #board: WatchBoard;
  readonly #book: LeaseBook;
  #sweeper: Disposable | undefined;
  #closed = false;

  /** Makes an empty registry, which costs no timer while nothing is registered. */
  constructor(options?: MemoryRegistryOptions) {
    const { platform, ttlMs, sweepMs, historyLimit, logger } = withDefaults(DEFAULT_MEMORY_REGISTRY, options);
    this.#clock = platform.clock;
    this.#logger = logger;
    this.#ttlMs = checkInteger("ttlMs", ttlMs, 1, MAX_TTL_MS);
    this.#sweepMs = checkInteger("sweepMs", sweepMs, 1, 60_000);
    this.#board = new WatchBoard({
      epoch: hexId(platform.random, 16),
      random: platform.random,
      historyLimit: checkInteger("historyLimit", historyLimit, 1, 1_000_000),
      onChange: (change) => this.#report(change),
    }, () => platform.clock.now());
    this.#book = this.#board.book;
  }

  /** How many instances are listed. */
  get instanceCount(): number {
    return this.#book.size;
  }

  /** How many loops over a watch are open. */
  get watcherCount(): number {
    return this.#board.watcherCount;
  }

  /** Lists an instance. Rejects with `TypeError` when it is malformed, with `RangeError` when `ttlMs` is. */
  register(instance: Instance, options: RegisterOptions = {}): Promise<Lease> {
    return this.#run("register an instance", options.signal, () => {
      const ttlMs = checkInteger("ttlMs", options.ttlMs ?? this.#ttlMs, 1, MAX_TTL_MS);
      const lease = this.#book.register(checkInstance(instance), ttlMs, this.#clock.now());
      this.#sweepLater();
      return lease;
    });
  }

  /** Starts the time to live anew. */
  renew(lease: Lease, options: RenewOptions = {}): Promise<RenewResult> {
    return this.#run("renew a lease", options.signal, () => this.#book.renew(lease, this.#clock.now()));
  }

  /** Ends the lease and the listing; `cause` defaults to `deregistered`. Harmless when they have ended already. */
  deregister(lease: Lease, cause: RemovalCause = "deregistered"): Promise<void> {
    return this.#run("deregister an instance", undefined, () => {
      if (!CAUSES.has(cause)) throw new TypeError(`Cannot deregister an instance: there is no cause ${String(cause)}`);
      this.#book.deregister(lease, cause);
      if (this.#book.size === 0) this.#sweepNoMore();
    });
  }

  /** What is listed now under a service's name, or under `"*"`. */
  lookup(service: string, options: { signal?: AbortSignal } = {}): Promise<Snapshot> {
    return this.#run("look up a service", options.signal, () => {
      return this.#book.snapshot(checkName(service), this.#clock.now());
    });
  }

  /** Follows what is listed under a service's name, or under `"*"`: each loop over it from its own first event on. */
  watch(service: string, options: WatchOptions = {}): AsyncIterable<WatchEvent> {
    const name = checkName(service);
    return { [Symbol.asyncIterator]: () => this.#board.watch(name, options) };
  }

  /** Resolves when every open watch that the end of a lease concerns has acknowledged it. */
  settled(lease: Lease, options: { signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options;
    return this.#run("wait for watchers", signal, () => this.#board.settled(lease, signal));
  }

  /** Ends every watch, without an error, and everything else; later calls reject with `unavailable`. */
  close(): Promise<void> {
    this.#closed = true;
    this.#sweepNoMore();
    this.#board.close();
    return Promise.resolve();
  }

  /** Closes it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #run<T>(what: string, signal: AbortSignal | undefined, action: () => T | Promise<T>): Promise<T> {
    return Promise.try(() => {
      this.#checkOpen(what);
      if (signal?.aborted) throw aborted(what, signal);
      return action();
    });
  }

  #checkOpen(what: string): void {
    if (this.#closed) {
      throw new RpcError("unavailable", `Cannot ${what}: the registry is closed`, { executed: "no" });
    }
  }

  #sweepLater(): void {
    this.#sweeper ??= this.#clock.timer(this.#sweepMs, () => {
      this.#sweeper = undefined;
      this.#book.sweep(this.#clock.now());
      if (this.#book.size > 0) this.#sweepLater();
    });
  }

  #sweepNoMore(): void {
    this.#sweeper?.[Symbol.dispose]();
    this.#sweeper = undefined;
  }

  #report({ instanceId, instance, cause }: BookChange): void {
    if (instance === undefined) this.#logger.info(`Removed instance "${instanceId}": ${cause}`);
    else this.#logger.debug(`Listed instance "${instanceId}"`, instance);
  }
}

function aborted(what: string, signal: AbortSignal | undefined): RpcError {
  return new RpcError("cancelled", `Cannot ${what}: the signal has aborted`, { executed: "no", cause: signal?.reason });
}

function checkName(service: string): string {
  return service === EVERYTHING ? service : checkServiceName(service);
}
