import { assert, assertEquals } from "@std/assert";
import { random } from "../../src/balancer/random.ts";
import { balancerContract } from "../../src/testing/balancer_contract.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";
import { candidatesOf, idsOf, pickerOf, request, tally } from "./candidates.ts";

for (const { name, run } of balancerContract(random())) Deno.test(name, run);

/** How often each is picked of so many calls, all with the same to go round. */
function counts(weights: Readonly<Record<string, number>>, calls: number, avoid?: readonly string[]) {
  const pick = pickerOf(random(), candidatesOf(Object.keys(weights), (id) => weights[id]), seededRandom(5));
  return tally(Array.from({ length: calls }, () => pick(request(undefined, avoid))));
}

Deno.test("random, 10 instances and 100,000 calls, each has a tenth within 4 %", () => {
  const seen = counts(Object.fromEntries(idsOf(10).map((id) => [id, 7])), 100_000);
  assertEquals(seen.size, 10);
  for (const [id, count] of seen) assert(Math.abs(count - 10_000) < 400, `${id} has ${count}`);
});

Deno.test("random, instances of different weights, shares in proportion", () => {
  const weights = { a: 1, b: 2, c: 0, d: 0.5, e: 6.5, f: 10 };
  const seen = counts(weights, 100_000);
  assertEquals(seen.has("c"), false);
  for (const [id, weight] of Object.entries(weights)) {
    const expected = weight * 5_000;
    assert(Math.abs((seen.get(id) ?? 0) - expected) <= 0.05 * expected + 50, `${id} has ${seen.get(id)}`);
  }
});

Deno.test("H59 random, weights that are no use, shares as if they were a million, a millionth or 0", () => {
  const seen = counts({ a: Infinity, b: 1e308, c: 1, d: NaN, e: -1, f: -Infinity }, 10_000);
  for (const id of ["a", "b"]) assert(Math.abs(seen.get(id)! - 5_000) < 250, `${id} has ${seen.get(id)}`);
  assert((seen.get("c") ?? 0) < 5);
  assert(["d", "e", "f"].every((id) => !seen.has(id)));
});

Deno.test("random, some to go round, the others share by their weights", () => {
  const seen = counts({ a: 1, b: 100, c: 3, d: 0 }, 40_000, ["memory://b"]);
  assertEquals([...seen.keys()].sort(), ["a", "c"]);
  assert(Math.abs(seen.get("a")! - 10_000) < 400, `a has ${seen.get("a")}`);
});
