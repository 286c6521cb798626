/**
 * Who may be listed, and until when: the book-keeping of a registry. It owns no timer; whoever does hands in `now`, in
 * milliseconds on a clock that never jumps, and says when it means to sweep.
 *
 * Invariants: a lease lasts at least its time to live, and longer by all the time that its registry stood still; the newest
 * incarnation holds the lease; what is listed follows the leases at once, or, for an instance that changes all the time, a
 * little later; what goes into the book is never changed again.
 */
import { RpcError } from "../core/error.ts";
import { hexId, type Random } from "../core/platform.ts";
import { type BookChange, contentOf, Directory, EVERYTHING, type Listed, sizeOf, type Why } from "./directory.ts";
import type { Instance } from "./instance.ts";
import { MassHold } from "./mass_hold.ts";
import { Pace } from "./pace.ts";
import type { Lease, Origin, Registered, RemovalCause, RenewResult } from "./registry.ts";

/** How much a book may hold. */
export interface Quotas {
  /** How many instances. */
  readonly instances: number;
  /** How many instances of one owner. */
  readonly instancesPerOwner: number;
  /** How many different services. */
  readonly services: number;
  /** How many bytes of what was registered, about. */
  readonly bytes: number;
}

/** What a {@link LeaseBook} is made from. */
export interface LeaseBookOptions {
  /** Names this life of the book: a text that no other life has. */
  readonly epoch: string;
  /** Where the tokens of leases come from. */
  readonly random: Random;
  /** Milliseconds since 1970, for people. */
  readonly wall: () => number;
  /** How many changes are remembered for those that fell behind. */
  readonly historyLimit: number;
  /** How many bytes of what was registered they may take, about; the last change is always remembered. Default 64 MiB. */
  readonly historyBytes?: number;
  /** How often in a second an instance may change what is listed. Default: as often as it likes. */
  readonly changesPerSecond?: number;
  /** How long at most an instance stays listed beyond its lease because it answers, or because too many are silent. Default 0: it does not. */
  readonly preserveMs?: number;
  /** In how long a time a few of too many silent ones may leave. Default 15 000. */
  readonly preservePerMs?: number;
  /** Whether the owner dials instances before their leases end. Default `false`. */
  readonly dials?: boolean;
  /** How much it may hold. Default: as much as comes. */
  readonly quotas?: Quotas;
  /** Told of every change, at once; it must not throw, nor change the book. */
  readonly onChange?: (change: BookChange) => void;
}

/** Who registers. */
export interface Registrant {
  /** Whose the instance is; without one it may replace anybody's. */
  readonly owner?: string;
  /** Who it is, for people. Default: the owner. */
  readonly actor?: string;
  /** Where it was seen; `undefined` in this process. */
  readonly from?: Origin;
}

/** What a sweep has found. */
export interface Swept {
  /** Whose leases have ended. */
  readonly evicted: readonly Instance[];
  /** Who is to be dialled: the answer goes to {@link LeaseBook.answer}. */
  readonly dial: readonly Suspect[];
}

/** Somebody whose lease runs out. */
export interface Suspect extends Registered {
  /** The lease. */
  readonly lease: Lease;
  /** What it lists. */
  readonly instance: Instance;
}

/** What is known of an instance beyond what it registered. */
export interface Standing {
  /** Whether it is doubted. */
  readonly suspect: boolean;
  /** For how long it has been registered without a gap, in milliseconds. */
  readonly ageMs: number;
  /** How long its lease lasts without renewal. */
  readonly ttlMs: number;
  /** How much of the lease is left; less than nothing when it is kept beyond it. */
  readonly leftMs: number;
  /** How many calls it said to be running, when it last said so. */
  readonly load: number | undefined;
  /** Whose it is; an empty text when nobody's. */
  readonly owner: string;
}

const TOKEN_DIGITS = 32;
const HISTORY_BYTES = 64 * 1024 * 1024;
/** How many incarnations that were told to stay away are remembered. */
const MAX_BARRED = 10_000;
/** Who does what nobody asked for. */
const CENTER = "center";

interface Holding {
  readonly instance: Instance;
  readonly names: ReadonlySet<string>;
  readonly lease: Lease;
  readonly owner: string;
  readonly actor: string;
  readonly from: Origin | undefined;
  readonly registeredAt: number;
  /** On the book's own time, which stands still while the registry does. */
  expiresAt: number;
  load: number | undefined;
  suspect: boolean;
  /** Since when it has been kept beyond its lease. */
  keptSince: number | undefined;
  /** When it last answered a dial. */
  answeredAt: number;
  dial: "none" | "out" | "silent";
}

