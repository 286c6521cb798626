import type { Timers } from "../core/timers.ts";
import type { Surroundings } from "../balancer/balancer.ts";
import type { Ejection } from "./ejection.ts";

/** The calls of one service that a client has running, and what its balancer may know beside its candidates. */
export class Traffic implements Surroundings {
  readonly zone: string;
  readonly clientId: string;
  /** Whether latency and errors are measured. */
  readonly observed: boolean;
  inFlight = 0;
  /** Who decides about instances that fail calls, if anybody does. */
  ejection: Ejection | undefined = undefined;
  readonly #timers: Timers;

  constructor(zone: string, clientId: string, observed: boolean, timers: Timers) {
    this.zone = zone;
    this.clientId = clientId;
    this.observed = observed;
    this.#timers = timers;
  }

  now(): number {
    return this.#timers.turnNow();
  }
}
