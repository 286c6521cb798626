/**
 * What is listed, and how that came about: the part of a registry's book that others see. It knows no leases.
 *
 * Invariants: each change has the revision after the last; the history holds the last changes and no gap; an instance is in
 * the roster of each of its names and in no other; no roster is empty; what goes in is never changed again.
 */
import type { Instance } from "./instance.ts";
import type { Change, Cursor, RemovalCause, Snapshot } from "./registry.ts";

/** An instance as it is listed. */
export interface Listed {
  /** What was registered. */
  readonly instance: Instance;
  /** The names under which it is listed: its services, and {@link EVERYTHING}. */
  readonly names: ReadonlySet<string>;
  /** Whether it is doubted. */
  readonly suspect: boolean;
}

/** How a change came about. */
export interface Why {
  /** Why the instance left the names that it left. */
  readonly cause: RemovalCause;
  /** Who did it, for people. */
  readonly actor: string;
  /** When, in milliseconds since 1970, for people. */
  readonly at: number;
  /** The token of the lease that ended with the listing, if one did. */
  readonly ended?: string;
}

/** A change as the history keeps it, for every name at once. */
export interface BookChange extends Why {
  /** Which change it is; the first is the one after the revision that the directory began with. */
  readonly revision: number;
  /** Whom it concerns. */
  readonly instanceId: string;
  /** What was listed before it, if anything was. */
  readonly before: Listed | undefined;
  /** What is listed from then on, if anything is. */
  readonly after: Listed | undefined;
  /** The names under which it is not listed any more. */
  readonly left: ReadonlySet<string>;
  /** About how large it is. */
  readonly bytes: number;
}

/** What has changed under one name. */
export interface Batch {
  /** In the order in which they came about. */
  readonly changes: readonly Change[];
  /** Up to where they go: the rest comes after it. */
  readonly revision: number;
}

/** The name under which every instance is listed. No service can have it. */
export const EVERYTHING = "*";

/** More than that is not told as changes: a snapshot says the same and is bounded by what is listed. */
const MAX_BATCH_CHANGES = 1_000;
const MAX_BATCH_BYTES = 1024 * 1024;
/** What a change takes beside the instance. */
const CHANGE_BYTES = 200;
const NO_NAMES: ReadonlySet<string> = new Set();

/** How far the history goes. */
export interface HistoryLimit {
  /** How many changes. */
  readonly changes: number;
  /** How many bytes of what was registered, about. The last change is always kept. */
  readonly bytes: number;
}

/** The instances under one name, and the same in the order of their ids once somebody has asked. */
interface Roster {
  readonly instances: Map<string, Instance>;
  sorted: readonly Instance[] | undefined;
}

/** What is listed, and the last changes in that. */
export class Directory {
  /** Names this life of the directory. */
  epoch: string;
  /** Whether it has just begun, so that what is missing may only not have returned yet. */
  warming = false;
  /** At which revision it stopped warming. */
  warmedAt = -1;
  readonly #historyLimit: HistoryLimit;
  readonly #onChange: (change: BookChange) => void;
  readonly #listed = new Map<string, Listed>();
  readonly #rosters = new Map<string, Roster>();
  readonly #suspects = new Set<string>();
  #history: (BookChange | undefined)[] = [];
  #historyBytes = 0;
  #oldest = 0;
  #revision = 0;

  /** Begins with nothing listed. @param onChange told of every change, at once; it must not throw, nor change the directory */
  constructor(epoch: string, historyLimit: HistoryLimit, onChange: (change: BookChange) => void) {
    this.epoch = epoch;
    this.#historyLimit = historyLimit;
    this.#onChange = onChange;
  }

  /** How many changes there have been, those before it began included. */
  get revision(): number {
    return this.#revision;
  }

