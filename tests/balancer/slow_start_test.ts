import { assert, assertEquals, assertThrows } from "@std/assert";
import { consistentHash } from "../../src/balancer/consistent_hash.ts";
import { leastLoaded } from "../../src/balancer/least_loaded.ts";
import { random } from "../../src/balancer/random.ts";
import { roundRobin } from "../../src/balancer/round_robin.ts";
import { slowStart } from "../../src/balancer/slow_start.ts";
import { balancerContract } from "../../src/testing/balancer_contract.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";
import { candidatesOf, idsOf, pickerOf, request, tally } from "./candidates.ts";

for (const inner of [random(), roundRobin(), leastLoaded(), consistentHash()]) {
  for (const { name, run } of balancerContract(slowStart(inner))) Deno.test(name, run);
  // An instance that is new for ever, as far as the suite goes.
  for (const { name, run } of balancerContract(slowStart(inner, { windowMs: 1e12, firstShare: 0 }))) {
    Deno.test(`${name}, all of it slow`, run);
  }

  Deno.test(`slow start of ${inner.name}, one of ten is new, its share grows by its age from a tenth to the whole`, () => {
    const candidates = candidatesOf(idsOf(10));
    const bornAt = 5_000;
    candidates[4].since = bornAt;
    for (const candidate of candidates) candidate.latencyMs = 10;
    let now = 0;
    const pick = pickerOf(slowStart(inner, { windowMs: 1_000 }), candidates, seededRandom(1), { now: () => now });
    const whole = tally(pick10k(pickerOf(inner, candidates))).get("a4")!;
    for (const [age, share] of [[0, 0.1], [500, 0.55], [900, 0.91], [1_000, 1], [5_000, 1]]) {
      now = bornAt + age;
      const count = tally(pick10k(pick)).get("a4")!;
      assert(Math.abs(count - share * whole) < 0.1 * whole, `${count} of ${whole} at the age of ${age} ms`);
    }
  });
}

function pick10k(pick: ReturnType<typeof pickerOf>) {
  return Array.from({ length: 10_000 }, (_, n) => pick(request(`key ${n}`)));
}

Deno.test("slow start, all are those that the client began with, nobody's clock is read", () => {
  const now = () => {
    throw new Error("the clock was read");
  };
  const pick = pickerOf(slowStart(roundRobin()), candidatesOf(idsOf(10)), seededRandom(1), { now });
  assertEquals(tally(pick10k(pick)).size, 10);
});

Deno.test("slow start, nobody is new any more, the clock is read no more", () => {
  const candidates = candidatesOf(idsOf(3));
  candidates[1].since = 0;
  let reads = 0;
  const now = () => ++reads && 30_000;
  const pick = pickerOf(slowStart(roundRobin()), candidates, seededRandom(1), { now });
  pick10k(pick);
  assertEquals(reads, 1);
});

Deno.test("slow start, all are new, all share alike", () => {
  const candidates = candidatesOf(idsOf(4));
  for (const candidate of candidates) candidate.since = 0;
  const counts = tally(pick10k(pickerOf(slowStart(random()), candidates)));
  for (const [id, count] of counts) assert(Math.abs(count - 2_500) < 250, `${id} has ${count}`);
});

Deno.test("slow start of a hash, a new instance, keys come over to it one by one and to no other", () => {
  const candidates = candidatesOf(idsOf(5));
  const before = pick10k(pickerOf(consistentHash(), candidates.slice(1)));
  candidates[0].since = 0;
  const pick = pickerOf(slowStart(consistentHash()), candidates, seededRandom(1), { now: () => 15_000 });
  let moved = 0;
  for (const [n, picked] of pick10k(pick).entries()) {
    if (picked === before[n]) continue;
    assertEquals(picked, candidates[0]);
    moved++;
  }
  assert(moved > 700 && moved < 1_500, `${moved} moved, which is to be half of a fifth`);
});

Deno.test("slow start, options out of range, says the range", () => {
  assertThrows(() => slowStart(random(), { windowMs: 0 }), RangeError, "windowMs 0");
  assertThrows(() => slowStart(random(), { firstShare: 1.1 }), RangeError, "firstShare 1.1");
  assertThrows(() => slowStart(random(), { window: 1 } as object), TypeError, '"window"');
});
