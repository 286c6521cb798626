/** How fast what was seen is forgotten: after so long a third of it is left, in milliseconds. */
const TAU_MS = 10_000;
/** Replies of one batch come at the same moment, and each says something all the same. */
const MIN_GAP_MS = 0.1;

/**
 * What was seen of one instance: how long its replies take, and how often it fails. Latency follows a longer one at once and
 * shorter ones slowly; both are forgotten as time goes by, so that whoever was bad is tried again. Pure: it is told the time.
 *
 * @see Finagle's PeakEwma
 */
export class Observations {
  #latencyMs = 0;
  #errorShare = 0;
  #at = -Infinity;

  /** A reply came, good or bad, after so long. */
  replied(tookMs: number, failed: boolean, now: number): void {
    const left = this.#pass(now);
    if (tookMs > this.#latencyMs) this.#latencyMs = tookMs;
    // Failing fast is no merit.
    else if (!failed) this.#latencyMs = tookMs + (this.#latencyMs - tookMs) * left;
    this.#errorShare *= left;
    if (failed) this.#errorShare += 1 - left;
  }

  /** No reply came in so long: it takes at least that. */
  waited(tookMs: number, now: number): void {
    if (tookMs <= this.latencyAt(now)) return;
    this.#errorShare *= this.#pass(now);
    this.#latencyMs = tookMs;
  }

  /** How long replies take, in milliseconds; 0 when nothing is known. */
  latencyAt(now: number): number {
    return this.#latencyMs === 0 ? 0 : this.#latencyMs * left(now - this.#at);
  }

  /** Which share of calls fails, 0 to 1. */
  errorShareAt(now: number): number {
    return this.#errorShare === 0 ? 0 : this.#errorShare * left(now - this.#at);
  }

  /** Goes on to `now`, and gives the share of what was seen before that is left. */
  #pass(now: number): number {
    // One failure at the very beginning does not condemn.
    const passedMs = this.#at === -Infinity ? TAU_MS : Math.max(now - this.#at, MIN_GAP_MS);
    this.#at = now;
    return left(passedMs);
  }
}

function left(passedMs: number): number {
  return passedMs <= 0 ? 1 : Math.exp(-passedMs / TAU_MS);
}
