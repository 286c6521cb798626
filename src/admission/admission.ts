/**
 * Which calls run now, which wait, and which are refused. Pure book-keeping: it takes the time it is told and owns no timer;
 * the {@link Gate} is what drives it.
 *
 * Invariants: nobody overtakes one who waits, unless he matters more; `running` counts what has begun and not ended; what
 * waits is either taken by `next`, or told that it is refused, or withdrawn, once.
 */
import { AdaptiveLimit } from "./adaptive_limit.ts";
import { LoopGuard } from "./loop_guard.ts";
import type { AdmissionPolicy } from "./options.ts";
import {
  FULL,
  FULL_OF_BYTES,
  OVERLOADED,
  type Refusal,
  type RefusalCause,
  SHORT_OF_MEMORY,
  TOO_LATE,
} from "./refusal.ts";
import { type Caller, Place, type Rank, WaitQueue } from "./wait_queue.ts";

/** A call that waits, as far as admission knows it. None of these may throw. */
export interface Waiter {
  /** Its turn has come: it runs from now on, and must end. */
  proceed(): void;
  /** It will not run. */
  refused(why: Refusal): void;
}

/** What was counted and what is so now. */
export interface AdmissionStats {
  /** How many calls run. */
  readonly running: number;
  /** How many calls wait. */
  readonly waiting: number;
  /** How many may run at once as things are; `Infinity` when there is no such number. */
  readonly limit: number;
  /** How late the event loop was when it was last seen, in milliseconds. */
  readonly lagMs: number;
  /** How many calls have had to wait. */
  readonly waited: number;
  /** How many calls were refused, by cause. */
  readonly refused: Readonly<Record<RefusalCause, number>>;
}

/** A call waits for half of the time that it has left at most: the other half is for running it, here or elsewhere. */
const SHARE = 0.5;
/** How long what was measured of the pace counts, in milliseconds: after that, some third of it is left. */
const PACE_MEMORY_MS = 500;
/** The pace is known after so many turns, or once there has been a queue for so long. */
const PACE_TURNS = 8;
const PACE_AFTER_MS = 1_000;
/** While there is too much, so many times as many may wait as get their turn within `targetMs`. */
const SPARE = 2;
/** Nobody waits for longer than this, in milliseconds, while there is too much, however slow it goes. */
const MOST_PATIENCE_MS = 1_000;
/** The least and the most that a refused caller is told to wait, in milliseconds. */
const RETRY_AFTER_MS = { least: 100, most: 1_000 };

/** Decides about the calls of one server. */
export class Admission {
  readonly #policy: AdmissionPolicy;
  readonly #queue = new WaitQueue<Waiter>();
  readonly #guard: LoopGuard;
  readonly #adaptive: AdaptiveLimit | undefined;
  readonly #fixed: number;
  readonly #refused: Record<RefusalCause, number> = { full: 0, tooLate: 0, overloaded: 0, memory: 0 };
  /** Whether the heap is nearly full. */
  shortOfMemory = false;
  #running = 0;
  #waited = 0;
  /** How many have begun since the loop was last seen. */
  #begun = 0;
  /** Time from one turn to the next while there is a queue, in milliseconds; 0 when nobody knows. */
  #paceMs = 0;
  #takenAt = 0;
  /** What the pace is made from: times with a queue, and turns taken in them. */
  #paced = { ms: 0, turns: 0 };
  #seenAt = -Infinity;
  #queuedSince = 0;
  #overloadedUntil = -Infinity;
  #retries = 0;

  /** Makes one that has seen no call. */
  constructor(policy: AdmissionPolicy) {
    this.#policy = policy;
    this.#guard = new LoopGuard(policy.maxLagMs);
    this.#adaptive = policy.limit === "adaptive" ? new AdaptiveLimit(policy) : undefined;
    this.#fixed = typeof policy.limit === "number" ? policy.limit : Infinity;
  }

  /** How many calls run. */
  get running(): number {
    return this.#running;
  }

  /** How many calls wait. */
  get waiting(): number {
    return this.#queue.size;
  }

