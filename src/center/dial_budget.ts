/** How many dials may be made for each of those who register, and find nobody. Pure: it takes the time it is told. */

/** So many at once: a large fleet that has gone silent together. */
const BURST = 1_000;
/** So many more in a second. */
const PER_SECOND = 1;
/** From so many on, those are forgotten who have all of their dials again. */
const MANY = 1_000;

interface Left {
  dials: number;
  at: number;
}

/** What is left to each. */
export class DialBudget {
  readonly #left = new Map<string, Left>();

  /** Takes a dial. Says no when none is left. */
  take(whose: string, now: number): boolean {
    if (this.#left.size >= MANY && !this.#left.has(whose)) {
      for (const [name, left] of this.#left) if (dialsOf(left, now) === BURST) this.#left.delete(name);
    }
    const left = this.#left.get(whose);
    const dials = left === undefined ? BURST : dialsOf(left, now);
    if (dials < 1) return false;
    this.#left.set(whose, { dials: dials - 1, at: now });
    return true;
  }

  /** Gives one back that has found whom it was meant for. */
  giveBack(whose: string): void {
    const left = this.#left.get(whose);
    if (left !== undefined) left.dials = Math.min(BURST, left.dials + 1);
  }
}

function dialsOf({ dials, at }: Left, now: number): number {
  return Math.min(BURST, dials + (now - at) / 1_000 * PER_SECOND);
}
