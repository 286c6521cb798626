import { assert, assertEquals } from "@std/assert";
import { MassHold } from "../../src/registry/mass_hold.ts";

const OPTIONS = { maxMs: 300_000, perMs: 15_000 };

/** Lets as many leave as may, and says how many that were. */
function leave(hold: MassHold, most: number): number {
  let left = 0;
  while (left < most && hold.allowance > 0) {
    hold.spend();
    left++;
  }
  return left;
}

Deno.test("MassHold, as many as half are silent, everybody may leave", () => {
  for (const [total, silent] of [[2, 2], [4, 2], [10, 5], [1_000, 500]]) {
    const hold = new MassHold(OPTIONS);
    hold.observe(0, total, silent, true);
    assertEquals([hold.isHolding, hold.allowance], [false, Infinity], `${silent} of ${total}`);
  }
});

Deno.test("X10 MassHold, more than half and three are silent, a few may leave in each time to live", () => {
  for (const [total, silent, few] of [[3, 3, 1], [4, 3, 1], [10, 6, 1], [20, 20, 3], [1_000, 501, 150]]) {
    const hold = new MassHold(OPTIONS);
    hold.observe(0, total, silent, true);
    assertEquals([hold.isHolding, hold.allowance], [true, few], `${silent} of ${total}`);
    assertEquals(leave(hold, total), few);
    hold.observe(14_999, total - few, silent, true);
    assertEquals(hold.allowance, 0);
    hold.observe(15_000, total - few, silent, true);
    assert(hold.allowance >= 1 && hold.allowance <= Math.max(1, 0.15 * total), `${hold.allowance}`);
  }
});

Deno.test("MassHold, many are silent and no lease has run out, nothing begins", () => {
  const hold = new MassHold(OPTIONS);
  hold.observe(0, 10, 10, false);
  assertEquals(hold.isHolding, false);
});

Deno.test("X10 MassHold, 85 % are back, it is over at once; with fewer it is not", () => {
  const hold = new MassHold(OPTIONS);
  hold.observe(0, 100, 80, true);
  hold.observe(1_000, 100, 16, true);
  assertEquals(hold.isHolding, true);
  hold.observe(2_000, 100, 15, true);
  assertEquals([hold.isHolding, hold.allowance], [false, Infinity]);
});

Deno.test("X10 MassHold, five minutes have passed, whoever is silent may leave, and it begins anew only after a recovery", () => {
  const hold = new MassHold(OPTIONS);
  hold.observe(0, 100, 100, true);
  hold.observe(299_999, 100, 100, true);
  assertEquals(hold.isHolding, true);
  hold.observe(300_000, 100, 100, true);
  assertEquals([hold.isHolding, hold.allowance], [false, Infinity]);
  hold.observe(301_000, 60, 60, true);
  assertEquals(hold.isHolding, false);
  hold.observe(302_000, 60, 0, false);
  hold.observe(400_000, 60, 60, true);
  assertEquals(hold.isHolding, true);
});
