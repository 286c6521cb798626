import { assert, assertEquals, assertLess, assertThrows } from "@std/assert";
import type { Candidate } from "../../src/balancer/balancer.ts";
import { byZone } from "../../src/balancer/by_zone.ts";
import { roundRobin } from "../../src/balancer/round_robin.ts";
import { subset } from "../../src/balancer/subset.ts";
import { balancerContract } from "../../src/testing/balancer_contract.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";
import { candidatesOf, idsOf, pickerOf, request, saying } from "./candidates.ts";

for (const { name, run } of balancerContract(subset(roundRobin(), { size: 100 }))) Deno.test(name, run);

/** The ids of those whom a client calls. */
function called(
  candidates: readonly Candidate[],
  size: number,
  clientId: string,
  balancer = roundRobin(),
): Set<string> {
  const pick = pickerOf(subset(balancer, { size }), candidates, seededRandom(1), { clientId });
  return new Set(Array.from({ length: 2 * size }, () => pick(request())!.instance.id));
}

Deno.test("subset, more instances than wanted, so many and always the same; fewer, all", () => {
  const candidates = candidatesOf(idsOf(100));
  for (const size of [1, 2, 20, 99, 100, 200]) {
    const ids = called(candidates, size, "c");
    assertEquals(ids.size, Math.min(size, 100));
    assertEquals(called(candidates.toReversed(), size, "c"), ids);
  }
});

Deno.test("subset, 1 000 clients of 20 out of 200, the busiest has at most 1.35 times the mean and the idlest 0.65", () => {
  const candidates = candidatesOf(idsOf(200));
  const clients = new Map<string, number>();
  for (let n = 0; n < 1_000; n++) {
    for (const id of called(candidates, 20, `client-${n}`)) clients.set(id, (clients.get(id) ?? 0) + 1);
  }
  const counts = [...clients.values()];
  assertEquals(counts.length, 200);
  assertLess(Math.max(...counts), 135);
  assert(Math.min(...counts) > 65, `${Math.min(...counts)}`);
});

Deno.test("X27 subset, one of n instances leaves or joins, only its clients move, and each by one", () => {
  const candidates = candidatesOf(idsOf(100));
  let moved = 0;
  for (let n = 0; n < 500; n++) {
    const all = called(candidates, 10, `client-${n}`);
    const left = called(candidates.slice(1), 10, `client-${n}`);
    const lost = all.difference(left);
    assertEquals(left.difference(all).size, lost.size);
    assertEquals([...lost], all.has("a0") ? ["a0"] : []);
    moved += lost.size;
  }
  // 1/n of 500 clients of 10.
  assertLess(moved, 1.5 * 50);
});

Deno.test("subset, instances of different weights, in as many subsets as their weights say", () => {
  const candidates = candidatesOf(idsOf(100), (id) => id === "a7" ? 4 : id === "a8" ? 0 : 1);
  let [heavy, light, none] = [0, 0, 0];
  for (let n = 0; n < 2_000; n++) {
    const ids = called(candidates, 5, `client-${n}`);
    heavy += Number(ids.has("a7"));
    light += Number(ids.has("a9"));
    none += Number(ids.has("a8"));
  }
  assertEquals(none, 0);
  assert(heavy > 2.8 * light && heavy < 5 * light, `${heavy} and ${light}`);
});

Deno.test("subset inside of zones, each zone has its own", () => {
  const candidates = candidatesOf(idsOf(40)).map((candidate, n) =>
    saying(candidate, { zone: n % 4 ? "eu/b" : "eu/a" })
  );
  const pick = pickerOf(byZone(subset(roundRobin(), { size: 5 })), candidates, seededRandom(1), { zone: "eu/a" });
  const near = Array.from({ length: 20 }, () => pick(request())!.instance);
  assertEquals(new Set(near.map(({ zone }) => zone)), new Set(["eu/a"]));
  assertEquals(new Set(near.map(({ id }) => id)).size, 5);
});

Deno.test("subset, a size out of range, says the range", () => {
  for (const size of [0, -1, 1.5, NaN]) assertThrows(() => subset(roundRobin(), { size }), RangeError, "size");
});
