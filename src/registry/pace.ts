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

  /** How many it remembers. */
  get size(): number {
    return this.#busyUntil.size;
  }

  /** Somebody does it. */
  take(who: string, now: number): void {
    const until = Math.max(now, this.#busyUntil.get(who) ?? now) + this.#everyMs;
    // Taken out first, so that those who have done it lately stand behind the others.
    this.#busyUntil.delete(who);
    this.#busyUntil.set(who, until);
    this.#forgetSome(now);
  }

  /** Forgets two who might do all that they may, if they have done it longest ago: so it remembers no more than a second's worth. */
  #forgetSome(now: number): void {
    let looked = 0;
    for (const [who, until] of this.#busyUntil) {
      if (until > now || ++looked > 2) return;
      this.#busyUntil.delete(who);
    }
  }
}