/** Leases, and the listing that follows from them. */
export class LeaseBook {
  /** What others see. */
  readonly directory: Directory;
  readonly #options: LeaseBookOptions;
  readonly #holdings = new Map<string, Holding>();
  readonly #perOwner = new Map<string, number>();
  /** How many instances offer each service, listed already or not. */
  readonly #perService = new Map<string, number>();
  /** Incarnations that an operator has sent away. */
  readonly #barred = new Map<string, number>();
  readonly #pace: Pace | undefined;
  readonly #hold: MassHold | undefined;
  readonly #preserveMs: number;
  /** What is to be listed anew as soon as its pace allows. */
  readonly #deferred = new Map<string, Why>();
  #publishAt = Infinity;
  #bytes = 0;
  #stoodStillMs = 0;
  #sweepDueAt = Infinity;

  /** Opens an empty book. */
  constructor(options: LeaseBookOptions) {
    const { epoch, historyLimit, onChange = () => {}, changesPerSecond, preserveMs = 0, preservePerMs } = options;
    const { historyBytes = HISTORY_BYTES } = options;
    this.#options = options;
    this.directory = new Directory(epoch, { changes: historyLimit, bytes: historyBytes }, onChange);
    this.#pace = changesPerSecond === undefined ? undefined : new Pace(changesPerSecond);
    this.#preserveMs = preserveMs;
    this.#hold = preserveMs > 0 ? new MassHold({ maxMs: preserveMs, perMs: preservePerMs ?? 15_000 }) : undefined;
  }

  /** How many leases there are. */
  get size(): number {
    return this.#holdings.size;
  }

  /** For how long it has stood still altogether: so much longer did leases last that were running all the time. */
  get stoodStillMs(): number {
    return this.#stoodStillMs;
  }

  /** Whether so many are silent that they stay listed. */
  get isHolding(): boolean {
    return this.#hold?.isHolding === true;
  }

  /**
   * Says when the next sweep is meant to be, or `Infinity`. Whatever comes later than that shows that the registry stood still:
   * so much is added to every lease.
   */
  expectSweep(at: number): void {
    this.#sweepDueAt = at;
  }

