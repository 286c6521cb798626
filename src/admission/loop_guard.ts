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
/**
 * The limit changes at most so often, by the least lateness that was seen meanwhile: calls that come in bunches make the loop
 * late for a moment, too many of them for ever (as Controlled Delay has it).
 */
const WINDOW_MS = 100;
/** So many times as late as it may be is enough to be seen once. */
const MUCH = 5;
/** What is left of the limit at the least when it falls. */
const FALL = 0.5;
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
  /** How late the loop has been lately, in milliseconds. */
  usualLagMs = 0;
  /** The number of this generation of calls. */
  generation = 0;
  readonly #maxLagMs: number;
  #readingMs = 0;
  #young = 0;
  #old = 0;
  #agedAt = -Infinity;
  #windowFrom = -Infinity;
  #leastLagMs = Infinity;
  #ended = 0;
  #mostFresh = 0;
  /** Whether the limit held somebody back in this window, and when it last did. */
  #bound = false;
  #boundAt = -Infinity;
  /** Until when what the last fall has done is not to be seen. */
  #patientUntil = -Infinity;
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

  /** Whether another call may begin, as far as the loop is concerned. */
  mayBegin(): boolean {
    if (this.#young + this.#old < this.limit) return true;
    this.#bound = true;
    return false;
  }

  /** A call ran where it was read, and kept the loop for `ms`. */
  spent(ms: number): void {
    this.#readingMs += ms;
    if (this.#readingMs > READING_MS && ms > CHEAP_MS) this.late = true;
  }

  /** A call of a generation has ended. */
  end(generation: number): void {
    this.#ended++;
    if (generation === this.generation) this.#young--;
    else if (generation === this.generation - 1) this.#old--;
  }

  /**
   * The loop was seen: `lagMs` late, `elapsedMs` after it was seen before, in which `begun` calls began; `held` says whether
   * any waits now.
   */
  observe(lagMs: number, elapsedMs: number, begun: number, held: boolean, now: number): void {
    this.lagMs = lagMs;
    if (this.#windowFrom === -Infinity) this.#windowFrom = now - lagMs;
    this.usualLagMs += (lagMs - this.usualLagMs) * 0.2;
    this.#readingMs = 0;
    this.late = held || lagMs > this.#maxLagMs && begun * CHEAP_MS < elapsedMs;
    this.#leastLagMs = Math.min(this.#leastLagMs, lagMs);
    this.#mostFresh = Math.max(this.#mostFresh, this.fresh);
    // Before that, what is seen are calls that began before the last change.
    if (now < this.#patientUntil) this.#openWindow(now);
    else if (now - this.#windowFrom >= WINDOW_MS || lagMs >= this.#maxLagMs * MUCH) {
      this.#closeWindow(now);
      this.#openWindow(now);
    }
    this.#age(now);
  }

  #openWindow(now: number): void {
    this.#windowFrom = now;
    this.#leastLagMs = Infinity;
    this.#ended = this.#mostFresh = 0;
    this.#bound = false;
  }

  #closeWindow(now: number): void {
    const excessMs = this.#leastLagMs - this.#maxLagMs;
    const perMs = this.#ended / (now - this.#windowFrom);
    if (this.#bound) this.#boundAt = now;
    if (excessMs > 0) this.#fall(excessMs, perMs, now);
    else if (this.limit !== Infinity) {
      if (this.#bound && excessMs * 2 < -this.#maxLagMs) this.limit += Math.max(1, Math.floor(-excessMs * perMs));
      else if (now - this.#boundAt >= LIFT_AFTER_MS) this.limit = Infinity;
    }
  }

  /** So many are too many: the loop does `perMs` of them in a millisecond, and has `excessMs` too much to do. */
  #fall(excessMs: number, perMs: number, now: number): void {
    const running = Math.min(this.limit, this.#mostFresh);
    if (this.limit === Infinity) {
      // So few would not be held back: it is something else.
      if (running < 2 * LEAST) return;
      this.#reference = { limit: running, lagMs: this.#leastLagMs };
    } else if (this.limit > this.#reference.limit / 2) {
      this.#reference.lagMs = Math.max(this.#reference.lagMs, this.#leastLagMs);
    } else if (this.#leastLagMs > this.#reference.lagMs * HELPFUL) {
      this.limit = Infinity;
      this.#patientUntil = now + REST_MS;
      return;
    } else this.#reference = { limit: this.limit, lagMs: this.#leastLagMs };
    this.limit = Math.floor(Math.max(LEAST, running * FALL, running - excessMs * perMs));
    this.#boundAt = now;
    // As long as those that run take, by Little's law.
    this.#patientUntil = now + Math.min(running / perMs, LIFT_AFTER_MS);
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
