import { assert, assertEquals } from "@std/assert";
import { random } from "../../src/balancer/random.ts";
import { balancerContract } from "../../src/testing/balancer_contract.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";
import { candidatesOf, idsOf, request } from "./candidates.ts";

for (const { name, run } of balancerContract(random())) Deno.test(name, run);

Deno.test("random, 10 instances and 100,000 calls, each has a tenth within 4 %", () => {
  const pick = random().build(candidatesOf(idsOf(10), (id) => id === "a0" ? 1000 : 1), seededRandom(5));
  const counts = new Map<string, number>();
  for (let n = 0; n < 100_000; n++) {
    const id = pick(request())!.instance.id;
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  assertEquals(counts.size, 10);
  for (const [id, count] of counts) assert(Math.abs(count - 10_000) < 400, `${id} has ${count}`);
});

Deno.test("random, some to go round, the others share alike", () => {
  const pick = random().build(candidatesOf(idsOf(4)), seededRandom(5));
  const counts = new Map<string, number>();
  for (let n = 0; n < 30_000; n++) {
    const id = pick(request(undefined, ["memory://a1"]))!.instance.id;
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  assertEquals([...counts.keys()].sort(), ["a0", "a2", "a3"]);
  for (const [id, count] of counts) assert(Math.abs(count - 10_000) < 400, `${id} has ${count}`);
});
