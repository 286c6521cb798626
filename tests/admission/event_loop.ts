import type { Clock, Platform } from "../../src/core/platform.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";

/** What a turn of the loop costs, in milliseconds. */
const TURN_MS = 0.001;
/** While there is something to do in every turn, Deno looks for input in every 61st of them alone. */
const INPUT_TURNS = 61;

interface Timer extends Disposable {
  readonly dueAt: number;
  readonly fire: () => void;
}

/**
 * A model of an event loop and of the one core that it runs on: what runs takes time, and keeps everything else waiting
 * meanwhile. Time goes on only by what is spent, and when there is nothing to do.
 */
export class EventLoop implements Clock {
  /** Time and chance of what runs on it. */
  readonly platform: Platform = {
    clock: this,
    random: seededRandom(1),
    turn: () => new Promise((resolve) => this.#turns.push(resolve)),
    inputTurns: INPUT_TURNS,
  };
  #now = 0;
  #turns: (() => void)[] = [];
  readonly #timers: Timer[] = [];
  #inputs: { readonly at: number; readonly take: () => void }[] = [];
  #next = 0;

  now(): number {
    return this.#now;
  }

  wall(): number {
    return this.#now;
  }

  timer(ms: number, fire: () => void): Disposable {
    const timer: Timer = {
      dueAt: this.#now + Math.max(ms, 0),
      fire,
      [Symbol.dispose]: () => {
        const at = this.#timers.indexOf(timer);
        if (at !== -1) this.#timers.splice(at, 1);
      },
    };
    this.#timers.splice(this.#timers.findLastIndex(({ dueAt }) => dueAt <= timer.dueAt) + 1, 0, timer);
    return timer;
  }

  /** Whatever runs now runs for so long. */
  spend(ms: number): void {
    this.#now += ms;
  }

  /** What comes from outside, in the order of its times. */
  input(inputs: { readonly at: number; readonly take: () => void }[]): void {
    this.#inputs = inputs;
    this.#next = 0;
  }

  /** Goes on until `end`. */
  async run(end: number): Promise<void> {
    for (let turn = 0; this.#now < end; turn++) {
      this.#now += TURN_MS;
      for (const now = this.#now; this.#timers.length > 0 && this.#timers[0].dueAt <= now;) {
        this.#timers.shift()!.fire();
        await microtasks();
      }
      const turns = this.#turns;
      this.#turns = [];
      for (const resolve of turns) {
        resolve();
        await microtasks();
      }
      if (this.#turns.length > 0 && turn % INPUT_TURNS !== 0) continue;
      await this.#read();
      if (this.#turns.length > 0) continue;
      const next = Math.min(this.#timers[0]?.dueAt ?? Infinity, this.#inputs[this.#next]?.at ?? Infinity, end);
      this.#now = Math.max(this.#now, next);
    }
  }

  /** Takes what has come by now; what comes meanwhile has to wait. */
  async #read(): Promise<void> {
    for (const now = this.#now; this.#next < this.#inputs.length && this.#inputs[this.#next].at <= now;) {
      this.#inputs[this.#next++].take();
      await microtasks();
    }
  }
}

/** Lets chains of promises run, as long as those of what is tested here. */
async function microtasks(): Promise<void> {
  for (let i = 0; i < 4; i++) await undefined;
}