  /** How many may run at once, as far as a limit says so. */
  get limit(): number {
    return this.#adaptive === undefined ? this.#fixed : this.#adaptive.limit;
  }

  /** How late the event loop was when it was last seen, in milliseconds. */
  get lagMs(): number {
    return this.#guard.lagMs;
  }

  /** Whether it wants to know how long calls take. */
  get isTiming(): boolean {
    return this.#adaptive !== undefined;
  }

  /** Whether one of those that wait may run now. */
  get hasTurn(): boolean {
    return this.#queue.size > 0 && this.#running < this.limit && this.#guard.mayBegin();
  }

  /**
   * Decides about a call that is there, has so much time left, and would hold so many bytes. When it may run, `begin` must
   * follow; when it is to wait, `wait`.
   */
  decide(caller: Caller, rank: Rank, leftMs: number, bytes: number, now: number): "run" | "wait" | Refusal {
    const guard = this.#guard;
    if (
      this.#queue.size === 0 && !guard.late && this.#running < this.limit && guard.mayBegin() && !this.shortOfMemory
    ) return "run";
    if (this.shortOfMemory) return this.#refuse(SHORT_OF_MEMORY);
    const overloaded = this.#isOverloaded(now);
    const { maxWaiting } = this.#policy;
    let room = maxWaiting;
    if (overloaded && this.#paceMs > 0) {
      room = Math.min(room, Math.ceil(this.#patienceMs(now) / this.#paceMs * SPARE) + this.#free());
    } else if (!overloaded) {
      if (this.#queue.ahead(caller, rank) * this.#paceMs > this.#worthMs(leftMs)) return this.#refuse(TOO_LATE);
    }
    if (this.#queue.bytes + bytes > this.#policy.maxWaitingBytes) {
      return this.#policy.limit === "none" ? "run" : this.#refuse(FULL_OF_BYTES);
    }
    if (this.#queue.size < room) return "wait";
    const why = room < maxWaiting ? OVERLOADED : FULL;
    if (why === OVERLOADED) this.#overloadedUntil = now + this.#policy.intervalMs;
    const victim = this.#queue.victim(caller, rank, overloaded);
    if (victim === undefined) return this.#refuse(why);
    this.#queue.remove(victim);
    victim.item.refused(this.#refuse(why));
    return "wait";
  }

  /** A call with so much time left, and so many bytes, waits from now on. Gives its place, for those who withdraw it. */
  wait(item: Waiter, caller: Caller, rank: Rank, leftMs: number, bytes: number, now: number): Place<Waiter> {
    if (this.#queue.size === 0) {
      this.#queuedSince = this.#takenAt = now;
      // What was known of an earlier queue need not be true of this one.
      if (!this.#isOverloaded(now)) this.#paceMs = this.#paced.ms = this.#paced.turns = 0;
    }
    this.#waited++;
    const place = new Place(item, now, now + this.#worthMs(leftMs), bytes);
    this.#queue.push(caller, rank, place);
    return place;
  }

  /** It was not a call's turn until waiting was not worth while any more. Gives why it is refused. */
  giveUp(place: Place<Waiter>): Refusal {
    this.#queue.remove(place);
    return this.#refuse(TOO_LATE);
  }

  /** A call waits no longer, for a reason of its own. */
  withdraw(place: Place<Waiter>): void {
    this.#queue.remove(place);
  }

  /** A call begins to run. Gives what `end` has to be told. */
  begin(): number {
    this.#running++;
    this.#begun++;
    return this.#guard.begin();
  }

  /** A call ran where it was read, and kept the event loop for `ms`. */
  spent(ms: number): void {
    this.#guard.spent(ms);
  }

  /** A call that was begun has ended. */
  end(generation: number): void {
    this.#running--;
    this.#guard.end(generation);
  }

  /** A call of `procedure` ends, `tookMs` after it began; for those that count how long calls take. Before `end`. */
  took(procedure: string, tookMs: number, now: number): void {
    this.#adaptive?.sample(procedure, tookMs, this.#running, now);
  }

  /** Whose turn it is, if anybody's: he is to `begin` and to proceed. */
  next(now: number): Waiter | undefined {
    while (this.hasTurn) {
      const place = this.#queue.take(this.#isOverloaded(now))!;
      if (place.until <= now) place.item.refused(this.#refuse(TOO_LATE));
      else {
        this.#takenAt = now;
        return place.item;
      }
    }
    return undefined;
  }

  /** The event loop was seen, `lagMs` late. False when there is nothing to look after until the next call comes. */
  observe(lagMs: number, now: number): boolean {
    const elapsedMs = now - this.#seenAt;
    const begun = this.#begun;
    const held = this.#queue.size > 0;
    this.#guard.observe(lagMs, elapsedMs, begun, held, now);
    if (held && this.#queuedSince <= this.#seenAt) this.#measurePace(begun, elapsedMs, now);
    this.#begun = 0;
    this.#seenAt = now;
    this.#expire(now);
    return begun > 0 || this.#queue.size > 0 || this.#guard.limit !== Infinity;
  }

  /** How long a caller that is refused now should wait before he comes again, in milliseconds. Not the same for all. */
  retryAfterMs(): number {
    const { least, most } = RETRY_AFTER_MS;
    const clearMs = Math.min(most, Math.max(least, this.#queue.size * this.#paceMs));
    return Math.round(clearMs * (1 + (this.#retries++ & 15) / 16));
  }

  /** What was counted and what is so now. */
  stats(): AdmissionStats {
    return {
      running: this.#running,
      waiting: this.#queue.size,
      limit: Math.min(this.limit, this.#guard.limit),
      lagMs: this.#guard.lagMs,
      waited: this.#waited,
      refused: { ...this.#refused },
    };
  }

  #refuse(why: Refusal): Refusal {
    this.#refused[why.cause]++;
    return why;
  }

  #measurePace(begun: number, elapsedMs: number, now: number): void {
    const paced = this.#paced;
    const left = Math.exp(-elapsedMs / PACE_MEMORY_MS);
    paced.ms = paced.ms * left + elapsedMs;
    paced.turns = paced.turns * left + begun;
    // One turn of the loop in which others had much to do says nothing.
    if (paced.turns < PACE_TURNS && now - this.#queuedSince < PACE_AFTER_MS) return;
    this.#paceMs = paced.turns > 0.5 ? paced.ms / paced.turns : Math.max(this.#paceMs, now - this.#takenAt);
  }

  /** How long it is worth while to wait with so much time left. */
  #worthMs(leftMs: number): number {
    return Math.min(this.#policy.maxWaitMs, leftMs * SHARE);
  }

  /** How many places are free that those who wait get in the next turn of the loop; 0 when places are not what is short. */
  #free(): number {
    const free = Math.min(this.limit - this.#running, this.#guard.limit - this.#guard.fresh);
    return free === Infinity ? 0 : Math.max(0, free);
  }

  /** How long one may wait while there is too much: never so short that a place would be left empty. */
  #patienceMs(now: number): number {
    const paceMs = this.#paceMs > 0 ? this.#paceMs : now - this.#takenAt;
    return Math.max(
      this.#policy.targetMs,
      Math.min(MOST_PATIENCE_MS, SPARE * Math.max(paceMs, this.#guard.usualLagMs)),
    );
  }

  /** Whether the queue has not been empty for too long, or calls were refused for it a moment ago. */
  #isOverloaded(now: number): boolean {
    const { targetMs, intervalMs } = this.#policy;
    if (targetMs === Infinity) return false;
    if (this.#queue.size > 0 && now - this.#queuedSince >= intervalMs) this.#overloadedUntil = now + intervalMs;
    return now < this.#overloadedUntil;
  }

  #expire(now: number): void {
    if (this.#queue.size === 0 || !this.#isOverloaded(now)) return;
    this.#queue.expire(now - this.#patienceMs(now), (place) => {
      this.#overloadedUntil = now + this.#policy.intervalMs;
      place.item.refused(this.#refuse(OVERLOADED));
    });
  }
}
