/**
 * What several registries say about one service, as one set. They share nothing with each other: every instance registers with
 * each of them, and this is where it comes together, by (instance, incarnation).
 *
 * Of each instance the newest incarnation counts. What a registry can be heard to list is in the set, whatever others say:
 * they may have lost their way to it. What a registry listed before it was lost, or before it restarted, stays in the set too,
 * unless somebody who can be heard has learned since that it left; and if somebody has only missed it since, it stays as a
 * last resort. So does what only an earlier process heard, once any registry can be heard.
 */
import { type Instance, sameInstance } from "../registry/instance.ts";
import type { WatchEvent } from "../registry/registry.ts";
import { type Entry, Listing } from "./listing.ts";

/** An instance of the set. */
export interface Resolved {
  readonly instance: Instance;
  /** Whether the registry that lists it doubts that it lives. */
  readonly suspect: boolean;
  /** Whether it is a last resort: only a registry that can't be heard lists it, and one that can has missed it, or is there at last. */
  readonly doubtful: boolean;
}

/** By what the set has changed. */
export interface Difference {
  /** What is new, or says something else. */
  readonly put: readonly Resolved[];
  /** The ids of what is gone. */
  readonly removed: readonly string[];
}

/** What several registries say about one service, as one set. */
export class MergedSet {
  /** One for each registry. */
  readonly listings: readonly Listing[];
  readonly #resolved = new Map<string, Resolved>();
  #news = 0;

  /** Makes an empty set. @param count how many registries there are */
  constructor(count: number) {
    this.listings = Array.from({ length: count }, () => new Listing());
  }

  /** The set, by id. */
  get resolved(): ReadonlyMap<string, Resolved> {
    return this.#resolved;
  }

  /** One of the registries has said something. */
  tell(listing: Listing, event: WatchEvent): Difference {
    const wasLive = listing.state === "live";
    const touched = listing.apply(event, ++this.#news);
    return this.#resolve(wasLive ? touched : this.#affected(listing, touched));
  }

  /** What one of the registries said to an earlier process. Is passed over once it has said as much to this one. */
  restore(listing: Listing, instances: readonly Instance[]): Difference {
    if (!listing.canRestore) return { put: [], removed: [] };
    listing.restore(instances);
    return this.#resolve([...listing.entries.keys()]);
  }

  /** One of the registries can't be heard any more. */
  lose(listing: Listing): Difference {
    listing.lose();
    return this.#resolve(this.#affected(listing, []));
  }

  /** Whose place in the set depends on whether a registry can be heard. */
  #affected(listing: Listing, touched: Iterable<string>): Iterable<string> {
    if (this.listings.length === 1) return touched;
    const restored = this.listings.filter(({ state }) => state === "restored");
    return new Set([...touched, ...[listing, ...restored].flatMap(({ entries }) => [...entries.keys()])]);
  }

  #resolve(ids: Iterable<string>): Difference {
    const put: Resolved[] = [];
    const removed: string[] = [];
    for (const id of ids) {
      const before = this.#resolved.get(id);
      const after = this.#best(id);
      if (after === undefined) {
        if (this.#resolved.delete(id)) removed.push(id);
      } else if (before === undefined || !sameResolved(before, after)) {
        this.#resolved.set(id, after);
        put.push(after);
      }
    }
    return { put, removed };
  }

  #best(id: string): Resolved | undefined {
    let best: Candidate | undefined;
    let listed = false;
    for (const listing of this.listings) {
      const entry = listing.entries.get(id);
      if (entry === undefined) continue;
      listed = true;
      const candidate = this.#judge(entry, listing);
      if (candidate !== undefined && (best === undefined || isBetter(candidate, best))) best = candidate;
    }
    // Nobody is left whom a departure could concern.
    if (!listed) { for (const listing of this.listings) listing.departures.delete(id); }
    return best;
  }

  /** What an entry is worth, considering what the other registries have said since. */
  #judge(entry: Entry, listing: Listing): Candidate | undefined {
    const { instance, suspect, news } = entry;
    const remembered = listing.state !== "live" || entry.kept;
    let doubtful = listing.state === "restored" && this.listings.some(({ state }) => state === "live");
    for (const other of this.listings) {
      const departure = other.departures.get(instance.id);
      if (departure === undefined || departure.news < news) continue;
      const { incarnation, certain } = departure;
      if (
        incarnation > instance.incarnation ? certain : certain && remembered && incarnation === instance.incarnation
      ) {
        return undefined;
      }
      doubtful ||= remembered && incarnation >= instance.incarnation;
    }
    return { instance, suspect, doubtful, remembered, news };
  }
}

interface Candidate extends Resolved {
  readonly remembered: boolean;
  readonly news: number;
}

function isBetter(a: Candidate, b: Candidate): boolean {
  if (a.instance.incarnation !== b.instance.incarnation) return a.instance.incarnation > b.instance.incarnation;
  if (a.remembered !== b.remembered) return b.remembered;
  if (a.doubtful !== b.doubtful) return b.doubtful;
  if (a.suspect !== b.suspect) return b.suspect;
  return a.news > b.news;
}

function sameResolved(a: Resolved, b: Resolved): boolean {
  return a.suspect === b.suspect && a.doubtful === b.doubtful && sameInstance(a.instance, b.instance);
}
