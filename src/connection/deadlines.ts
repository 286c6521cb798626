/**
 * The deadlines of all calls on one connection, as one entry of the wheel.
 *
 * A call says when it is due and need not take it back. When the earliest of those times has come all calls are looked at: those
 * that are due are told, and the earliest of the others is waited for next. Nearly every call has ended long before that, so
 * this happens about once in a time-out, and no more than once in a slot of the wheel.
 */
import { TimerEntry, type Timers } from "../core/timers.ts";

/** Something with a deadline. */
export interface Due {
  /** When it is due, on the clock of the wheel; `Infinity` when it is over. */
  readonly dueAt: number;
  /** Its time has come. It must not throw. */
  onDue(): void;
}

/** The deadlines of one connection. */
export class Deadlines extends TimerEntry {
  readonly #timers: Timers;
  readonly #all: () => Iterable<Due>;

  /** @param all everything that may be due, in a list of its own */
  constructor(timers: Timers, all: () => Iterable<Due>) {
    super();
    this.#timers = timers;
    this.#all = all;
  }

  /** Something is due then. */
  expect(dueAt: number): void {
    if (dueAt < this.dueAt) this.#timers.add(this, dueAt);
  }

  /** Nothing is due any more. */
  stop(): void {
    this.#timers.remove(this);
  }

  override onDue(): void {
    const now = this.#timers.clock.now();
    this.dueAt = Infinity;
    for (const each of this.#all()) {
      if (each.dueAt <= now) each.onDue();
      else this.expect(each.dueAt);
    }
  }
}
