import { RpcError } from "../core/error.ts";
import { type Logger, silent } from "../core/logger.ts";
import { checkInteger, withDefaults } from "../core/options.ts";
import { type Clock, hexId, type Platform, runtimePlatform } from "../core/platform.ts";
import { checkServiceName } from "../core/service.ts";
import { BookWatch, type WatchHooks } from "./book_watch.ts";
import { checkInstance } from "./check_instance.ts";
import type { Instance } from "./instance.ts";
import { type BookChange, EVERYTHING, LeaseBook } from "./lease_book.ts";
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
  readonly #book: LeaseBook;
  /** Open watches by what they follow. */
  readonly #watches = new Map<string, Set<BookWatch>>();
  readonly #hooks: WatchHooks = {
    opened: (watch) => this.#add(watch),
    acknowledged: (watch) => this.#hear(watch),
    ended: (watch) => this.#delete(watch),
  };
  readonly #proofs = new Set<Proof>();
  readonly #bookmarkEvery: number;
  #watcherCount = 0;
  #sweeper: Disposable | undefined;
  #closed = false;

  /** Makes an empty registry, which costs no timer while nothing is registered. */
  constructor(options?: MemoryRegistryOptions) {
    const { platform, ttlMs, sweepMs, historyLimit, logger } = withDefaults(DEFAULT_MEMORY_REGISTRY, options);
    this.#clock = platform.clock;
    this.#logger = logger;
    this.#ttlMs = checkInteger("ttlMs", ttlMs, 1, MAX_TTL_MS);
    this.#sweepMs = checkInteger("sweepMs", sweepMs, 1, 60_000);
    this.#book = new LeaseBook({
      epoch: hexId(platform.random, 16),
      random: platform.random,
      historyLimit: checkInteger("historyLimit", historyLimit, 1, 1_000_000),
      onChange: (change) => this.#tell(change),
    });
    this.#bookmarkEvery = Math.ceil(historyLimit / 2);
  }

  /** How many instances are listed. */
  get instanceCount(): number {
    return this.#book.size;
  }

  /** How many loops over a watch are open. */
  get watcherCount(): number {
    return this.#watcherCount;
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
    const now = () => this.#clock.now();
    return { [Symbol.asyncIterator]: () => new BookWatch(name, this.#book, now, options, this.#hooks) };
  }

  /** Resolves when every open watch that the end of a lease concerns has acknowledged it. */
  settled(lease: Lease, options: { signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options;
    return this.#run("wait for watchers", signal, () => {
      if (this.#book.holds(lease)) {
        throw new TypeError(`Cannot wait for watchers: the lease of "${lease.instanceId}" has not ended`);
      }
      const end = this.#book.endOf(lease);
      if (end === undefined) return;
      const waiting = new Set<BookWatch>();
      for (const name of end.left) {
        for (const watch of this.#watches.get(name) ?? []) if (!watch.hasAcknowledged(end.revision)) waiting.add(watch);
      }
      if (waiting.size === 0) return;
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const abort = () => reject(aborted("wait for watchers", signal));
      const proof: Proof = { revision: end.revision, waiting, resolve };
      signal?.addEventListener("abort", abort, { once: true });
      this.#proofs.add(proof);
      return promise.finally(() => {
        signal?.removeEventListener("abort", abort);
        this.#proofs.delete(proof);
      });
    });
  }

  /** Ends every watch, without an error, and everything else; later calls reject with `unavailable`. */
  close(): Promise<void> {
    this.#closed = true;
    this.#sweepNoMore();
    for (const watches of [...this.#watches.values()]) {
      for (const watch of [...watches]) watch.end();
    }
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

  #tell({ revision, instanceId, instance, names, left, cause }: BookChange): void {
    if (instance === undefined) this.#logger.info(`Removed instance "${instanceId}": ${cause}`);
    else this.#logger.debug(`Listed instance "${instanceId}"`, instance);
    for (const touched of [names, left]) {
      for (const name of touched) {
        for (const watch of this.#watches.get(name) ?? []) watch.changed(revision);
      }
    }
    if (revision % this.#bookmarkEvery !== 0) return;
    for (const watches of this.#watches.values()) for (const watch of watches) watch.bookmark(revision);
  }

  #hear(watch: BookWatch): void {
    for (const { waiting, revision, resolve } of this.#proofs) {
      if (waiting.has(watch) && watch.hasAcknowledged(revision)) waiting.delete(watch);
      if (waiting.size === 0) resolve();
    }
  }

  #add(watch: BookWatch): void {
    this.#checkOpen(`watch "${watch.name}"`);
    const watches = this.#watches.get(watch.name);
    if (watches === undefined) this.#watches.set(watch.name, new Set([watch]));
    else watches.add(watch);
    this.#watcherCount++;
  }

  #delete(watch: BookWatch): void {
    const watches = this.#watches.get(watch.name);
    watches?.delete(watch);
    if (watches?.size === 0) this.#watches.delete(watch.name);
    this.#watcherCount--;
    for (const { waiting, resolve } of this.#proofs) {
      waiting.delete(watch);
      if (waiting.size === 0) resolve();
    }
  }
}

/** Somebody who waits until the last of some watches has acknowledged a revision. */
interface Proof {
  readonly revision: number;
  readonly waiting: Set<BookWatch>;
  readonly resolve: () => void;
}

function aborted(what: string, signal: AbortSignal | undefined): RpcError {
  return new RpcError("cancelled", `Cannot ${what}: the signal has aborted`, { executed: "no", cause: signal?.reason });
}

function checkName(service: string): string {
  return service === EVERYTHING ? service : checkServiceName(service);
}
