/**
 * What happens next in a simulation, and when.
 *
 * Invariants: time never goes back; of two events at the same time chance says which is first; after each event all that it
 * set going has run as far as it does without another; nothing of a life that has ended runs any more.
 */
import { type Random, runtimePlatform } from "../core/platform.ts";
import { EventQueue } from "./event_queue.ts";
import { EventLog } from "./event_log.ts";

/** How often programs may read their clocks in one event. */
const MOST_LOOKS = 1_000_000;

/** What an event belongs to: it waits while its machine stands still. */
export interface Machine {
  /** Its name. */
  readonly name: string;
  /** Whether it stands still. */
  readonly isPaused: boolean;
  /** Until when it is busy with what it does. */
  readonly busyUntil: number;
  /** Keeps an event until it stands still no longer. */
  postpone(event: SimulationEvent): void;
  /** It has done something. */
  worked(): void;
}

/** One life of the program on a machine: its events die with it. */
export interface Life {
  /** Whether it is over. */
  readonly ended: boolean;
}

/** Something that is to happen. Disposing it before that cancels it. */
export class SimulationEvent implements Disposable {
  at: number;
  tie: number;
  readonly what: string;
  readonly machine: Machine | undefined;
  readonly life: Life | undefined;
  readonly run: () => void;
  cancelled = false;

  constructor(
    at: number,
    tie: number,
    what: string,
    machine: Machine | undefined,
    life: Life | undefined,
    run: () => void,
  ) {
    this.at = at;
    this.tie = tie;
    this.what = what;
    this.machine = machine;
    this.life = life;
    this.run = run;
  }

  [Symbol.dispose](): void {
    this.cancelled = true;
  }
}

/** Runs one event after the other. */
export class Scheduler {
  /** What has happened. */
  readonly log: EventLog;
  /** How many events have happened. */
  events = 0;
  #looks = 0;
  readonly #random: Random;
  readonly #queue = new EventQueue<SimulationEvent>();
  #now = 0;

  /**
   * @param random says which of two events is first that are due at the same time
   * @param onLine is told of every line of the log
   */
  constructor(random: Random, onLine?: (line: string) => void) {
    this.#random = random;
    this.log = new EventLog(onLine);
  }

  /** Milliseconds since the beginning. */
  get now(): number {
    return this.#now;
  }

  /** A program reads its clock. @throws {Error} when it does so for ever in one event: else an endless loop would say nothing */
  look(): void {
    if (++this.#looks > MOST_LOOKS) {
      throw new Error(
        `Cannot go on at ${this.#now} ms: a program reads its clock over ${MOST_LOOKS} times in one event`,
      );
    }
  }

  /** Makes something happen `ms` from now. Without a machine it happens whatever stands still. */
  after(ms: number, what: string, run: () => void, machine?: Machine, life?: Life): SimulationEvent {
    const at = this.#now + (ms > 0 ? ms : 0);
    const event = new SimulationEvent(at, this.#random.u32(), what, machine, life, run);
    this.#queue.push(event);
    return event;
  }

  /** Takes an event that was kept back, to happen now or at its time. */
  again(event: SimulationEvent): void {
    event.at = Math.max(event.at, this.#now);
    event.tie = this.#random.u32();
    this.#queue.push(event);
  }

  /**
   * Lets the next event happen that is due by `until`, and all that it sets going. False when there is none; then time has
   * come to `until`, unless that is never.
   */
  async step(until: number): Promise<boolean> {
    const event = this.#next(until);
    if (event === undefined) {
      if (until !== Infinity) this.#now = Math.max(this.#now, until);
      return false;
    }
    this.events++;
    this.#looks = 0;
    this.log.event(this.#now, event.machine?.name ?? "", event.what);
    event.run();
    event.machine?.worked();
    await this.settle();
    return true;
  }

  /** Resolves once all chains of promises have run dry. */
  settle(): Promise<void> {
    return runtimePlatform.turn();
  }

  #next(until: number): SimulationEvent | undefined {
    const queue = this.#queue;
    for (;;) {
      const event = queue.first;
      if (event === undefined || event.at > until) return undefined;
      queue.pop();
      if (event.cancelled || event.life?.ended) continue;
      const { machine } = event;
      if (machine?.isPaused) machine.postpone(event);
      else if (machine !== undefined && machine.busyUntil > Math.max(event.at, this.#now)) {
        event.at = machine.busyUntil;
        this.again(event);
      } else {
        this.#now = Math.max(this.#now, event.at);
        return event;
      }
    }
  }
}
