import { assert, assertEquals } from "@std/assert";
import { below } from "../../src/core/platform.ts";
import { roundRobin } from "../../src/balancer/round_robin.ts";
import { balancerContract } from "../../src/testing/balancer_contract.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";
import { candidatesOf, idsOf, pickerOf, request } from "./candidates.ts";

for (const { name, run } of balancerContract(roundRobin())) Deno.test(name, run);

Deno.test("round robin, any number of picks from 1 to 20 instances, no instance has two more than another", () => {
  for (let size = 1; size <= 20; size++) {
    const counts = new Map(idsOf(size).map((id) => [id, 0]));
    const pick = pickerOf(roundRobin(), candidatesOf(idsOf(size), () => 7), seededRandom(size));
    for (let n = 0; n < 5 * size + 3; n++) {
      const { id } = pick(request())!.instance;
      counts.set(id, counts.get(id)! + 1);
      const spread = Math.max(...counts.values()) - Math.min(...counts.values());
      assert(spread <= 1, `${spread} apart after ${n + 1} picks from ${size}`);
    }
  }
});

Deno.test("round robin, many pickers, begin at every instance", () => {
  const random = seededRandom(9);
  const starts = new Set<string>();
  for (let n = 0; n < 200; n++) {
    starts.add(pickerOf(roundRobin(), candidatesOf(idsOf(8)), random)(request())!.instance.id);
  }
  assertEquals(starts.size, 8);
});

Deno.test("round robin, one to go round, the others keep their turns", () => {
  const pick = pickerOf(roundRobin(), candidatesOf(["a", "b", "c"]), { u32: () => 0 });
  const ids = Array.from({ length: 5 }, () => pick(request(undefined, ["memory://b"]))!.instance.id);
  assertEquals(ids, ["a", "c", "a", "c", "a"]);
});

Deno.test("round robin, all to go round, still take turns", () => {
  const pick = pickerOf(roundRobin(), candidatesOf(["a", "b", "c"]), { u32: () => 0 });
  const avoid = ["memory://a", "memory://b", "memory://c"];
  assertEquals(Array.from({ length: 5 }, () => pick(request(undefined, avoid))!.instance.id), [
    "a",
    "b",
    "c",
    "a",
    "b",
  ]);
});

/** The ids of so many picks. */
function turns(weights: Readonly<Record<string, number>>, count: number, seed = 1): string[] {
  const pick = pickerOf(roundRobin(), candidatesOf(Object.keys(weights), (id) => weights[id]), seededRandom(seed));
  return Array.from({ length: count }, () => pick(request())!.instance.id);
}

Deno.test("round robin, instances of different weights, each has its share of every stretch, give or take a turn or two", () => {
  for (let seed = 0; seed < 30; seed++) {
    const random = seededRandom(seed);
    const weights = Object.fromEntries(idsOf(2 + seed).map((id) => [id, 1 + below(random, 9)]));
    const sum = Object.values(weights).reduce((sum, weight) => sum + weight, 0);
    const ids = turns(weights, 10 * sum, seed);
    const seen = new Map<string, number>();
    for (const [n, id] of ids.entries()) {
      seen.set(id, (seen.get(id) ?? 0) + 1);
      const expected = (n + 1) * weights[id] / sum;
      assert(Math.abs(seen.get(id)! - expected) <= 2, `seed ${seed}: ${id} has ${seen.get(id)} after ${n + 1}`);
    }
    for (const [id, weight] of Object.entries(weights)) {
      assert(Math.abs(seen.get(id)! - 10 * weight) <= 1, `seed ${seed}: ${id} has ${seen.get(id)}, not ${10 * weight}`);
    }
  }
});

Deno.test("round robin, one far heavier than the others, its turns are spread and theirs apart", () => {
  for (let seed = 0; seed < 30; seed++) {
    const ids = turns({ a: 5, b: 1, c: 1 }, 70, seed).join("");
    // Five in a row would be a burst, as a list of five a's, a b and a c gives it.
    assert(!ids.includes("aaaaa") && !/bb|cc/.test(ids), ids);
  }
});

Deno.test("round robin, weights far apart, the lightest still has its turn", () => {
  const seen = turns({ a: 1000, b: 1 }, 4_004).filter((id) => id === "b").length;
  assert(seen >= 3 && seen <= 5, `${seen}`);
});

Deno.test("round robin, a weighted one to go round, it is next, and does not get all that it missed", () => {
  const pick = pickerOf(roundRobin(), candidatesOf(["a", "b", "c"], (id) => id === "a" ? 2 : 1), seededRandom(3));
  const without = Array.from({ length: 40 }, () => pick(request(undefined, ["memory://a"]))!.instance.id);
  assert(without.every((id, n) => id !== "a" && (n === 0 || id !== without[n - 1])), without.join(""));
  const all = Array.from({ length: 12 }, () => pick(request(undefined, []))!.instance.id).join("");
  assert(/^a/.test(all) && all.split("a").length - 1 <= 8, all);
});
