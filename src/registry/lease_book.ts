/**
 * Who is listed, until when, and how that came about: the book-keeping of a registry. It owns no timer; whoever does
 * hands in `now`, in milliseconds on a clock that never jumps.
 *
 * Invariants: each change has the revision after the last; the history holds the last changes and no gap; an instance is in
 * the roster of each of its names and in no other; no roster is empty; what goes into the book is never changed again.
 */
import { RpcError } from "../core/error.ts";
import { hexId, type Random } from "../core/platform.ts";
import type { Instance } from "./instance.ts";
import type { Change, Lease, RemovalCause, RenewResult, Snapshot } from "./registry.ts";

/** What a {@link LeaseBook} is made from. */
export interface LeaseBookOptions {
  /** Names this life of the book: a text that no other life has. */
  readonly epoch: string;
  /** Where the tokens of leases come from. */
  readonly random: Random;
  /** How many changes are remembered for those that fell behind. */
  readonly historyLimit: number;
  /** Until when snapshots say that the book is warming. Default: they never do. */
  readonly warmingUntil?: number;
  /** Told of every change, at once; it must not throw, nor change the book. */
  readonly onChange?: (change: BookChange) => void;
}

/** A change as the history keeps it, for every name at once. */
export interface BookChange {
  /** Which change it is; the first is 1. */
  readonly revision: number;
  /** Whom it concerns. */
  readonly instanceId: string;
  /** What is listed from then on, if anything is. */
  readonly instance: Instance | undefined;
  /** The names under which it is listed from then on. */
  readonly names: ReadonlySet<string>;
  /** The names under which it is not listed any more. */
  readonly left: ReadonlySet<string>;
  /** Why it left them. */
  readonly cause: RemovalCause;
  /** Whether it is doubted from then on. */
  readonly suspect: boolean;
  /** The token of the lease that ended with the listing; `undefined` when something is listed. */
  readonly ended: string | undefined;
  /** About how large it is. */
  readonly bytes: number;
}

/** Some of what has changed under one name: up to a thousand changes, or about 1 MiB. */
export interface Batch {
  /** In the order in which they came about. */
  readonly changes: readonly Change[];
  /** Up to where they go: the rest comes after it. */
  readonly revision: number;
}

/** The name under which every instance is listed. No service can have it. */
export const EVERYTHING = "*";

const TOKEN_DIGITS = 32;
const MAX_BATCH_CHANGES = 1_000;
const MAX_BATCH_BYTES = 1024 * 1024;
const NO_NAMES: ReadonlySet<string> = new Set();

interface Holding {
  readonly instance: Instance;
  readonly names: ReadonlySet<string>;
  readonly lease: Lease;
  expiresAt: number;
  suspect: boolean;
}

/** The instances under one name, and the same in the order of their ids once somebody has asked. */
interface Roster {
  readonly instances: Map<string, Instance>;
  sorted: readonly Instance[] | undefined;
}

/** Leases, what they keep listed, and the last changes in that. */
export class LeaseBook {
  /** Names this life of the book. */
  readonly epoch: string;
  readonly #options: LeaseBookOptions;
  readonly #holdings = new Map<string, Holding>();
  readonly #rosters = new Map<string, Roster>();
  readonly #suspects = new Set<string>();
  readonly #history: BookChange[] = [];
  #revision = 0;

  /** Opens an empty book. */
  constructor(options: LeaseBookOptions) {
    this.epoch = options.epoch;
    this.#options = options;
  }

  /** How many changes there have been. */
  get revision(): number {
    return this.#revision;
  }

  /** How many instances are listed. */
  get size(): number {
    return this.#holdings.size;
  }

