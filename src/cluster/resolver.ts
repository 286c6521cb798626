/**
 * From a service's name to its instances: follows every registry there is, and keeps what they last said, for as long as they
 * are silent.
 *
 * Invariants: one loop for each registry, none of which ends before `close`; whoever is told of a difference has acted on it when
 * `onDifference` returns, so that asking a registry for more acknowledges what it said before.
 */
import { REDIAL, waitAfterMs } from "../core/backoff.ts";
import { RpcError, textOf } from "../core/error.ts";
import type { Logger } from "../core/logger.ts";
import type { Platform } from "../core/platform.ts";
import type { WatchEvent } from "../registry/registry.ts";
import type { Listing } from "./listing.ts";
import type { ListingCache } from "./listing_cache.ts";
import { type Difference, MergedSet, type Resolved } from "./merged_set.ts";
import type { Source } from "./source.ts";

/** What a resolver works with. */
export interface ResolverSurroundings {
  readonly sources: readonly Source[];
  readonly platform: Platform;
  readonly logger: Logger;
  /** What registries listed when an earlier process heard them. */
  readonly cache?: ListingCache;
  /** Told when that is used. */
  readonly onRestored?: () => void;
  /** Told whenever something has changed, be it only whether a registry can be heard. It must not throw. */
  readonly onDifference: (difference: Difference) => void;
}

/** How well one registry can be heard, as far as one service goes. */
export interface SourceStatus {
  /** The address of a center; `registry` for a registry of one's own, `endpoints` for a fixed list. */
  readonly name: string;
  /** Whether it can be heard. */
  readonly watching: boolean;
  /** Whether it has just started, so that what it does not list may only not have returned yet. */
  readonly warming: boolean;
  /** How long ago it could last be heard, in milliseconds: 0 while it can, `Infinity` when it never could. */
  readonly staleMs: number;
  /** How many instances of the service it lists, or last did. */
  readonly instances: number;
  /** Why it can't be heard. */
  readonly error: string | undefined;
}

interface Following {
  readonly source: Source;
  readonly listing: Listing;
  /** When it could last be heard, on the platform's clock. */
  heardAt: number;
  failure: unknown;
  /** Whether what an earlier process heard of it is used, if there is anything. It is tried once. */
  recall: "not yet" | "begun" | "done";
}

/** How long a registry may take to be heard for the first time, before what it said to an earlier process is used. */
const PATIENCE_MS = 1_000;
const NONE: Difference = { put: [], removed: [] };

/** From a service's name to its instances. Whoever makes one closes it. */
export class Resolver {
  /** The service's name. */
  readonly service: string;
  readonly #surroundings: ResolverSurroundings;
  readonly #stop = new AbortController();
  readonly #set: MergedSet;
  readonly #followings: readonly Following[];
  readonly #loops: Promise<unknown>;

