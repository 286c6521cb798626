/**
 * Many deadlines on one timer of the runtime.
 *
 * A call sets a deadline and nearly always takes it back; a timer of the runtime costs more than the rest of a small call.
 * So deadlines wait in a wheel of slots, each slot a linked list through the entries themselves, and one timer is armed
 * for the next slot that is not empty. An entry fires never before its time and at most one slot after it.
 *
 * Invariants: an entry is in at most one slot; a disposed wheel holds no timer.
 */
import type { Clock } from "./platform.ts";

const SLOT_MS = 8;
const SLOTS = 1024;
const MASK = SLOTS - 1;

/** Something with a deadline. Extend it, or make one around a function with {@link Timers.after}. */
export abstract class TimerEntry {
  /** When it is due, on the clock of the wheel. */
  dueAt = Infinity;
  /** Its neighbours in the slot. Belongs to {@link Timers}. */
  before: TimerEntry | undefined = undefined;
  /** Its neighbours in the slot. Belongs to {@link Timers}. */
  behind: TimerEntry | undefined = undefined;
  /** The slot that it waits in, or −1. Belongs to {@link Timers}. */
  slot = -1;
  /** Called once when it is due. It must not throw. */
  abstract onDue(): void;
}

class FunctionEntry extends TimerEntry implements Disposable {
  readonly #timers: Timers;
  readonly #fire: () => void;

  constructor(timers: Timers, fire: () => void) {
    super();
    this.#timers = timers;
    this.#fire = fire;
  }

  onDue(): void {
    this.#fire();
  }

  [Symbol.dispose](): void {
    this.#timers.remove(this);
  }
}

/** A wheel of deadlines. Whoever makes one disposes it. */
export class Timers implements Disposable {
  /** The clock that it runs on. */
  readonly clock: Clock;
  /** How late the runtime was when it last fired the timer, in milliseconds: what the event loop had to do before. */
  lagMs = 0;
  readonly #slots: (TimerEntry | undefined)[] = new Array(SLOTS).fill(undefined);
  #count = 0;
  #timer: Disposable | undefined;
  #armedFor = Infinity;
  #sweptTo: number;
  #disposed = false;
  #sweeping = false;
  #turn: number | undefined;
  readonly #endTurn = () => void (this.#turn = undefined);

  /** Makes an empty wheel, which costs no timer. */
  constructor(clock: Clock) {
    this.clock = clock;
    this.#sweptTo = Math.floor(clock.now() / SLOT_MS);
  }

  /** The time, read once for all that happens in one go: a clock costs more than what is done with it. */
  turnNow(): number {
    if (this.#turn === undefined) {
      this.#turn = this.clock.now();
      queueMicrotask(this.#endTurn);
    }
    return this.#turn;
  }

  /** How many entries wait. */
  get size(): number {
    return this.#count;
  }

  /** Makes `entry` wait until `dueAt`, wherever it waited before. `Infinity` waits for ever and costs nothing. */
  add(entry: TimerEntry, dueAt: number): void {
    if (entry.slot !== -1) this.remove(entry);
    entry.dueAt = dueAt;
    if (dueAt === Infinity || this.#disposed) return;
    const tick = Math.max(Math.floor(dueAt / SLOT_MS), this.#sweptTo);
    const slot = tick & MASK;
    const head = this.#slots[slot];
    entry.slot = slot;
    entry.before = undefined;
    entry.behind = head;
    if (head !== undefined) head.before = entry;
    this.#slots[slot] = entry;
    if (this.#count++ === 0 && this.#timer === undefined) this.#sweptTo = Math.min(this.#now(), tick);
    const at = (tick + 1) * SLOT_MS;
    if (at < this.#armedFor && !this.#sweeping) this.#arm(at);
  }

  /** Takes back a deadline; harmless when it is not waiting. */
  remove(entry: TimerEntry): void {
    if (entry.slot === -1) return;
    if (entry.before === undefined) this.#slots[entry.slot] = entry.behind;
    else entry.before.behind = entry.behind;
    if (entry.behind !== undefined) entry.behind.before = entry.before;
    entry.slot = -1;
    entry.before = entry.behind = undefined;
    this.#count--;
  }

  /** Runs `fire` once after `ms`. Disposing the result before that cancels it. */
  after(ms: number, fire: () => void): Disposable {
    const entry = new FunctionEntry(this, fire);
    this.add(entry, this.clock.now() + ms);
    return entry;
  }

  /** Drops every deadline unfired and the timer with them. */
  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#armedFor = Infinity;
    for (let slot = 0; slot < SLOTS; slot++) {
      for (let entry = this.#slots[slot]; entry !== undefined; entry = this.#slots[slot]) this.remove(entry);
    }
  }

  #now(): number {
    return Math.floor(this.clock.now() / SLOT_MS);
  }

  #arm(at: number): void {
    this.#timer?.[Symbol.dispose]();
    this.#armedFor = at;
    this.#timer = this.clock.timer(Math.max(0, Math.ceil(at - this.clock.now())), () => this.#sweep());
  }

  /** Fires what is due. Slots between the last sweep and now are visited once, at most one whole round. */
  #sweep(): void {
    const now = this.clock.now();
    this.lagMs = Math.max(0, now - this.#armedFor);
    this.#timer = undefined;
    this.#armedFor = Infinity;
    const to = Math.floor(now / SLOT_MS);
    const from = Math.max(this.#sweptTo, to - MASK);
    this.#sweptTo = to;
    this.#sweeping = true;
    for (let tick = from; tick <= to; tick++) {
      let entry = this.#slots[tick & MASK];
      while (entry !== undefined) {
        const behind: TimerEntry | undefined = entry.behind;
        if (entry.dueAt <= now) {
          this.remove(entry);
          entry.onDue();
          // Firing may have changed the list anywhere: start the slot again, what is left in it is not due.
          entry = this.#slots[tick & MASK];
          while (entry !== undefined && entry.dueAt > now) entry = entry.behind;
        } else {
          entry = behind;
        }
      }
    }
    this.#sweeping = false;
    this.#armNext();
  }

  #armNext(): void {
    if (this.#count === 0 || this.#disposed) return;
    for (let tick = this.#sweptTo; tick <= this.#sweptTo + SLOTS; tick++) {
      if (this.#slots[tick & MASK] !== undefined) return this.#arm((tick + 1) * SLOT_MS);
    }
  }
}
