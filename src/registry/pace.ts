/**
 * How often each of many may do something: half of what a second allows at once, the other half spread over the second.
 * Remembers only those that have done it lately.
 */
export class Pace {
  readonly #everyMs: number;
  readonly #aheadMs: number;
  /** When all that somebody has done would have been done, had it been spread evenly. */
  readonly #busyUntil = new Map<string, number>();

  /** @param perSecond how often in any second, 2 or more */
  constructor(perSecond: number) {
    const atOnce = Math.floor(perSecond / 2);
    this.#everyMs = 1_000 / (perSecond - atOnce);
    this.#aheadMs = (atOnce - 1) * this.#everyMs;
  }

  /** When somebody may do it next. */
  readyAt(who: string): number {
    return (this.#busyUntil.get(who) ?? -Infinity) - this.#aheadMs;
  }

  /** Somebody does it. */
  take(who: string, now: number): void {
    this.#busyUntil.set(who, Math.max(now, this.#busyUntil.get(who) ?? now) + this.#everyMs);
  }

  /** Forgets those that might do all that they may. */
  forget(now: number): void {
    for (const [who, until] of this.#busyUntil) if (until <= now) this.#busyUntil.delete(who);
  }
}
