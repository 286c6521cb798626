/**
 * What the lateness of the event loop says: whether calls should wait rather than run where they are read, and how many of
 * those that began lately may run at once. Pure: it takes the lateness and the time it is told.
 *
 * Only calls that began within the last second count. What runs for longer mostly waits for something itself, and a hundred
 * idle streams must not keep calls out.
 */

/** How long calls may run where they are read, between two looks at the loop. */
const READING_MS = 8;
/** How long a call counts: between one and two of these. */
const GENERATION_MS = 500;
/** The limit falls at most so often: what it does is not seen at once. */
const FALL_EVERY_MS = 50;
const FALL = 0.8;
const RISE = 1.1;
/** The least that it falls to. */
const LEAST = 4;
/** The limit is lifted when it has held nobody back for so long. */
const LIFT_AFTER_MS = 1_000;
/** Halving it must make the loop less late by this factor, or it is not the calls that make it late. */
const HELPFUL = 0.7;
/** How long the limit is left alone once it was seen to be of no use. */
const REST_MS = 5_000;
/** Where running a call takes less than this, nothing is gained by reading others first. */
const CHEAP_MS = 0.05;

/** Watches the lateness of the event loop. */
export class LoopGuard {
  /** Whether whoever comes now has to wait: the loop was late when it was last seen, or has run calls for long since then. */
  late = false;
  /** How many calls that began lately may run. */
  limit = Infinity;
  /** How late the loop was when it was last seen, in milliseconds. */
  lagMs = 0;
  /** The number of this generation of calls. */
  generation = 0;
  readonly #maxLagMs: number;
  #readingMs = 0;
  #young = 0;
  #old = 0;
  #agedAt = -Infinity;
  #fellAt = -Infinity;
  #boundAt = -Infinity;
  /** The limit and the lateness that lower ones are compared with. */
  #reference = { limit: Infinity, lagMs: 0 };

  /** Makes one that takes the loop to be late beyond `maxLagMs`. */
  constructor(maxLagMs: number) {
    this.#maxLagMs = maxLagMs;
  }

  /** How many of the calls that run began lately. */
  get fresh(): number {
    return this.#young + this.#old;
  }

  /** A call begins to run. Gives the number of its generation. */
  begin(): number {
    this.#young++;
    return this.generation;
  }

  /** A call ran where it was read, and kept the loop for `ms`. */
  spent(ms: number): void {
    this.#readingMs += ms;
    if (this.#readingMs > READING_MS && ms > CHEAP_MS) this.late = true;
  }

  /** A call of a generation has ended. */
  end(generation: number): void {
    if (generation === this.generation) this.#young--;
    else if (generation === this.generation - 1) this.#old--;
  }

  /**
   * The loop was seen: `lagMs` late, `elapsedMs` after it was seen before, in which `begun` calls began; `held` says whether
   * any waits now.
   */
  observe(lagMs: number, elapsedMs: number, begun: number, held: boolean, now: number): void {
    this.lagMs = lagMs;
    this.#readingMs = 0;
    this.late = held;
    if (lagMs > this.#maxLagMs) {
      if (begun * CHEAP_MS < elapsedMs) this.late = true;
      if (now - this.#fellAt >= FALL_EVERY_MS) this.#fall(lagMs, now);
    } else if (this.limit !== Infinity) {
      if (held && this.fresh >= this.limit) {
        this.#boundAt = now;
        this.limit = Math.ceil(this.limit * RISE);
      } else if (now - this.#boundAt >= LIFT_AFTER_MS) this.limit = Infinity;
    }
    this.#age(now);
  }

  #fall(lagMs: number, now: number): void {
    const { fresh } = this;
    if (this.limit === Infinity) {
      // So few would not be held back: it is something else.
      if (fresh < 2 * LEAST) return;
      this.#reference = { limit: fresh, lagMs };
    } else if (this.limit <= this.#reference.limit / 2) {
      if (lagMs > this.#reference.lagMs * HELPFUL) {
        this.limit = Infinity;
        this.#fellAt = now + REST_MS;
        return;
      }
      this.#reference = { limit: this.limit, lagMs };
    }
    this.#fellAt = this.#boundAt = now;
    this.limit = Math.max(LEAST, Math.floor(Math.min(this.limit, fresh) * FALL));
  }

  #age(now: number): void {
    if (now - this.#agedAt < GENERATION_MS) return;
    const skipped = now - this.#agedAt >= 2 * GENERATION_MS;
    this.#old = skipped ? 0 : this.#young;
    this.#young = 0;
    this.generation += skipped ? 2 : 1;
    this.#agedAt = now;
  }
}
