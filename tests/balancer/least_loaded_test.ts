import { assert, assertEquals, assertLess } from "@std/assert";
import { leastLoaded } from "../../src/balancer/least_loaded.ts";
import { balancerContract } from "../../src/testing/balancer_contract.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";
import { candidatesOf, type Changing, idsOf, pickerOf, request, tally } from "./candidates.ts";

for (const { name, run } of balancerContract(leastLoaded())) Deno.test(name, run);

/** How often each of ten is picked, out of 10,000 times, while all stays as it is. */
function picked(change: (candidates: readonly Changing[]) => void, weightOf?: (id: string) => number) {
  const candidates = candidatesOf(idsOf(10), weightOf);
  for (const candidate of candidates) candidate.latencyMs = 10;
  change(candidates);
  const pick = pickerOf(leastLoaded(), candidates, seededRandom(3));
  return tally(Array.from({ length: 10_000 }, () => pick(request())));
}

Deno.test("least loaded, all alike, shares alike", () => {
  for (const [id, count] of picked(() => {})) assert(Math.abs(count - 1_000) < 150, `${id} has ${count}`);
});

Deno.test("least loaded, one with more running, slower, failing, or loaded by others, is left alone", () => {
  const changes: ((one: Changing) => void)[] = [
    (one) => one.inFlight = 1,
    (one) => one.latencyMs = 11,
    (one) => one.errorShare = 0.1,
    (one) => one.load = { inFlight: 1, limit: 0, lagMs: 0 },
    (one) => one.load = { inFlight: 0, limit: 0, lagMs: 1 },
    // Quick, but it fails: a black hole for calls.
    (one) => [one.latencyMs, one.errorShare] = [0.1, 1],
    (one) => [one.latencyMs, one.errorShare] = [0, 1],
  ];
  for (const [n, change] of changes.entries()) {
    assertEquals(picked((candidates) => change(candidates[4])).get("a4"), undefined, `change ${n}`);
  }
});

Deno.test("least loaded, one that is quicker or has less running, is taken whenever chance names it", () => {
  for (const change of [(one: Changing) => one.latencyMs = 9, (one: Changing) => one.latencyMs = 0]) {
    const share = picked((candidates) => change(candidates[4])).get("a4")!;
    assert(share > 1_800 && share < 2_200, `${share}`);
  }
});

Deno.test("least loaded, streams that run there, don't count", () => {
  for (const load of [undefined, { inFlight: 50, limit: 65_535, lagMs: 0 }]) {
    const counts = picked(([, , , , one]) => [one.inFlight, one.streams, one.load] = [50, 50, load]);
    assert(Math.abs(counts.get("a4")! - 1_000) < 150, `${counts.get("a4")}`);
  }
});

Deno.test("least loaded, nobody knows anything yet, each gets one call before any gets a second", () => {
  const candidates = candidatesOf(idsOf(10));
  const pick = pickerOf(leastLoaded(), candidates, seededRandom(3));
  for (let n = 0; n < 1_000; n++) (pick(request()) as Changing).inFlight++;
  const loads = candidates.map(({ inFlight }) => inFlight);
  assertLess(Math.max(...loads) - Math.min(...loads), 8, `${loads}`);
});

Deno.test("least loaded, instances of different weights, shares in proportion when idle and when busy", () => {
  const idle = picked(() => {}, (id) => id === "a4" ? 4 : id === "a5" ? 0 : 1);
  assert(Math.abs(idle.get("a4")! - 10_000 * 4 / 12) < 300, `${idle.get("a4")}`);
  assertEquals(idle.get("a5"), undefined);

  const candidates = candidatesOf(idsOf(10), (id) => id === "a4" ? 4 : 1);
  for (const candidate of candidates) candidate.latencyMs = 10;
  const pick = pickerOf(leastLoaded(), candidates, seededRandom(3));
  for (let n = 0; n < 1_300; n++) (pick(request()) as Changing).inFlight++;
  assert(Math.abs(candidates[4].inFlight - 400) < 40, `${candidates[4].inFlight}`);
});

Deno.test("H59 least loaded, weights that are no use, a finite cost and a pick", () => {
  for (const odd of [-1, 0, NaN, Infinity, 1e308, 5e-324]) {
    const counts = picked(() => {}, (id) => id === "a4" ? odd : 1);
    assertEquals(counts.get("nobody"), undefined, `${odd}`);
    assertEquals([...counts.values()].reduce((sum, count) => sum + count), 10_000);
  }
});
