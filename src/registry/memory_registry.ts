import { RpcError } from "../core/error.ts";
import { type Logger, silent } from "../core/logger.ts";
import { checkFunction, checkInteger, withDefaults } from "../core/options.ts";
import { type Clock, hexId, inputSeen, type Platform, runtimePlatform } from "../core/platform.ts";
import { checkServiceName } from "../core/service.ts";
import { checkInstance } from "./check_instance.ts";
import { type BookChange, EVERYTHING } from "./directory.ts";
import type { Instance } from "./instance.ts";
import type { LeaseBook, Quotas, Standing, Suspect } from "./lease_book.ts";
import type {
  Cursor,
  Lease,
  Registered,
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

/** How much a {@link MemoryRegistry} takes; what goes beyond rejects with `resource_exhausted`, and harms nothing that is there. */
export interface RegistryQuotas extends Quotas {
  /** How many loops over a watch may be open. */
  readonly watchers: number;
}

/** How a {@link MemoryRegistry} works. */
export interface MemoryRegistryOptions {
  /** Time and chance. Default: the runtime's. */
  platform?: Platform;
  /** How long a lease lasts without renewal unless `register` says otherwise, in milliseconds, 1 to a day. Default 15 000. */
  ttlMs?: number;
  /** How often leases are looked through, in milliseconds, 1 to 60 000: so much longer one may last. Default 1 000. */
  sweepMs?: number;
  /**
   * How many changes are remembered for watchers that resume or fell behind, 1 to a million; fewer when they are so large that they
   * would take more bytes than `quotas.bytes`. Default 10 000.
   */
  historyLimit?: number;
  /**
   * How long at most instances stay listed beyond their leases because more than half, and at least three, are silent, or because
   * they answer when they are dialled; in milliseconds, 0 to a day, 0 turns that off. Default 300 000.
   */
  preserveMs?: number;
  /** How often in a second one instance may change what is listed, 2 to a million; the rest is told as one later. Default 10. */
  changesPerSecond?: number;
  /**
   * Whether an instance that does not renew its lease answers all the same; asked once before its listing ends, and again each
   * time to live; `by` says for whom. It settles within about a second. Default: nobody is asked.
   */
  dial?: (instance: Instance, signal: AbortSignal, by: Registered) => Promise<boolean>;
  /** How much it takes. Default: 20 000 instances, also of one owner, 20 000 services, 64 MiB (and as much history), 20 000 watchers. */
  quotas?: Partial<RegistryQuotas>;
  /** Is told of every change: what, whom, why and by whom. Default: nobody. */
  logger?: Logger;
  /** Called with every change, at once. It must not throw. Default: nothing. */
  onChange?: (entry: HistoryEntry) => void;
}

/** How it works where nothing is said. */
export const DEFAULT_MEMORY_REGISTRY: Readonly<Required<Omit<MemoryRegistryOptions, "dial" | "quotas" | "onChange">>> =
  Object
    .freeze({
      platform: runtimePlatform,
      ttlMs: 15_000,
      sweepMs: 1_000,
      historyLimit: 10_000,
      preserveMs: 300_000,
      changesPerSecond: 10,
      logger: silent,
    });

/** What it takes where nothing is said. */
export const DEFAULT_QUOTAS: Readonly<RegistryQuotas> = Object.freeze({
  instances: 20_000,
  instancesPerOwner: 20_000,
  services: 20_000,
  bytes: 64 * 1024 * 1024,
  watchers: 20_000,
});

/** An instance, and what is known of it beyond what it registered. */
export interface Listing extends Standing {
  /** What it registered. */
  readonly instance: Instance;
}

/** One change in what was listed, for people. */
export interface HistoryEntry {
  /** Which change it was. */
  readonly revision: number;
  /** When, in milliseconds since 1970. */
  readonly at: number;
  /** What happened; `doubted` and `trusted` change nothing but whether it is suspect. */
  readonly kind: "listed" | "changed" | "doubted" | "trusted" | "removed";
  /** Whom it concerned. */
  readonly instanceId: string;
  /** The instance as it was listed from then on, or as it was before it was removed. */
  readonly instance: Instance;
  /** Why it was removed. */
  readonly cause?: RemovalCause;
  /** Who did it; an empty text when nobody said. */
  readonly actor: string;
}

const DAY_MS = 24 * 60 * 60_000;
/** So many are dialled at once; the others wait. */
const MAX_DIALS = 256;
const CAUSES: ReadonlySet<unknown> = new Set<RemovalCause>(["deregistered", "drained", "expired", "fenced", "admin"]);

/**
 * A registry in this process: for tests, for programs that are their own center, and behind a center.
 *
 * All changes take effect before the method that makes them returns; only an instance that changes more often than
 * `changesPerSecond` is listed as it was until a little later. A loop over `watch` may be told of several changes at once; it
 * costs a place in the history however slow it is, and starts afresh with a snapshot when `historyLimit` changes have passed it
 * by, or more than 1 000 of its own or 1 MiB. A watch that could continue behind its cursor says so at once, with no changes if
 * there are none; and one under whose name nothing happens is told how far the registry has come each time that half the history
 * has been written anew.
 *
 * @throws {RangeError} {TypeError}
 */
export class MemoryRegistry implements Registry {
  readonly #platform: Platform;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #ttlMs: number;
  readonly #sweepMs: number;
  readonly #dialBack: MemoryRegistryOptions["dial"];
  readonly #board: WatchBoard;
  readonly #book: LeaseBook;
  readonly #closing = new AbortController();
  readonly #dials = new Set<Promise<void>>();
  readonly #toDial: Suspect[] = [];
  #sweeper: Disposable | undefined;
  #sweeping = false;
  #publisher: Disposable | undefined;
  #warmer: Disposable | undefined;

  /** Makes an empty registry, which costs no timer while nothing is registered. */
  constructor(options: MemoryRegistryOptions = {}) {
    const { dial, quotas, onChange, ...rest } = options;
    const given = withDefaults(DEFAULT_MEMORY_REGISTRY, rest);
    const { platform, logger } = given;
    this.#platform = platform;
    this.#clock = platform.clock;
    this.#logger = logger;
    this.#dialBack = checkFunction("dial", dial);
    checkFunction("onChange", onChange);
    const { watchers, ...held } = checkQuotas(quotas);
    this.#ttlMs = checkInteger("ttlMs", given.ttlMs, 1, DAY_MS);
    this.#sweepMs = checkInteger("sweepMs", given.sweepMs, 1, 60_000);
    this.#board = new WatchBoard({
      epoch: hexId(platform.random, 16),
      random: platform.random,
      wall: () => platform.clock.wall(),
      historyLimit: checkInteger("historyLimit", given.historyLimit, 1, 1_000_000),
      historyBytes: held.bytes,
      changesPerSecond: checkInteger("changesPerSecond", given.changesPerSecond, 2, 1_000_000),
      preserveMs: checkInteger("preserveMs", given.preserveMs, 0, DAY_MS),
      preservePerMs: this.#ttlMs,
      dials: dial !== undefined,
      quotas: held,
      maxWatchers: watchers,
      onChange: (change) => {
        this.#logger.info(describe(change));
        onChange?.(entryOf(change));
      },
    });
    this.#book = this.#board.book;
  }

  /** How many instances have a lease. */
  get instanceCount(): number {
    return this.#book.size;
  }

  /** How many services are offered. */
  get serviceCount(): number {
    return this.#book.directory.serviceCount;
  }

  /** How many loops over a watch are open. */
  get watcherCount(): number {
    return this.#board.watcherCount;
  }

  /** Where it stands: what is listed now. */
  get cursor(): Cursor {
    const { epoch, revision } = this.#book.directory;
    return { epoch, revision };
  }

  /** Whether so many instances are silent that they stay listed for the time being. */
  get isPreserving(): boolean {
    return this.#book.isHolding;
  }

  /**
   * Lists an instance. Rejects with `TypeError` when it is malformed, with `RangeError` when `ttlMs` is, and with an `RpcError`
   * `permission_denied` when another owner has it listed, `resource_exhausted` when a quota is full.
   */
  register(instance: Instance, options: RegisterOptions = {}): Promise<Lease> {
    return this.#run("register an instance", options.signal, () => {
      const ttlMs = checkInteger("ttlMs", options.ttlMs ?? this.#ttlMs, 1, DAY_MS);
      const lease = this.#book.register(checkInstance(instance), ttlMs, this.#clock.now(), options);
      this.#sweepLater();
      this.#publishLater();
      return lease;
    });
  }

  /** Starts the time to live anew. */
  renew(lease: Lease, options: RenewOptions = {}): Promise<RenewResult> {
    return this.#run("renew a lease", options.signal, () => this.renewNow(lease, options.load));
  }

  /**
   * The same without a promise, and what a center calls that this registry is behind: who overrides one overrides both.
   * @throws {RpcError} `unavailable` when the registry is closed
   */
  renewNow(lease: Lease, load?: number): RenewResult {
    this.#checkOpen("renew a lease");
    const result = this.#book.renew(lease, this.#clock.now(), load);
    this.#publishLater();
    return result;
  }

  /** Ends the lease and the listing; `cause` defaults to `deregistered`. Harmless when they have ended already. */
  deregister(lease: Lease, cause: RemovalCause = "deregistered"): Promise<void> {
    return this.#run("deregister an instance", undefined, () => {
      if (!CAUSES.has(cause)) throw new TypeError(`Cannot deregister an instance: there is no cause ${String(cause)}`);
      this.#book.deregister(lease, cause, this.#clock.now());
      this.#shrunk();
    });
  }

  /**
   * Ends the lease of an instance from outside. With `admin` it may come back, and does with its next beat if it lives; with
   * `drained` this incarnation stays away until it is started anew.
   *
   * @param actor who wants it, for the history
   * @returns whether there was one
   * @throws {RpcError} `unavailable` when the registry is closed
   */
  evict(instanceId: string, cause: "admin" | "drained" = "admin", actor = ""): boolean {
    this.#checkOpen("evict an instance");
    const found = this.#book.evict(instanceId, cause, actor, this.#clock.now());
    this.#shrunk();
    return found;
  }

  /** What is listed now under a service's name, or under `"*"`. */
  lookup(service: string, options: { signal?: AbortSignal } = {}): Promise<Snapshot> {
    return this.#run("look up a service", options.signal, () => this.#book.directory.snapshot(checkName(service)));
  }

  /**
   * What was listed at an earlier revision.
   * @throws {RangeError} when the history does not reach there
   */
  lookupAt(service: string, revision: number): Snapshot {
    const { directory } = this.#book;
    const snapshot = directory.at(checkName(service), revision);
    if (snapshot !== undefined) return snapshot;
    throw new RangeError(
      `Cannot look up revision ${revision}: the history goes from ${directory.oldest} to ${directory.revision}`,
    );
  }

  /** What is listed now under a service's name, or under `"*"`, with what is known of each, in the order of their ids. */
  inspect(service: string): Listing[] {
    const now = this.#clock.now();
    const { instances } = this.#book.directory.snapshot(checkName(service));
    return instances.flatMap((instance) => {
      const standing = this.#book.standing(instance.id, now);
      return standing === undefined ? [] : [{ instance, ...standing }];
    });
  }

  /** The changes after a revision that are still remembered, the oldest first. */
  *history(after = 0): Generator<HistoryEntry> {
    for (const change of this.#book.directory.history(after)) yield entryOf(change);
  }

  /** Whose an instance is: an empty text when nobody's, `undefined` when it has no lease. */
  ownerOf(instanceId: string): string | undefined {
    return this.#book.ownerOf(instanceId);
  }

  /**
   * Goes on where an earlier life of the registry ended: with its epoch, and behind every revision that it may have told of.
   * @throws {TypeError} when it has begun already
   */
  restore(cursor: Cursor): void {
    const { directory } = this.#book;
    if (directory.revision > 0 || this.#board.watcherCount > 0) {
      throw new TypeError("Cannot restore a registry that has begun");
    }
    directory.restore({ epoch: cursor.epoch, revision: checkInteger("revision", cursor.revision, 0) });
  }

  /**
   * Says from now on that it has just started, so that what is missing may only not have returned yet, and tells everybody when
   * that is over.
   *
   * @param ms for how long, 1 to a day
   */
  warm(ms: number): void {
    this.#checkOpen("warm up");
    checkInteger("ms", ms, 1, DAY_MS);
    this.#book.directory.warming = true;
    this.#warmer?.[Symbol.dispose]();
    this.#warmer = this.#clock.timer(ms, () => this.#board.endWarming());
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
  async close(): Promise<void> {
    this.#closing.abort();
    this.#sweepNoMore();
    this.#publisher?.[Symbol.dispose]();
    this.#warmer?.[Symbol.dispose]();
    this.#board.close();
    await Promise.all(this.#dials);
  }

  /** Closes it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #run<T>(what: string, signal: AbortSignal | undefined, action: () => T | Promise<T>): Promise<T> {
    return Promise.try(() => {
      this.#checkOpen(what);
      if (signal?.aborted) {
        throw new RpcError("cancelled", `Cannot ${what}: the signal has aborted`, {
          executed: "no",
          cause: signal.reason,
        });
      }
      return action();
    });
  }

  #checkOpen(what: string): void {
    if (this.#closing.signal.aborted) {
      throw new RpcError("unavailable", `Cannot ${what}: the registry is closed`, { executed: "no" });
    }
  }

  #sweepLater(): void {
    if (this.#sweeper !== undefined || this.#sweeping) return;
    this.#book.expectSweep(this.#clock.now() + this.#sweepMs);
    this.#sweeper = this.#clock.timer(this.#sweepMs, () => void this.#sweep());
  }

  async #sweep(): Promise<void> {
    this.#sweeper = undefined;
    this.#sweeping = true;
    // Renewals that have arrived, and wait because everything stood still, are heard first.
    await inputSeen(this.#platform);
    this.#sweeping = false;
    if (this.#closing.signal.aborted) return;
    for (const suspect of this.#book.sweep(this.#clock.now()).dial) this.#dial(suspect);
    this.#publishLater();
    if (this.#book.size > 0) this.#sweepLater();
    else this.#sweepNoMore();
  }

  #sweepNoMore(): void {
    this.#book.expectSweep(Infinity);
    this.#sweeper?.[Symbol.dispose]();
    this.#sweeper = undefined;
  }

  #shrunk(): void {
    this.#publishLater();
    if (this.#book.size === 0) this.#sweepNoMore();
  }

  /** What an instance that changes all the time had to wait with is listed as soon as it may be. */
  #publishLater(): void {
    const { publishAt } = this.#book;
    if (publishAt === Infinity || this.#publisher !== undefined) return;
    this.#publisher = this.#clock.timer(publishAt - this.#clock.now(), () => {
      this.#publisher = undefined;
      this.#book.publish(this.#clock.now());
      this.#publishLater();
    });
  }

  #dial(suspect: Suspect): void {
    this.#toDial.push(suspect);
    if (this.#dials.size >= MAX_DIALS) return;
    const done = this.#dialOn().finally(() => this.#dials.delete(done));
    this.#dials.add(done);
  }

  async #dialOn(): Promise<void> {
    const { signal } = this.#closing;
    for (let next; !signal.aborted && (next = this.#toDial.shift()) !== undefined;) {
      const { instance, lease, owner, from } = next;
      // Renewed, registered anew or gone while others were dialled: nobody wants to know any more.
      if (!this.#book.isAwaited(lease)) continue;
      const answered = await Promise.try(this.#dialBack!, instance, signal, { owner, from }).catch(() => false);
      if (signal.aborted) return;
      this.#book.answer(lease, answered, this.#clock.now());
      this.#shrunk();
    }
  }
}

function checkQuotas(given: Partial<RegistryQuotas> | undefined): RegistryQuotas {
  const quotas = withDefaults(DEFAULT_QUOTAS, given);
  for (const [name, quota] of Object.entries(quotas)) checkInteger(`quotas.${name}`, quota, 0);
  return quotas;
}

function checkName(service: string): string {
  return service === EVERYTHING ? service : checkServiceName(service);
}

function entryOf({ revision, at, instanceId, before, after, cause, actor }: BookChange): HistoryEntry {
  const instance = (after ?? before)!.instance;
  if (after === undefined) return { revision, at, kind: "removed", instanceId, instance, cause, actor };
  const kind = before === undefined
    ? "listed"
    : before.instance !== after.instance
    ? "changed"
    : after.suspect
    ? "doubted"
    : "trusted";
  return { revision, at, kind, instanceId, instance, actor };
}

const VERBS = {
  listed: "Listed",
  changed: "Changed",
  doubted: "Doubts",
  trusted: "Trusts again",
  removed: "Removed",
} as const;

/** A change as one line: what happened to whom, why, and by whom. */
function describe(change: BookChange): string {
  const { kind, instance, cause, actor, revision } = entryOf(change);
  const { id, incarnation, endpoints } = instance;
  const why = cause === undefined ? "" : `: ${cause}`;
  const by = actor === "" ? "" : `, by ${JSON.stringify(actor)}`;
  return `${VERBS[kind]} instance ${JSON.stringify(id)} of incarnation ${incarnation} ` +
    `at ${endpoints.join(", ")}${why} (revision ${revision}${by})`;
}
