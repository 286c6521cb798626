/**
 * What one registry has said about one service. Pure book-keeping: whoever follows the registry tells it of events.
 *
 * Invariants: an instance is either listed or has departed, never both; what is `kept` was listed before the registry began
 * to warm, and has not returned.
 */
import { type Instance, sameInstance } from "../registry/instance.ts";
import type { Cursor, RemovalCause, WatchEvent } from "../registry/registry.ts";

/** An instance as one registry lists it. */
export interface Entry {
  readonly instance: Instance;
  /** Whether the registry doubts that it lives. */
  readonly suspect: boolean;
  /** Whether it is only kept until the registry has warmed up. */
  readonly kept: boolean;
  /** Which piece of news first said this; later ones are greater. */
  readonly news: number;
}

/** An instance that one registry lists no more. */
export interface Departure {
  readonly incarnation: number;
  /** Whether it, or its successor, said so itself; otherwise the registry only missed it. */
  readonly certain: boolean;
  /** Which piece of news said this. */
  readonly news: number;
}

/** `silent` has never said anything, `lost` can't be heard any more, `restored` has not said anything since another process heard it. */
export type ListingState = "silent" | "restored" | "live" | "lost";

const CERTAIN: ReadonlySet<RemovalCause> = new Set<RemovalCause>(["deregistered", "drained", "fenced"]);

/** What one registry has said about one service. */
export class Listing {
  /** What it lists, by id. */
  readonly entries = new Map<string, Entry>();
  /** What it lists no more, by id. Others delete what they need no longer. */
  readonly departures = new Map<string, Departure>();
  #state: ListingState = "silent";
  #cursor: Cursor | undefined;
  #warming = false;

  /** What it lists. */
  get instances(): Instance[] {
    return [...this.entries.values()].map(({ instance }) => instance);
  }

  /** Whether it can be heard. */
  get state(): ListingState {
    return this.#state;
  }

  /** Up to where it has been heard. */
  get cursor(): Cursor | undefined {
    return this.#cursor;
  }

  /** Whether what another process heard would say more than it has said itself. */
  get canRestore(): boolean {
    return this.#state === "silent" || this.#warming;
  }

  /** Whether the registry has just started, so that what is missing may only not have returned yet. */
  get warming(): boolean {
    return this.#warming;
  }

  /** Takes an event, and says whose entries it touched. @throws {TypeError} when it is none; then nothing has changed */
  apply(event: WatchEvent, news: number): Set<string> {
    if (!isEvent(event)) throw new TypeError("Cannot use what a registry said: it is no event");
    const touched = new Set<string>();
    if (event.kind === "snapshot") this.#replace(event, news, touched);
    else {
      for (const change of event.changes) {
        if (change.kind === "put") this.#put(change.instance, change.suspect === true, news, touched);
        else this.#remove(change.instanceId, CERTAIN.has(change.cause), news, touched);
      }
      if (event.warmed === true) this.#warmed(news, touched);
    }
    this.#cursor = { epoch: event.epoch, revision: event.revision };
    this.#state = "live";
    return touched;
  }

  /**
   * Takes what another process heard: in the place of what it has not said yet, or beside what it has said so far if it has just
   * started.
   */
  restore(instances: readonly Instance[]): void {
    const kept = this.#state !== "silent";
    for (const instance of instances) {
      if (!this.entries.has(instance.id)) this.entries.set(instance.id, { instance, suspect: false, kept, news: 0 });
    }
    if (!kept) this.#state = "restored";
  }

  /** It can't be heard any more: what it listed stays. */
  lose(): void {
    if (this.#state === "live") this.#state = "lost";
  }

  #replace(event: WatchEvent & { kind: "snapshot" }, news: number, touched: Set<string>): void {
    const suspects = new Set(event.suspects);
    const listed = new Set(event.instances.map((instance) => instance.id));
    this.#warming = event.warming;
    for (const [id, entry] of this.entries) {
      if (listed.has(id)) continue;
      if (!event.warming) this.#remove(id, false, news, touched);
      else if (!entry.kept) {
        this.entries.set(id, { ...entry, kept: true });
        touched.add(id);
      }
    }
    for (const instance of event.instances) this.#put(instance, suspects.has(instance.id), news, touched);
  }

  /** Who has not returned by now has not outlived what the registry went through. */
  #warmed(news: number, touched: Set<string>): void {
    this.#warming = false;
    for (const [id, entry] of this.entries) if (entry.kept) this.#remove(id, false, news, touched);
  }

  #put(instance: Instance, suspect: boolean, news: number, touched: Set<string>): void {
    const { id } = instance;
    // What has no address can't be called, whoever lists it.
    if (instance.endpoints.length === 0) return this.#remove(id, false, news, touched);
    const before = this.entries.get(id);
    const same = before !== undefined && sameInstance(before.instance, instance);
    this.departures.delete(id);
    if (same && before.suspect === suspect && !before.kept) return;
    // What is only said again is no news: a registry that was away must not outvote those that went on.
    this.entries.set(id, {
      instance: same ? before.instance : instance,
      suspect,
      kept: false,
      news: same ? before.news : news,
    });
    touched.add(id);
  }

  #remove(id: string, certain: boolean, news: number, touched: Set<string>): void {
    const before = this.entries.get(id);
    if (before === undefined) return;
    this.entries.delete(id);
    this.departures.set(id, { incarnation: before.instance.incarnation, certain, news });
    touched.add(id);
  }
}

/** Whether all that is read of an event is there: a registry may be of any version, and its author's own. */
function isEvent(event: WatchEvent): boolean {
  if (typeof event?.epoch !== "string" || typeof event.revision !== "number") return false;
  if (event.kind === "snapshot") return Array.isArray(event.instances) && event.instances.every(isInstance);
  return event.kind === "changes" && Array.isArray(event.changes) &&
    event.changes.every((change) =>
      change?.kind === "put"
        ? isInstance(change.instance)
        : change?.kind === "removed" && typeof change.instanceId === "string"
    );
}

function isInstance(instance: Instance): boolean {
  return typeof instance?.id === "string" && typeof instance.incarnation === "number" &&
    Array.isArray(instance.endpoints) && Array.isArray(instance.services) && typeof instance.metadata === "object" &&
    instance.metadata !== null;
}
