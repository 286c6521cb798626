import { below, fraction, type Random } from "../../src/core/platform.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";

/** Chance, as those who draw a run want it. */
export class Dice {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Dice of their own for one thing of a run, so that nothing else changes when other things are left out. */
  static for(seed: number, ...path: (string | number)[]): Dice {
    let hash = seed >>> 0;
    for (const unit of path.join("/")) hash = Math.imul(hash ^ unit.codePointAt(0)!, 0x01000193) ^ (hash >>> 15);
    return new Dice(seededRandom(hash));
  }

  /** True that often. */
  chance(likely: number): boolean {
    return fraction(this.#random) < likely;
  }

  /** One of them. */
  pick<T>(choices: readonly T[]): T {
    return choices[below(this.#random, choices.length)];
  }

  /** A whole number. */
  between(fewest: number, most: number): number {
    return fewest + below(this.#random, most - fewest + 1);
  }

  /** A whole number of any magnitude: small ones are as likely as large ones. */
  magnitude(fewest: number, most: number): number {
    const from = Math.max(1, fewest);
    return Math.min(
      most,
      Math.max(fewest, Math.round(from * (most / from) ** fraction(this.#random)) - (from - fewest)),
    );
  }

  /** A time, often shorter and sometimes much longer than its mean. */
  around(meanMs: number): number {
    return Math.min(6, -Math.log(1 - fraction(this.#random))) * meanMs;
  }

  /** Each of them with that likelihood. */
  some<T>(choices: readonly T[], likely: number): T[] {
    return choices.filter(() => this.chance(likely));
  }

  /** All of them, in any order. */
  shuffled<T>(items: readonly T[]): T[] {
    const order = [...items];
    for (let i = order.length - 1; i > 0; i--) {
      const j = below(this.#random, i + 1);
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }
}