  /** Begins to follow. */
  constructor(service: string, surroundings: ResolverSurroundings) {
    this.service = service;
    this.#surroundings = surroundings;
    const { sources } = surroundings;
    this.#set = new MergedSet(sources.length);
    this.#followings = sources.map((source, i) => ({
      source,
      listing: this.#set.listings[i],
      heardAt: -Infinity,
      failure: undefined,
      recall: surroundings.cache === undefined ? "done" : "not yet",
    }));
    this.#loops = Promise.all(this.#followings.map((following) => this.#follow(following)));
  }

  /** What is known, by id. */
  get resolved(): ReadonlyMap<string, Resolved> {
    return this.#set.resolved;
  }

  /** Whether any registry can be heard now. */
  get watching(): boolean {
    return this.#followings.some(({ listing }) => listing.state === "live");
  }

  /** Whether nothing more is to be expected soon: each registry has said something, or can't be reached. */
  get isKnown(): boolean {
    return this.#isSettled && (this.resolved.size > 0 || this.#followings.every(isRecalled));
  }

  /** Why nothing was ever heard, or `undefined` when something was. */
  get failure(): unknown {
    return this.#followings.every(({ listing }) => listing.state === "silent")
      ? this.#followings[0].failure
      : undefined;
  }

  /** Whether somebody can be heard who says that what is missing may only not have returned yet. */
  get warming(): boolean {
    return this.#followings.some(({ listing }) => listing.state === "live" && listing.warming);
  }

  /** How old what is known may be, in milliseconds: 0 while any registry can be heard, `Infinity` when none ever could. */
  get staleMs(): number {
    return Math.min(...this.sources.map((source) => source.staleMs));
  }

  /** How well each registry can be heard. */
  get sources(): SourceStatus[] {
    const now = this.#surroundings.platform.clock.now();
    return this.#followings.map(({ source, listing, heardAt, failure }) => {
      const watching = listing.state === "live";
      return {
        name: source.name,
        watching,
        warming: watching && listing.warming,
        staleMs: watching ? 0 : now - heardAt,
        instances: listing.entries.size,
        error: watching || failure === undefined ? undefined : textOf(failure),
      };
    });
  }

  /** Stops following. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#loops;
  }

  async #follow(following: Following): Promise<void> {
    const { signal } = this.#stop;
    const { source, listing } = following;
    const { platform } = this.#surroundings;
    using _patience = this.#surroundings.cache && platform.clock.timer(PATIENCE_MS, () => {
      void this.#recall(following);
    });
    for (let failures = 0; !signal.aborted;) {
      let failure: unknown;
      try {
        for await (const event of source.watch(this.service, { signal, after: listing.cursor })) {
          failures = 0;
          this.#heard(following, event);
        }
        failure = new RpcError("unavailable", `The watch of "${this.service}" ended`);
      } catch (error) {
        failure = error;
      }
      if (signal.aborted) return;
      this.#lost(following, failure);
      await this.#pause(waitAfterMs(failure, REDIAL, failures++, platform.random));
    }
  }

  #heard(following: Following, event: WatchEvent): void {
    const { platform, logger, cache, onDifference } = this.#surroundings;
    const { source, listing } = following;
    const wasLive = listing.state === "live";
    const difference = this.#set.tell(listing, event);
    following.heardAt = platform.clock.now();
    following.failure = undefined;
    if (!wasLive) logger.info(`Following service "${this.service}" at ${source.name}: ${listing.entries.size} listed`);
    onDifference(difference);
    if (event.kind === "snapshot" || event.changes.length > 0 || event.warmed === true) {
      cache?.keep(source.name, this.service, listing);
    }
    if (listing.warming) void this.#recall(following);
    if (!wasLive) this.#recallAll();
  }

  /** Each registry has said something, or can't be reached. */
  get #isSettled(): boolean {
    return this.#followings.every(({ listing, failure }) => listing.state !== "silent" || failure !== undefined);
  }

  /** Nobody knows anybody: then what earlier processes heard is better than nothing. */
  #recallAll(): void {
    if (!this.#isSettled || this.resolved.size > 0) return;
    for (const following of this.#followings) void this.#recall(following);
  }

  async #recall(following: Following): Promise<void> {
    const { cache, platform, logger, onDifference, onRestored } = this.#surroundings;
    const { source, listing } = following;
    if (cache === undefined || !listing.canRestore || following.recall !== "not yet") return;
    following.recall = "begun";
    const old = await cache.load(source.name, this.service);
    following.recall = "done";
    if (this.#stop.signal.aborted) return;
    if (old === undefined || !listing.canRestore) return onDifference(NONE);
    if (listing.state === "silent") following.heardAt = platform.clock.now() - old.ageMs;
    const ago = `what ${source.name} listed of service "${this.service}" ${Math.round(old.ageMs / 1_000)} s ago`;
    logger.warn(`Using ${ago}: it ${listing.warming ? "has only just started" : "can't be heard yet"}`);
    onRestored?.();
    onDifference(this.#set.restore(listing, old.instances));
  }

  #lost(following: Following, failure: unknown): void {
    const { platform, logger, onDifference } = this.#surroundings;
    const { source, listing } = following;
    const wasLive = listing.state === "live";
    if (wasLive) following.heardAt = platform.clock.now();
    const first = wasLive || following.failure === undefined;
    following.failure = failure;
    if (first) logger.warn(`Cannot follow service "${this.service}" at ${source.name}`, failure);
    this.#recallAll();
    onDifference(wasLive ? this.#set.lose(listing) : NONE);
  }

  async #pause(ms: number): Promise<void> {
    const { signal } = this.#stop;
    if (signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => resolve();
    using _timer = this.#surroundings.platform.clock.timer(ms, wake);
    signal.addEventListener("abort", wake);
    await promise;
    signal.removeEventListener("abort", wake);
  }
}

function isRecalled({ listing, recall }: Following): boolean {
  return !listing.canRestore || recall === "done";
}