  /**
   * Lists an instance, which the book keeps and nobody may change from then on, and ends the lease that its id had. Listing
   * again what is listed already is no change.
   *
   * @throws {RpcError} `unavailable` when a newer incarnation is listed, `permission_denied` when it is somebody else's,
   * `resource_exhausted` when a quota is full
   */
  register(instance: Instance, ttlMs: number, now: number, by: Registrant = {}): Lease {
    const time = this.#time(now);
    const before = this.#holdings.get(instance.id);
    const { id: instanceId, incarnation } = instance;
    this.#checkOwner(instance, before, by.owner);
    this.#checkIncarnation(instance, before);
    const unchanged = before !== undefined && contentOf(before.instance) === contentOf(instance);
    const owner = by.owner ?? before?.owner ?? "";
    if (!unchanged) this.#checkQuotas(instance, before, owner);
    const lease: Lease = Object.freeze({
      instanceId,
      incarnation,
      token: hexId(this.#options.random, TOKEN_DIGITS),
      ttlMs,
    });
    const fenced = before !== undefined && before.instance.incarnation < incarnation;
    const holding: Holding = {
      instance: unchanged ? before.instance : instance,
      names: unchanged ? before.names : new Set([EVERYTHING, ...instance.services]),
      lease,
      owner,
      actor: by.actor ?? owner,
      from: by.from,
      registeredAt: before !== undefined && !fenced ? before.registeredAt : now,
      expiresAt: time + ttlMs,
      load: fenced ? undefined : before?.load,
      suspect: false,
      keptSince: undefined,
      answeredAt: -Infinity,
      dial: "none",
    };
    if (before !== undefined) this.#forget(before);
    this.#remember(holding);
    if (!unchanged || before.suspect) {
      this.#list(instanceId, now, { cause: fenced ? "fenced" : "deregistered", actor: holding.actor });
    }
    return lease;
  }

  /** Starts a lease's time to live anew. A lease that is late, but has not ended, is in time. */
  renew(lease: Lease, now: number, load?: number): RenewResult {
    const time = this.#time(now);
    const holding = this.#holdings.get(lease.instanceId);
    if (holding?.lease.token === lease.token) {
      holding.expiresAt = time + holding.lease.ttlMs;
      holding.load = load ?? holding.load;
      holding.keptSince = undefined;
      holding.answeredAt = -Infinity;
      holding.dial = "none";
      this.#doubt(holding, false, now);
      return "renewed";
    }
    const newer = holding !== undefined && holding.lease.incarnation > lease.incarnation;
    return newer || this.#isBarred(lease) ? "fenced" : "unknown";
  }

  /** Ends a lease and the listing. Says whether there was one to end. */
  deregister(lease: Lease, cause: RemovalCause, now: number): boolean {
    const holding = this.#holdings.get(lease.instanceId);
    if (holding === undefined || holding.lease.token !== lease.token) return false;
    this.#end(holding, cause, holding.actor, now);
    return true;
  }

  /**
   * Ends the lease of an instance from outside. `drained` also makes this incarnation stay away: it is told that it is fenced.
   * @returns whether there was one
   */
  evict(instanceId: string, cause: "admin" | "drained", actor: string, now: number): boolean {
    const holding = this.#holdings.get(instanceId);
    if (holding === undefined) return false;
    if (cause === "drained") this.#bar(instanceId, holding.instance.incarnation);
    this.#end(holding, cause, actor, now);
    return true;
  }

  /** Ends the leases whose time is over, as far as they may end now, and says who is to be dialled before it does. */
  sweep(now: number): Swept {
    const time = this.#time(now);
    const due: Holding[] = [];
    const dial: Suspect[] = [];
    let silent = 0;
    for (const holding of this.#holdings.values()) {
      const leftMs = holding.expiresAt - time;
      if (leftMs > holding.lease.ttlMs / 3) continue;
      // It should have renewed its lease twice by now, or once at least.
      silent++;
      if (leftMs <= 0) due.push(holding);
      else if (this.#options.dials && leftMs <= DIAL_EARLY_MS) this.#dial(holding, time, dial);
    }
    this.#hold?.observe(time, this.#holdings.size, silent, due.length > 0);
    due.sort((a, b) => a.expiresAt - b.expiresAt);
    const evicted: Instance[] = [];
    for (const holding of due) {
      if (this.#mustStay(holding)) this.#keep(holding, time, now);
      else if (!this.#options.dials || holding.dial === "silent" || this.#isKeptTooLong(holding, time)) {
        this.#expire(holding, now);
        evicted.push(holding.instance);
      } else if (time - holding.answeredAt < holding.lease.ttlMs) this.#keep(holding, time, now);
      else {
        this.#dial(holding, time, dial);
        // Where very many are dialled it may take long until somebody is; he is doubted meanwhile.
        if (time - holding.expiresAt >= DIAL_LATE_MS) this.#keep(holding, time, now);
      }
    }
    return { evicted, dial };
  }

  /** Whether somebody is still waiting to hear whether the holder of a lease answers. */
  isAwaited(lease: Lease): boolean {
    const holding = this.#holdings.get(lease.instanceId);
    return holding?.lease.token === lease.token && holding.dial === "out";
  }

  /** Whom a sweep wanted dialled has answered, or has not. Says whether that ended its lease. */
  answer(lease: Lease, answered: boolean, now: number): boolean {
    const time = this.#time(now);
    const holding = this.#holdings.get(lease.instanceId);
    if (holding?.lease.token !== lease.token || holding.dial !== "out") return false;
    holding.dial = answered ? "none" : "silent";
    if (answered) holding.answeredAt = time;
    if (holding.expiresAt > time) return false;
    if (answered || this.#mustStay(holding)) {
      this.#keep(holding, time, now);
      return false;
    }
    this.#expire(holding, now);
    return true;
  }

  /** Doubts an instance, until its lease is renewed or it registers again. */
  suspect(instanceId: string, now: number): void {
    const holding = this.#holdings.get(instanceId);
    if (holding !== undefined) this.#doubt(holding, true, now);
  }

  /** When to look for what had to wait before it is listed, or sooner; `Infinity` when nothing has to. */
  get publishAt(): number {
    return this.#deferred.size === 0 ? Infinity : this.#publishAt;
  }

  /** Lists what had to wait long enough. */
  publish(now: number): void {
    const waiting = this.#deferred.size;
    this.#publishAt = Infinity;
    for (const [instanceId, why] of this.#deferred) {
      const readyAt = this.#pace!.readyAt(instanceId);
      if (readyAt > now) {
        this.#publishAt = Math.min(this.#publishAt, readyAt);
        continue;
      }
      this.#deferred.delete(instanceId);
      this.#publish(instanceId, now, why);
    }
    // To look at very many costs something: then it is not done for each of them alone.
    this.#publishAt = Math.max(this.#publishAt, now + waiting / LOOKED_AT_PER_MS);
  }

  /** Whether the listing has yet to follow the end of a lease. */
  isLeaving(lease: Lease): boolean {
    return this.#deferred.get(lease.instanceId)?.ended === lease.token;
  }

  /** Whether a lease lasts. */
  holds(lease: Lease): boolean {
    return this.#holdings.get(lease.instanceId)?.lease.token === lease.token;
  }

  /** Whose an instance is; `undefined` when it has no lease. */
  ownerOf(instanceId: string): string | undefined {
    return this.#holdings.get(instanceId)?.owner;
  }

  /** What is known of an instance, as long as it has a lease. */
  standing(instanceId: string, now: number): Standing | undefined {
    const holding = this.#holdings.get(instanceId);
    if (holding === undefined) return undefined;
    const { lease, owner, load, suspect, registeredAt, expiresAt } = holding;
    const leftMs = expiresAt - this.#time(now);
    return { suspect, ageMs: now - registeredAt, ttlMs: lease.ttlMs, leftMs, load, owner };
  }

  /** What the time is for leases: it stands still while the registry does. */
  #time(now: number): number {
    if (now > this.#sweepDueAt) {
      this.#stoodStillMs += now - this.#sweepDueAt;
      this.#sweepDueAt = now;
    }
    return now - this.#stoodStillMs;
  }

  #checkOwner({ id }: Instance, before: Holding | undefined, owner: string | undefined): void {
    if (before === undefined || owner === undefined || before.owner === owner) return;
    throw new RpcError("permission_denied", `Cannot register instance "${id}": it is listed for somebody else`, {
      executed: "no",
    });
  }

  #checkIncarnation({ id, incarnation }: Instance, before: Holding | undefined): void {
    const barred = this.#barred.get(id) ?? -1;
    const newest = Math.max(before?.instance.incarnation ?? -1, barred + 1);
    if (incarnation >= newest) {
      if (barred >= 0) this.#barred.delete(id);
      return;
    }
    const why = incarnation <= barred
      ? "it was drained, and must be started anew"
      : `incarnation ${newest} of it is listed, which is newer`;
    throw new RpcError("unavailable", `Cannot register instance "${id}" of incarnation ${incarnation}: ${why}`, {
      executed: "no",
    });
  }

