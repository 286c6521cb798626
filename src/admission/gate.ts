/**
 * What calls pass through before their messages are decoded: drives the book-keeping of {@link Admission} with the server's
 * clock. It looks at the event loop through the server's wheel of deadlines as long as calls come, and gives those that wait
 * their turns in slices, between which the loop reads what has come: so what is too much waits here, where it can be told
 * so, and not in a socket.
 */
import type { Peer } from "../core/call.ts";
import type { Criticality } from "../core/criticality.ts";
import type { LoadReport } from "../core/load.ts";
import type { Platform } from "../core/platform.ts";
import { isOwnService } from "../core/service.ts";
import { TimerEntry, type Timers } from "../core/timers.ts";
import { Admission, type AdmissionStats, type Waiter } from "./admission.ts";
import type { AdmissionPolicy } from "./options.ts";
import type { Refusal } from "./refusal.ts";
import { Caller, type Place, type Rank } from "./wait_queue.ts";

/** How often the event loop is looked at while calls come. */
const LOOK_EVERY_MS = 16;
/** How long calls that have waited run, before the loop gets turns enough to read what has come. */
const SLICE_MS = 2;
/** What else the loop does in these turns is matched by as much for calls that wait, once it is more than this. */
const OTHERS_MS = 1;
/** Of calls that are run where they are read, one in so many is timed; all of them where they take longer than this. */
const TIME_ONE_IN = 16;
const TIME_ALL_MS = 0.25;
/** How much a new measure of what a call takes counts beside those before it. */
const COST_SMOOTHING = 0.2;
/** What stands for "no number" in a load report. */
const NO_LIMIT = 0xffff;

const RANK_OF: Readonly<Record<Criticality, Rank>> = { sheddable: 0, default: 1, critical: 2 };

/** The gate of one server. */
export class Gate extends TimerEntry {
  readonly #admission: Admission;
  readonly #timers: Timers;
  readonly #platform: Platform;
  readonly #callers = new Map<unknown, Caller>();
  readonly #load = { inFlight: 0, limit: NO_LIMIT, lagMs: 0 };
  #looking = false;
  /** What a call takes that is run where it is read, in milliseconds. */
  #costMs = 0;
  #measuredMs = 0;
  #measuredBeforeMs = 0;
  #untilTimed = 0;
  #timedFrom = -1;
  #turnComing = false;
  #giving = false;
  /** How many turns the loop still gets until it has read what has come, and how long it was at others' work in them. */
  #turnsToPass = 0;
  #othersMs = 0;
  #leftAt = 0;
  readonly #turn = () => this.#onTurn();

  /** Makes one for a server with this wheel of deadlines. */
  constructor(policy: AdmissionPolicy, timers: Timers, platform: Platform) {
    super();
    this.#admission = new Admission(policy);
    this.#timers = timers;
    this.#platform = platform;
  }

  /** A connection is there. Gives who calls on it: connections of one identity, or else of one instance, are one caller. */
  connected({ identity, instance }: Peer): Caller {
    const name = identity ?? (instance === "" ? undefined : `instance ${instance}`);
    if (name === undefined) return new Caller();
    const known = this.#callers.get(name);
    if (known !== undefined) {
      known.connections++;
      return known;
    }
    const caller = new Caller(name);
    this.#callers.set(name, caller);
    return caller;
  }

  /** A connection of a caller is gone. */
  disconnected(caller: Caller): void {
    if (--caller.connections === 0 && caller.name !== undefined) this.#callers.delete(caller.name);
  }