  /** How many services are offered. */
  get serviceCount(): number {
    return Math.max(0, this.#rosters.size - 1);
  }

  /**
   * Lists an instance, which the book keeps and nobody may change from then on, and ends the lease that its id had. Listing
   * again what is listed already is no change.
   *
   * @throws {RpcError} `unavailable` when a newer incarnation is listed
   */
  register(instance: Instance, ttlMs: number, now: number): Lease {
    const before = this.#holdings.get(instance.id);
    if (before !== undefined && instance.incarnation < before.instance.incarnation) {
      throw new RpcError(
        "unavailable",
        `Cannot register instance "${instance.id}" of incarnation ${instance.incarnation}: ` +
          `incarnation ${before.instance.incarnation} of it is listed, which is newer`,
        { executed: "no" },
      );
    }
    const { id: instanceId, incarnation } = instance;
    const lease: Lease = Object.freeze({
      instanceId,
      incarnation,
      token: hexId(this.#options.random, TOKEN_DIGITS),
      ttlMs,
    });
    const unchanged = before !== undefined && contentOf(before.instance) === contentOf(instance);
    const holding: Holding = {
      instance: unchanged ? before.instance : instance,
      names: unchanged ? before.names : new Set([EVERYTHING, ...instance.services]),
      lease,
      expiresAt: now + ttlMs,
      suspect: false,
    };
    this.#holdings.set(instanceId, holding);
    if (!unchanged || before.suspect) {
      const fenced = before !== undefined && before.instance.incarnation < incarnation;
      this.#list(instanceId, holding, before, fenced ? "fenced" : "deregistered");
    }
    return lease;
  }

  /** Starts a lease's time to live anew. A lease that is late, but not yet swept, is in time. */
  renew(lease: Lease, now: number): RenewResult {
    const holding = this.#holdings.get(lease.instanceId);
    if (holding === undefined) return "unknown";
    if (holding.lease.token === lease.token) {
      holding.expiresAt = now + holding.lease.ttlMs;
      this.#doubt(holding, false);
      return "renewed";
    }
    return holding.lease.incarnation > lease.incarnation ? "fenced" : "unknown";
  }

  /** Ends a lease and the listing. Says whether there was one to end. */
  deregister(lease: Lease, cause: RemovalCause): boolean {
    const holding = this.#holdings.get(lease.instanceId);
    if (holding === undefined || holding.lease.token !== lease.token) return false;
    this.#remove(holding, cause);
    return true;
  }

  /** Ends the leases whose time is over. Says whose they were. */
  sweep(now: number): Instance[] {
    const due = [...this.#holdings.values()].filter((holding) => holding.expiresAt <= now);
    for (const holding of due) this.#remove(holding, "expired");
    return due.map((holding) => holding.instance);
  }

  /** Doubts an instance, or no longer; a renewal ends every doubt. Says whether that changes anything. */
  suspect(instanceId: string, suspect: boolean): boolean {
    const holding = this.#holdings.get(instanceId);
    return holding !== undefined && this.#doubt(holding, suspect);
  }

  /** The change with which a lease and its listing ended, or `undefined` when the history does not hold it. */
  endOf(lease: Lease): BookChange | undefined {
    return this.#history.find((change) => change.ended === lease.token);
  }

  /** Whether a lease lasts. */
  holds(lease: Lease): boolean {
    return this.#holdings.get(lease.instanceId)?.lease.token === lease.token;
  }

  /** What is listed under a name. */
  snapshot(name: string, now: number): Snapshot {
    const roster = this.#rosters.get(name);
    if (roster !== undefined) roster.sorted ??= Object.freeze([...roster.instances.values()].sort(byId));
    const instances = roster?.sorted ?? [];
    const snapshot: Snapshot = {
      epoch: this.epoch,
      revision: this.#revision,
      instances,
      warming: now < (this.#options.warmingUntil ?? -Infinity),
    };
    if (this.#suspects.size === 0) return snapshot;
    const suspects = instances.filter(({ id }) => this.#suspects.has(id)).map(({ id }) => id);
    return suspects.length === 0 ? snapshot : { ...snapshot, suspects };
  }

  /** What has changed under a name after a revision, or `undefined` when the book cannot tell (any more). */
  changesAfter(name: string, after: number): Batch | undefined {
    const oldest = this.#revision - this.#history.length;
    if (!Number.isSafeInteger(after) || after < oldest || after > this.#revision) return undefined;
    const changes: Change[] = [];
    let revision = after;
    let bytes = 0;
    while (revision < this.#revision && changes.length < MAX_BATCH_CHANGES && bytes < MAX_BATCH_BYTES) {
      const recorded = this.#history[revision++ % this.#options.historyLimit];
      const change = changeUnder(name, recorded);
      if (change === undefined) continue;
      changes.push(change);
      bytes += recorded.bytes;
    }
    return { changes, revision };
  }

  #doubt(holding: Holding, suspect: boolean): boolean {
    if (holding.suspect === suspect) return false;
    holding.suspect = suspect;
    this.#list(holding.lease.instanceId, holding, holding, "deregistered");
    return true;
  }

  #remove(holding: Holding, cause: RemovalCause): void {
    this.#holdings.delete(holding.lease.instanceId);
    this.#list(holding.lease.instanceId, undefined, holding, cause);
  }

  /** Puts an instance under its names and takes it from those that it had before; the one place where anything changes. */
  #list(instanceId: string, holding: Holding | undefined, before: Holding | undefined, cause: RemovalCause): void {
    const names = holding?.names ?? NO_NAMES;
    const left = (before?.names ?? NO_NAMES).difference(names);
    for (const name of left) {
      const roster = this.#roster(name);
      roster.instances.delete(instanceId);
      if (roster.instances.size === 0) this.#rosters.delete(name);
    }
    const instance = holding?.instance;
    if (instance !== undefined) {
      for (const name of names) this.#roster(name).instances.set(instanceId, instance);
    }
    const suspect = holding?.suspect === true;
    if (suspect) this.#suspects.add(instanceId);
    else this.#suspects.delete(instanceId);
    const change: BookChange = {
      revision: ++this.#revision,
      instanceId,
      instance,
      names,
      left,
      cause,
      suspect,
      ended: holding === undefined ? before?.lease.token : undefined,
      bytes: instance === undefined ? instanceId.length : contentOf(instance).length,
    };
    this.#history[(change.revision - 1) % this.#options.historyLimit] = change;
    this.#options.onChange?.(change);
  }

  /** The roster of a name, about to be changed. */
  #roster(name: string): Roster {
    let roster = this.#rosters.get(name);
    if (roster === undefined) this.#rosters.set(name, roster = { instances: new Map(), sorted: undefined });
    roster.sorted = undefined;
    return roster;
  }
}

function changeUnder(name: string, change: BookChange): Change | undefined {
  const { names, left, instance, instanceId, cause, suspect } = change;
  if (instance !== undefined && names.has(name)) {
    return suspect ? { kind: "put", instance, suspect } : { kind: "put", instance };
  }
  return left.has(name) ? { kind: "removed", instanceId, cause } : undefined;
}

function byId(a: Instance, b: Instance): number {
  return a.id < b.id ? -1 : 1;
}

/** The same text for two instances exactly if nobody could tell them apart. */
function contentOf({ id, incarnation, endpoints, services, zone, weight, version, metadata }: Instance): string {
  const pairs = Object.entries(metadata).sort(([a], [b]) => a < b ? -1 : 1);
  return JSON.stringify([id, incarnation, endpoints, services, zone, weight, version, pairs]);
}
