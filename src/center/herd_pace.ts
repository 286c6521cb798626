import { backoffMs, REDIAL } from "../core/backoff.ts";
import { fraction, type Platform } from "../core/platform.ts";
import type { Pace } from "../channel/pace.ts";

/** How much of a period each client of a center is given: at most 143 of them dial in a second. */
const SHARE_MS = 7;
const MIN_PERIOD_MS = 500;
const MAX_PERIOD_MS = 7_000;
/** So often a center that was never reached is dialled before it is taken for one that may be away for long. */
const EAGER_ATTEMPTS = 6;

/**
 * When a center is dialled that was lost.
 *
 * All its clients lose it at the same moment, and must not find it at the same moment. So each has a moment of its own in every
 * period, drawn once, and dials at no other: however long the center is away, they come back one after the other, and all within one
 * period. The period is longer the more clients the center said it has, between half a second and 7 s, which is less than two beats.
 */
export class HerdPace implements Pace {
  readonly #platform: Platform;
  readonly #moment: number;
  #clients: number | undefined;

  constructor(platform: Platform) {
    this.#platform = platform;
    this.#moment = fraction(platform.random);
  }

  /** The center has said how many clients it has. */
  told(clients: number): void {
    this.#clients = clients;
  }

  afterLossMs(): number {
    return this.#untilOwnMoment();
  }

  afterFailureMs(failures: number): number {
    if (this.#clients !== undefined || failures >= EAGER_ATTEMPTS) return this.#untilOwnMoment();
    return backoffMs(REDIAL, failures, this.#platform.random);
  }

  #untilOwnMoment(): number {
    const clients = this.#clients ?? Infinity;
    const periodMs = Math.min(Math.max(clients * SHARE_MS, MIN_PERIOD_MS), MAX_PERIOD_MS);
    return periodMs - (this.#platform.clock.now() + this.#moment * periodMs) % periodMs;
  }
}
