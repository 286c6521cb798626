import { assert, assertEquals } from "@std/assert";
import { below, fraction } from "../../src/core/platform.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";

Deno.test("seededRandom, known seeds, the same numbers in every process and version", () => {
  const draw = (seed: number) => {
    const random = seededRandom(seed);
    return Array.from({ length: 4 }, () => random.u32());
  };
  // From another implementation, in Python.
  assertEquals(draw(0), [1363572419, 145230303, 808754475, 4216505632]);
  assertEquals(draw(42), [1264412219, 1947509147, 3919439299, 1251167922]);
  assertEquals(draw(2 ** 32 - 1), [1984736529, 3747275468, 1287205723, 2021412065]);
});

Deno.test("seededRandom, neighbouring seeds, nothing in common", () => {
  const first = new Set<number>();
  for (let seed = 0; seed < 1000; seed++) first.add(seededRandom(seed).u32());
  assertEquals(first.size, 1000);
});

Deno.test("seededRandom, many numbers, each bit and each tenth is as likely", () => {
  const random = seededRandom(7);
  const bits = new Array(32).fill(0);
  const tenths = new Array(10).fill(0);
  for (let n = 0; n < 20_000; n++) {
    const drawn = random.u32();
    assert(Number.isInteger(drawn) && drawn >= 0 && drawn < 2 ** 32);
    for (let bit = 0; bit < 32; bit++) bits[bit] += (drawn >>> bit) & 1;
    tenths[below(random, 10)]++;
    assert(fraction(random) < 1);
  }
  for (const count of bits) assert(Math.abs(count - 10_000) < 400, `a bit is set ${count} times`);
  for (const count of tenths) assert(Math.abs(count - 2_000) < 250, `a tenth has ${count}`);
});