  /**
   * Decides about a call that came at `now` with so much time left and so many bytes, by what its header says. What the kit
   * offers itself passes and is not counted. When the call may run, `begin` must follow; when it is to wait, `wait`.
   */
  decide(
    caller: Caller,
    procedure: string,
    criticality: Criticality,
    leftMs: number,
    bytes: number,
    now: number,
  ): "pass" | "run" | "wait" | Refusal {
    if (isOwnService(procedure)) return "pass";
    if (!this.#looking) this.#look(now);
    const verdict = this.#admission.decide(caller, RANK_OF[criticality], leftMs, bytes, now);
    if (verdict === "run") this.#timedFrom = this.#untilTimed-- <= 0 ? this.#timers.clock.now() : -1;
    return verdict;
  }

  /** The call that "run" was said of last has been begun: whatever it does at once is done. */
  ran(): void {
    if (this.#timedFrom < 0) return this.#admission.spent(this.#costMs);
    const tookMs = this.#usual(this.#timers.clock.now() - this.#timedFrom);
    this.#timedFrom = -1;
    this.#costMs += (tookMs - this.#costMs) * COST_SMOOTHING;
    this.#untilTimed = this.#costMs > TIME_ALL_MS ? 0 : TIME_ONE_IN;
    this.#admission.spent(tookMs);
  }

  /**
   * The middle one of the last three measures. One of them may have been taken while the machine did something else for some
   * milliseconds, and a thousand small calls must not wait for that.
   */
  #usual(ms: number): number {
    const [last, before] = [this.#measuredMs, this.#measuredBeforeMs];
    this.#measuredBeforeMs = last;
    this.#measuredMs = ms;
    return Math.max(Math.min(ms, last), Math.min(Math.max(ms, last), before));
  }

  /**
   * A call waits from now on, and is told what becomes of it. Gives its place, for those who withdraw it; when it is there until
   * `place.until`, `giveUp` must follow.
   */
  wait(
    call: Waiter,
    caller: Caller,
    criticality: Criticality,
    leftMs: number,
    bytes: number,
    now: number,
  ): Place<Waiter> {
    const place = this.#admission.wait(call, caller, RANK_OF[criticality], leftMs, bytes, now);
    this.#giveTurns();
    return place;
  }

  /** A call has waited for as long as it was worth while. Gives why it is refused. */
  giveUp(place: Place<Waiter>): Refusal {
    return this.#admission.giveUp(place);
  }

  /** A call waits no longer, for a reason of its own. */
  withdraw(place: Place<Waiter>): void {
    this.#admission.withdraw(place);
  }

  /** A call begins to run. Gives its pass, which `end` takes back. */
  begin(): number {
    return this.#admission.begin();
  }

  /** The time, for those that have to be timed: in tenths of a millisecond, as a small number that comes round. */
  stamp(): number {
    return this.#admission.isTiming ? stampOf(this.#timers.turnNow()) : 0;
  }

  /** A call of `procedure` that began at `stamp` has ended. */
  end(pass: number, procedure: string, stamp: number): void {
    const admission = this.#admission;
    if (admission.isTiming) {
      const now = this.#timers.turnNow();
      admission.took(procedure, ((stampOf(now) - stamp) & STAMP_MASK) / 10, now);
    }
    admission.end(pass);
    // At once: a turn of the loop for each would leave it none in which it reads what has come.
    if (admission.waiting > 0 && !this.#giving && !this.#turnComing) this.#give(SLICE_MS);
  }

  /** How long a caller that is refused now should wait, in milliseconds. */
  retryAfterMs(): number {
    return this.#admission.retryAfterMs();
  }

  /** How much there is to do. The same object each time. */
  load(): LoadReport {
    const { running, waiting, limit, lagMs } = this.#admission;
    this.#load.inFlight = running + waiting;
    this.#load.limit = Math.min(limit, NO_LIMIT);
    this.#load.lagMs = lagMs;
    return this.#load;
  }

  /** What was counted and what is so now. */
  stats(): AdmissionStats {
    return this.#admission.stats();
  }

  /** Looks at the event loop. */
  override onDue(): void {
    const now = this.#timers.clock.now();
    this.#looking = false;
    if (this.#admission.observe(this.#timers.lagMs, now)) this.#look(now);
    this.#giveTurns();
  }

  #look(now: number): void {
    this.#looking = true;
    this.#timers.add(this, now + LOOK_EVERY_MS);
  }

  /** Those whose turn it is have it in a turn of the event loop of their own. */
  #giveTurns(): void {
    if (this.#turnComing || !this.#admission.hasTurn) return;
    this.#turnsToPass = 0;
    this.#comeAgain();
  }

  #comeAgain(go: () => void = this.#turn): void {
    this.#turnComing = true;
    void this.#platform.turn().then(() => {
      this.#turnComing = false;
      go();
    });
  }

  #onTurn(): void {
    let sliceMs = SLICE_MS;
    if (this.#turnsToPass > 0) {
      this.#turnsToPass--;
      this.#othersMs += this.#timers.clock.now() - this.#leftAt;
      sliceMs = this.#othersMs < OTHERS_MS ? 0 : Math.min(SLICE_MS, this.#othersMs);
    } else this.#turnsToPass = this.#platform.inputTurns ?? 1;
    if (sliceMs > 0) this.#othersMs = 0;
    this.#give(sliceMs);
  }

  /** Gives turns for so long, and comes again for those who are left. */
  #give(sliceMs: number): void {
    const { clock } = this.#timers;
    const from = clock.now();
    let now = from;
    this.#giving = true;
    while (now - from < sliceMs) {
      const call = this.#admission.next(now);
      if (call === undefined) break;
      const begunAt = now;
      call.proceed();
      now = clock.now();
      if (now - begunAt > TIME_ALL_MS) break;
    }
    this.#giving = false;
    const leftMs = sliceMs - (now - from);
    this.#leftAt = now;
    if (!this.#admission.hasTurn) return;
    // The rest of the slice, once the answer of a call that took long has left; or another one.
    this.#comeAgain(leftMs > 0 ? () => this.#give(leftMs) : this.#turn);
  }
}

const STAMP_MASK = 0x3fff_ffff;

function stampOf(ms: number): number {
  return Math.floor(ms * 10) & STAMP_MASK;
}