  #checkQuotas(instance: Instance, before: Holding | undefined, owner: string): void {
    const { quotas } = this.#options;
    if (quotas === undefined) return;
    const check = (what: string, wanted: number, quota: number) => {
      if (wanted <= quota) return;
      throw new RpcError(
        "resource_exhausted",
        `Cannot register instance "${instance.id}": there would be ${wanted} ${what}, and the registry takes ${quota}`,
        { executed: "no" },
      );
    };
    if (before === undefined) check("instances", this.#holdings.size + 1, quotas.instances);
    if (before?.owner !== owner) {
      check(`instances of "${owner}"`, (this.#perOwner.get(owner) ?? 0) + 1, quotas.instancesPerOwner);
    }
    // Not those that are listed: what has to wait for that is there as well.
    const known = this.#perService.size;
    let services = known;
    for (const name of new Set(instance.services)) if (!this.#perService.has(name)) services++;
    if (services > known) check("services", services, quotas.services);
    const more = sizeOf(instance) - (before === undefined ? 0 : sizeOf(before.instance));
    if (more > 0) check("bytes", this.#bytes + more, quotas.bytes);
  }

  #remember(holding: Holding): void {
    this.#holdings.set(holding.lease.instanceId, holding);
    count(this.#perOwner, holding.owner, 1);
    for (const name of holding.names) if (name !== EVERYTHING) count(this.#perService, name, 1);
    this.#bytes += sizeOf(holding.instance);
  }

  #forget({ lease, owner, instance, names }: Holding): void {
    this.#holdings.delete(lease.instanceId);
    count(this.#perOwner, owner, -1);
    for (const name of names) if (name !== EVERYTHING) count(this.#perService, name, -1);
    this.#bytes -= sizeOf(instance);
  }

  #bar(instanceId: string, incarnation: number): void {
    this.#barred.delete(instanceId);
    this.#barred.set(instanceId, incarnation);
    if (this.#barred.size <= MAX_BARRED) return;
    for (const oldest of this.#barred.keys()) {
      this.#barred.delete(oldest);
      break;
    }
  }

  #isBarred({ instanceId, incarnation }: Lease): boolean {
    const barred = this.#barred.get(instanceId);
    return barred !== undefined && incarnation <= barred;
  }

  /** Whether a lease that has run out may not end now, because too many have. */
  #mustStay({ names }: Holding): boolean {
    const hold = this.#hold;
    if (hold === undefined || !hold.isHolding) return false;
    if (hold.allowance <= 0) return true;
    // Whatever is wrong, a list with one doubtful entry is better than an empty one.
    for (const name of names) if (name !== EVERYTHING && this.directory.countOf(name) <= 1) return true;
    return false;
  }

  #isKeptTooLong({ keptSince }: Holding, time: number): boolean {
    return keptSince !== undefined && time - keptSince >= this.#preserveMs;
  }

  #keep(holding: Holding, time: number, now: number): void {
    holding.keptSince ??= time;
    this.#doubt(holding, true, now);
  }

  #dial(holding: Holding, time: number, dial: Suspect[]): void {
    if (holding.dial !== "none" || time - holding.answeredAt < holding.lease.ttlMs) return;
    holding.dial = "out";
    dial.push(holding);
  }

  #expire(holding: Holding, now: number): void {
    this.#hold?.spend();
    this.#end(holding, "expired", CENTER, now);
  }

