/** How much one connection may be told in a second on average. Pure: it takes the time it is told. */

/** So many seconds' worth may be told at once, after as many in which nothing was. */
const BURST_SECONDS = 16;

/**
 * An allowance in bytes. What is told is never cut: whoever was told more than he had waits until that is made up for.
 */
export class Allowance {
  readonly #perMs: number;
  #left: number;
  #at: number;

  /** Begins with all that may be told at once. */
  constructor(bytesPerSecond: number, now: number) {
    this.#perMs = bytesPerSecond / 1_000;
    this.#left = bytesPerSecond * BURST_SECONDS;
    this.#at = now;
  }

  /** How long until something may be told, in milliseconds: 0 is now. */
  waitMs(now: number): number {
    this.#left = Math.min(this.#perMs * 1_000 * BURST_SECONDS, this.#left + (now - this.#at) * this.#perMs);
    this.#at = now;
    return this.#left > 0 ? 0 : Math.ceil(-this.#left / this.#perMs) + 1;
  }

  /** So much is told. */
  spend(bytes: number): void {
    this.#left -= bytes;
  }
}
