import { assert, assertEquals } from "@std/assert";
import { roundRobin } from "../../src/balancer/round_robin.ts";
import { balancerContract } from "../../src/testing/balancer_contract.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";
import { candidatesOf, idsOf, request } from "./candidates.ts";

for (const { name, run } of balancerContract(roundRobin())) Deno.test(name, run);

Deno.test("round robin, any number of picks from 1 to 20 instances, no instance has two more than another", () => {
  for (let size = 1; size <= 20; size++) {
    const counts = new Map(idsOf(size).map((id) => [id, 0]));
    const pick = roundRobin().build(candidatesOf(idsOf(size), (id) => id === "a0" ? 100 : 1), seededRandom(size));
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
  for (let n = 0; n < 200; n++) starts.add(roundRobin().build(candidatesOf(idsOf(8)), random)(request())!.instance.id);
  assertEquals(starts.size, 8);
});

Deno.test("round robin, one to go round, the others keep their turns", () => {
  const pick = roundRobin().build(candidatesOf(["a", "b", "c"]), { u32: () => 0 });
  const ids = Array.from({ length: 5 }, () => pick(request(undefined, ["memory://b"]))!.instance.id);
  assertEquals(ids, ["a", "c", "a", "c", "a"]);
});

Deno.test("round robin, all to go round, still take turns", () => {
  const pick = roundRobin().build(candidatesOf(["a", "b", "c"]), { u32: () => 0 });
  const avoid = ["memory://a", "memory://b", "memory://c"];
  assertEquals(Array.from({ length: 5 }, () => pick(request(undefined, avoid))!.instance.id), [
    "a",
    "b",
    "c",
    "a",
    "b",
  ]);
});