  #end(holding: Holding, cause: RemovalCause, actor: string, now: number): void {
    this.#forget(holding);
    this.#list(holding.lease.instanceId, now, { cause, actor, ended: holding.lease.token });
  }

  #doubt(holding: Holding, suspect: boolean, now: number): void {
    if (holding.suspect === suspect) return;
    holding.suspect = suspect;
    this.#list(holding.lease.instanceId, now, { cause: "expired", actor: suspect ? CENTER : holding.actor });
  }

  /** The listing of an instance is to follow its lease, now or when its pace allows. */
  #list(instanceId: string, now: number, why: Omit<Why, "at">): void {
    const whole: Why = { ...why, at: this.#options.wall() };
    const readyAt = this.#pace?.readyAt(instanceId) ?? -Infinity;
    if (readyAt > now) {
      if (this.#deferred.size === 0) this.#publishAt = readyAt;
      else this.#publishAt = Math.min(this.#publishAt, readyAt);
      this.#deferred.set(instanceId, whole);
    } else {
      this.#deferred.delete(instanceId);
      this.#publish(instanceId, now, whole);
    }
  }

  #publish(instanceId: string, now: number, why: Why): void {
    const listed = this.directory.get(instanceId);
    const holding = this.#holdings.get(instanceId);
    if (holding === undefined ? listed === undefined : listed !== undefined && isAs(listed, holding)) return;
    this.#pace?.take(instanceId, now);
    const after = holding && { instance: holding.instance, names: holding.names, suspect: holding.suspect };
    this.directory.put(instanceId, after, why);
  }
}

/** So many of those that wait to be listed are looked at in a millisecond, at most. */
const LOOKED_AT_PER_MS = 500;

/** One more of something that is counted, or one less; what there is none of is not counted. */
function count(counts: Map<string, number>, name: string, by: 1 | -1): void {
  const now = (counts.get(name) ?? 0) + by;
  if (now > 0) counts.set(name, now);
  else counts.delete(name);
}

/** From when before the end of a lease its instance is dialled: so the answer is there when it is needed. */
const DIAL_EARLY_MS = 1_000;
/** How long after it the answer may take before the instance is doubted. */
const DIAL_LATE_MS = 2_000;

/** Whether an instance is listed already as it should be. */
function isAs(listed: Listed, { instance, suspect }: Holding): boolean {
  if (listed.suspect !== suspect) return false;
  return listed.instance === instance || contentOf(listed.instance) === contentOf(instance);
}
