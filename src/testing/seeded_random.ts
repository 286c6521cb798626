import type { Random } from "../core/platform.ts";

/**
 * Chance that comes out the same for the same seed, in every process and version. Never for secrets.
 *
 * @param seed a whole number from 0 to 2^32 − 1; others are taken modulo 2^32
 * @see sfc32 of Chris Doty-Humphrey's PractRand
 */
export function seededRandom(seed: number): Random {
  let [a, b, c, counter] = [0, seed >>> 0, 0, 1];
  function u32(): number {
    const drawn = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + drawn) | 0;
    return drawn >>> 0;
  }
  // Neighbouring seeds begin alike: the generator's author throws away the first dozen for one word of seed.
  for (let i = 0; i < 12; i++) u32();
  return { u32 };
}