  /** How many services are offered. */
  get serviceCount(): number {
    return Math.max(0, this.#rosters.size - 1);
  }

  /** The first revision of which it can tell what was listed. */
  get oldest(): number {
    return this.#oldest;
  }

  /** Goes on where an earlier life ended. Nobody may have been told anything yet. */
  restore({ epoch, revision }: Cursor): void {
    this.epoch = epoch;
    this.#revision = this.#oldest = revision;
  }

  /** Whether anybody offers a service. */
  has(name: string): boolean {
    return this.#rosters.has(name);
  }

  /** How many offer a service. */
  countOf(name: string): number {
    return this.#rosters.get(name)?.instances.size ?? 0;
  }

  /** An instance as it is listed. */
  get(instanceId: string): Listed | undefined {
    return this.#listed.get(instanceId);
  }

  /** Lists an instance in a new state, or no longer; the one place where anything changes. */
  put(instanceId: string, after: Listed | undefined, { cause, actor, at, ended }: Why): void {
    const before = this.#listed.get(instanceId);
    const names = after?.names ?? NO_NAMES;
    const left = before === undefined ? NO_NAMES : before.names.difference(names);
    for (const name of left) {
      const roster = this.#roster(name);
      roster.instances.delete(instanceId);
      if (roster.instances.size === 0) this.#rosters.delete(name);
    }
    if (after === undefined) this.#listed.delete(instanceId);
    else {
      this.#listed.set(instanceId, after);
      for (const name of names) this.#roster(name).instances.set(instanceId, after.instance);
    }
    if (after?.suspect) this.#suspects.add(instanceId);
    else this.#suspects.delete(instanceId);
    const bytes = after === undefined ? instanceId.length : sizeOf(after.instance);
    const change = { revision: ++this.#revision, instanceId, before, after, left, cause, actor, at, ended, bytes };
    this.#remember(change);
    this.#onChange(change);
  }

  /** What is listed under a name. */
  snapshot(name: string): Snapshot {
    const roster = this.#rosters.get(name);
    if (roster !== undefined) roster.sorted ??= Object.freeze([...roster.instances.values()].sort(byId));
    const instances = roster?.sorted ?? [];
    return this.#withSuspects({ epoch: this.epoch, revision: this.#revision, instances, warming: this.warming });
  }

  /** What was listed under a name at a revision, or `undefined` when the history does not reach there. */
  at(name: string, revision: number): Snapshot | undefined {
    if (!this.#reaches(revision)) return undefined;
    const roster = new Map(this.#rosters.get(name)?.instances);
    const suspects = new Set(this.#suspects);
    for (let back = this.#revision; back > revision; back--) {
      const { instanceId, before } = this.#change(back);
      if (before?.names.has(name)) roster.set(instanceId, before.instance);
      else roster.delete(instanceId);
      if (before?.suspect) suspects.add(instanceId);
      else suspects.delete(instanceId);
    }
    const instances = [...roster.values()].sort(byId);
    const snapshot = { epoch: this.epoch, revision, instances, warming: false };
    return this.#withSuspects(snapshot, suspects);
  }

  /**
   * What has changed under a name after a revision; `undefined` when the history does not reach there, or when it is so much
   * that a snapshot is better.
   */
  changesAfter(name: string, after: number): Batch | undefined {
    if (!this.#reaches(after)) return undefined;
    const changes: Change[] = [];
    let bytes = 0;
    for (let revision = after + 1; revision <= this.#revision; revision++) {
      const recorded = this.#change(revision);
      const change = changeUnder(name, recorded);
      if (change === undefined) continue;
      if (changes.length === MAX_BATCH_CHANGES || bytes > MAX_BATCH_BYTES) return undefined;
      changes.push(change);
      bytes += recorded.bytes;
    }
    return { changes, revision: this.#revision };
  }

  /** The changes after a revision that the history still holds, the oldest first. */
  *history(after: number): Generator<BookChange> {
    for (let revision = Math.max(after, this.oldest) + 1; revision <= this.#revision; revision++) {
      yield this.#change(revision);
    }
  }

  /** The change with which a lease and its listing ended, or `undefined` when the history does not hold it. */
  endOf(token: string): BookChange | undefined {
    for (let revision = this.#revision; revision > this.oldest; revision--) {
      const change = this.#change(revision);
      if (change.ended === token) return change;
    }
    return undefined;
  }

  #reaches(revision: number): boolean {
    return Number.isSafeInteger(revision) && revision >= this.oldest && revision <= this.#revision;
  }

  #change(revision: number): BookChange {
    return this.#history[revision % this.#historyLimit.changes]!;
  }

  /** Puts a change into the history, and forgets the oldest ones for it, as far as they are too many or too large. */
  #remember(change: BookChange): void {
    const { changes, bytes } = this.#historyLimit;
    if (change.revision - this.#oldest > changes) this.#forgetOldest();
    this.#history[change.revision % changes] = change;
    this.#historyBytes += heldBy(change);
    while (this.#historyBytes > bytes && this.#oldest < change.revision - 1) this.#forgetOldest();
  }

  #forgetOldest(): void {
    this.#oldest++;
    this.#historyBytes -= heldBy(this.#change(this.#oldest));
    this.#history[this.#oldest % this.#historyLimit.changes] = undefined;
  }

  #withSuspects(snapshot: Snapshot, among: ReadonlySet<string> = this.#suspects): Snapshot {
    if (among.size === 0) return snapshot;
    const suspects = snapshot.instances.filter(({ id }) => among.has(id)).map(({ id }) => id);
    return suspects.length === 0 ? snapshot : { ...snapshot, suspects };
  }

  /** The roster of a name, about to be changed. */
  #roster(name: string): Roster {
    let roster = this.#rosters.get(name);
    if (roster === undefined) this.#rosters.set(name, roster = { instances: new Map(), sorted: undefined });
    roster.sorted = undefined;
    return roster;
  }
}

function changeUnder(name: string, { instanceId, after, left, cause }: BookChange): Change | undefined {
  if (after?.names.has(name)) {
    const { instance, suspect } = after;
    return suspect ? { kind: "put", instance, suspect } : { kind: "put", instance };
  }
  return left.has(name) ? { kind: "removed", instanceId, cause } : undefined;
}

/** About how many bytes a change keeps in memory. What was listed before it, the change before that keeps too. */
function heldBy({ before, after }: BookChange): number {
  return CHANGE_BYTES + sizeOf((after ?? before)!.instance);
}

function byId(a: Instance, b: Instance): number {
  return a.id < b.id ? -1 : 1;
}

const sizes = new WeakMap<Instance, number>();

/** About how many bytes an instance takes in a message. */
export function sizeOf(instance: Instance): number {
  let size = sizes.get(instance);
  if (size === undefined) sizes.set(instance, size = contentOf(instance).length);
  return size;
}

/** The same text for two instances exactly if nobody could tell them apart. */
export function contentOf({ id, incarnation, endpoints, services, zone, weight, version, metadata }: Instance): string {
  const pairs = Object.entries(metadata).sort(([a], [b]) => a < b ? -1 : 1);
  return JSON.stringify([id, incarnation, endpoints, services, zone, weight, version, pairs]);
}
