/** How long replies take, lately. Pure book-keeping: it takes `now`. */

/** Buckets for each doubling: neighbours are 9 % apart. */
const PER_DOUBLING = 8;
/** What is quicker than this is counted as this, in milliseconds. */
const FIRST_MS = 0.05;
/** From 0.05 ms to about 28 minutes. */
const BUCKETS = 25 * PER_DOUBLING;

/**
 * A histogram of the last one or two windows. A quantile of it is the upper edge of a bucket, so at most 9 % too high.
 */
export class LatencyHistogram {
  readonly #windowMs: number;
  #current: Uint32Array = new Uint32Array(BUCKETS);
  #last: Uint32Array = new Uint32Array(BUCKETS);
  #currentCount = 0;
  #lastCount = 0;
  #beganAt: number;

  /** Makes an empty one. */
  constructor(windowMs: number, now: number) {
    this.#windowMs = windowMs;
    this.#beganAt = now;
  }

  /** Takes note of one reply. */
  add(ms: number, now: number): void {
    this.#turn(now);
    this.#current[bucketOf(ms)]++;
    this.#currentCount++;
  }

  /** How many replies it knows of. */
  count(now: number): number {
    this.#turn(now);
    return this.#currentCount + this.#lastCount;
  }

  /** How long all but the slowest take, in milliseconds; `share` of them are within it. `Infinity` when nothing is known. */
  quantile(share: number, now: number): number {
    const count = this.count(now);
    if (count === 0) return Infinity;
    let left = Math.ceil(share * count);
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      left -= this.#current[bucket] + this.#last[bucket];
      if (left <= 0) return FIRST_MS * 2 ** ((bucket + 1) / PER_DOUBLING);
    }
    return Infinity;
  }

  /** What is older than two windows is forgotten. */
  #turn(now: number): void {
    const age = now - this.#beganAt;
    if (age < this.#windowMs) return;
    const spare = this.#last;
    spare.fill(0);
    if (age < 2 * this.#windowMs) {
      this.#last = this.#current;
      this.#lastCount = this.#currentCount;
      this.#current = spare;
    } else {
      this.#current.fill(0);
      this.#lastCount = 0;
    }
    this.#currentCount = 0;
    this.#beganAt = now;
  }
}

function bucketOf(ms: number): number {
  if (!(ms > FIRST_MS)) return 0;
  return Math.min(BUCKETS - 1, Math.floor(Math.log2(ms / FIRST_MS) * PER_DOUBLING));
}
