import { type Clock, MAX_TIMER_MS, type Platform } from "../core/platform.ts";
import { seededRandom } from "./seeded_random.ts";

/** Where the wall clock of a {@link VirtualClock} begins: 14 November 2023, 22:13:20 UTC. */
const WALL_START = 1_700_000_000_000;

class VirtualTimer implements Disposable {
  readonly dueAt: number;
  readonly fire: () => void;
  readonly #timers: VirtualTimer[];

  constructor(dueAt: number, fire: () => void, timers: VirtualTimer[]) {
    this.dueAt = dueAt;
    this.fire = fire;
    this.#timers = timers;
  }

  [Symbol.dispose](): void {
    const at = this.#timers.indexOf(this);
    if (at !== -1) this.#timers.splice(at, 1);
  }
}

/**
 * Time that stands still until a test advances it. Timers fire in the order of their due times, those due at the same time
 * in the order in which they were set, and what one of them sets going has settled before the next fires.
 */
export class VirtualClock implements Clock {
  /** In the order in which they fire. */
  readonly #timers: VirtualTimer[] = [];
  #now = 0;
  #turns = 0;

  /** Milliseconds since the clock was made. */
  now(): number {
    return this.#now;
  }

  /** Milliseconds since 1970, on a wall clock that goes with this one. */
  wall(): number {
    return WALL_START + Math.floor(this.#now);
  }

  /** Runs `fire` once, when the clock has been advanced by `ms`; like the runtime's, at most 2^31 − 1. */
  timer(ms: number, fire: () => void): Disposable {
    const timer = new VirtualTimer(this.#now + (ms > 0 ? Math.min(ms, MAX_TIMER_MS) : 0), fire, this.#timers);
    const after = this.#timers.findLastIndex((other) => other.dueAt <= timer.dueAt);
    this.#timers.splice(after + 1, 0, timer);
    return timer;
  }

  /** How many timers are set. A test that ends with some has found a leak. */
  get timerCount(): number {
    return this.#timers.length;
  }

  /** When the next timer is due, or `Infinity`. */
  get nextAt(): number {
    return this.#timers[0]?.dueAt ?? Infinity;
  }

  /**
   * Lets `ms` milliseconds pass, and all timers fire that are due in them. Resolves when what they set going has settled,
   * as far as it does without the network and without more time. Rejects with what a timer throws. One at a time.
   */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await this.settle();
    while (this.nextAt <= end) {
      const timer = this.#timers.shift()!;
      this.#now = Math.max(this.#now, timer.dueAt);
      timer.fire();
      await this.settle();
    }
    this.#now = end;
  }

  /** Resolves when all chains of promises have run dry, with no time passing. */
  async settle(): Promise<void> {
    do await macrotask(); while (this.#turns > 0);
  }

  /** Resolves in a later turn of the event loop, with no time passing. */
  async turn(): Promise<void> {
    this.#turns++;
    await macrotask();
    this.#turns--;
  }
}

/** A platform whose time a test advances, and whose chance comes out the same for the same seed. */
export function virtualPlatform(seed: number): Platform & { readonly clock: VirtualClock } {
  const clock = new VirtualClock();
  return { clock, random: seededRandom(seed), turn: () => clock.turn() };
}

/** Resolves in a later turn of the event loop: only then have all microtasks run, however long their chains. */
function macrotask(): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  const { promise, resolve } = Promise.withResolvers<void>();
  port1.onmessage = () => {
    port1.close();
    port2.close();
    resolve();
  };
  port2.postMessage(undefined);
  return promise;
}
