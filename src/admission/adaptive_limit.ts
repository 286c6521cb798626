/**
 * How many calls may run at once, found out from how long they take: a gradient, after Netflix's concurrency-limits.
 *
 * A method's calls are compared with how long they take when little else runs, so a mix of fast and slow methods does not
 * look like overload. Netflix compares with a long average, which follows a lasting overload upwards and the limit with it;
 * here it is the least of what was seen, and every now and then the limit is halved for a moment to see it anew (as BBR
 * looks for the least round trip). Pure: it takes the times it is told.
 */

/** What an adaptive limit is made from. */
export interface AdaptiveLimitOptions {
  readonly startLimit: number;
  readonly minLimit: number;
  readonly maxLimit: number;
  readonly tolerance: number;
  readonly smoothing: number;
}

/** The limit changes at most so often, and not before so many calls have ended. */
const WINDOW_MS = 100;
const WINDOW_CALLS = 10;
/** Calls that take less are not told apart: that much may be the event loop's. */
const LEAST_MS = 1;
/** Below this share beyond the least, calls do not take longer at all: the limit may rise fast. */
const FREE = 1.1;
const FAST = 1.5;
/** The limit falls by half in one window at most. */
const STEEPEST = 0.5;
/** How often the least is looked for anew; sooner when the last time has shown that it was lower by a tenth. */
const LOOK_EVERY_MS = 10_000;
const LOOK_SOON_MS = 1_000;
const WORTH = 0.9;
/** It is looked for only when so much of the limit is used. */
const BINDING = 0.8;
/** How long that may take. */
const LOOK_AT_MOST_MS = 1_000;
/** The most methods that are told apart. */
const MAX_METHODS = 1_024;

/** What is known of one method. */
class MethodTimes {
  leastMs = Infinity;
  /** In this window. */
  sumMs = 0;
  count = 0;
}

/** A limit that is found out. */
export class AdaptiveLimit {
  readonly #options: AdaptiveLimitOptions;
  readonly #methods = new Map<string, MethodTimes>();
  readonly #others = new MethodTimes();
  readonly #touched: MethodTimes[] = [];
  #limit: number;
  #count = 0;
  #peak = 0;
  #from = 0;
  /** When the limit last changed: what began before that says nothing about it. */
  #changedAt = -Infinity;
  #lookAt = -Infinity;
  /** While the least is looked for: how many may run, and until when. */
  #look: { readonly limit: number; readonly until: number } | undefined;

  /** Makes one that knows nothing yet. */
  constructor(options: AdaptiveLimitOptions) {
    this.#options = options;
    this.#limit = options.startLimit;
  }

  /** How many calls may run at once. */
  get limit(): number {
    return Math.floor(this.#look?.limit ?? this.#limit);
  }

  /** A call of `method` has ended at `now`, `tookMs` after it began to run; `running` ran then, itself included. */
  sample(method: string, tookMs: number, running: number, now: number): void {
    if (now - tookMs <= this.#changedAt) return this.#giveUpLooking(now);
    if (this.#count === 0) this.#from = now - tookMs;
    const times = this.#timesOf(method);
    if (times.count++ === 0) this.#touched.push(times);
    times.sumMs += tookMs;
    this.#count++;
    if (running > this.#peak) this.#peak = running;
    if (now - this.#from >= WINDOW_MS && this.#count >= WINDOW_CALLS) this.#closeWindow(now);
  }

  #timesOf(method: string): MethodTimes {
    let times = this.#methods.get(method);
    if (times === undefined) {
      if (this.#methods.size >= MAX_METHODS) return this.#others;
      this.#methods.set(method, times = new MethodTimes());
    }
    return times;
  }

  #closeWindow(now: number): void {
    const peak = this.#peak;
    const looked = this.#look !== undefined;
    let [expectedMs, actualMs, before] = [0, 0, 0];
    for (const times of this.#touched) {
      const meanMs = Math.max(LEAST_MS, times.sumMs / times.count);
      before += (times.leastMs === Infinity ? meanMs : times.leastMs) * times.count;
      if (looked || meanMs < times.leastMs) times.leastMs = meanMs;
      expectedMs += times.leastMs * times.count;
      actualMs += meanMs * times.count;
      times.sumMs = times.count = 0;
    }
    this.#touched.length = 0;
    this.#count = this.#peak = 0;
    if (looked) this.#endLook(now, expectedMs < before * WORTH ? LOOK_SOON_MS : LOOK_EVERY_MS);
    else {
      this.#step(expectedMs / actualMs, peak, now);
      // Who is not held back by the limit need not be held back more.
      if (now >= this.#lookAt && peak >= this.#limit * BINDING) this.#beginToLook(peak, now);
    }
  }

  #step(ratio: number, peak: number, now: number): void {
    const { tolerance, smoothing, minLimit, maxLimit } = this.#options;
    const limit = this.#limit;
    const gradient = Math.max(STEEPEST, Math.min(1, tolerance * ratio));
    // Nobody knows what more would do, as long as not even this is used.
    if (gradient === 1 && peak < limit / 2) return;
    const free = 1 / ratio < FREE;
    const next = free ? limit * FAST : limit * gradient + Math.sqrt(limit) / 2;
    const moved = free ? next : limit + (next - limit) * smoothing;
    this.#limit = Math.max(minLimit, Math.min(maxLimit, moved));
    if (Math.floor(this.#limit) !== Math.floor(limit)) this.#changedAt = now;
  }

  #beginToLook(peak: number, now: number): void {
    const limit = Math.max(this.#options.minLimit, Math.floor(Math.min(this.#limit, peak) / 2));
    this.#look = { limit, until: now + LOOK_AT_MOST_MS };
    this.#changedAt = now;
  }

  #giveUpLooking(now: number): void {
    if (this.#look !== undefined && now >= this.#look.until) this.#endLook(now, LOOK_EVERY_MS);
  }

  #endLook(now: number, againMs: number): void {
    this.#look = undefined;
    this.#lookAt = now + againMs;
    this.#changedAt = now;
  }
}
