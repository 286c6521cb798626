import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Candidate } from "../../src/balancer/balancer.ts";
import { byZone, type ByZoneOptions } from "../../src/balancer/by_zone.ts";
import { consistentHash } from "../../src/balancer/consistent_hash.ts";
import { leastLoaded } from "../../src/balancer/least_loaded.ts";
import { random } from "../../src/balancer/random.ts";
import { roundRobin } from "../../src/balancer/round_robin.ts";
import { nearness } from "../../src/balancer/zone.ts";
import { balancerContract } from "../../src/testing/balancer_contract.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";
import { candidatesOf, type Changing, idsOf, pickerOf, request, saying, tally } from "./candidates.ts";

for (const inner of [random(), roundRobin(), leastLoaded(), consistentHash()]) {
  for (const { name, run } of balancerContract(byZone(inner))) Deno.test(name, run);
}

const ZONES = ["eu/a", "eu/b", "us/a"];

/** Three instances in each of three zones, in two regions, and one that does not say where it stands. */
function scene(zones: readonly string[] = [...ZONES, ...ZONES, ...ZONES, ""]): Changing[] {
  return candidatesOf(idsOf(zones.length)).map((candidate, n) => saying(candidate, { zone: zones[n] }));
}

function picker(candidates: readonly Candidate[], options: ByZoneOptions = {}, zone = "eu/a", inner = roundRobin()) {
  return pickerOf(byZone(inner, options), candidates, seededRandom(1), { zone });
}

/** Starts so many calls, none of which ends, and gives how many run in each zone. */
function start(calls: number, candidates: readonly Changing[], pick: ReturnType<typeof picker>) {
  for (let n = 0; n < calls; n++) (pick(request(`key ${n}`)) as Changing).inFlight++;
  return Object.fromEntries(
    [...Map.groupBy(candidates, ({ instance }) => instance.zone)].map(([zone, there]) => [
      zone,
      there.reduce((sum, { inFlight }) => sum + inFlight, 0),
    ]),
  );
}

Deno.test("nearness, the parts in common from the front; nobody is near what says nothing", () => {
  const rows: [string, string, number][] = [
    ["eu/a", "eu/a", Infinity],
    ["eu/a", "eu/b", 1],
    ["eu/a/7", "eu/a/8", 2],
    ["eu/a", "eu/a/8", 2],
    ["eu", "eu/a", 1],
    ["eu/a", "us/a", 0],
    ["eu", "europe", 0],
    ["", "", 0],
    ["eu/a", "", 0],
  ];
  for (const [one, other, expected] of rows) {
    assertEquals([nearness(one, other), nearness(other, one)], [expected, expected], `"${one}" and "${other}"`);
  }
});

Deno.test("by zone, the own zone has room, all calls stay there", () => {
  for (const inner of [random(), roundRobin(), leastLoaded(), consistentHash({ maxLoad: Infinity })]) {
    const candidates = scene();
    const pick = picker(candidates, { maxInFlight: 100 }, "eu/a", inner);
    assertEquals(start(100, candidates, pick), { "eu/a": 100, "eu/b": 0, "us/a": 0, "": 0 }, inner.name);
  }
});

Deno.test("by zone, more calls than the own zone has room for, the excess alone goes on, to the region first", () => {
  for (const inner of [random(), roundRobin(), leastLoaded(), consistentHash({ maxLoad: Infinity })]) {
    const candidates = scene();
    const pick = picker(candidates, { maxInFlight: 10 }, "eu/a", inner);
    assertEquals(start(45, candidates, pick), { "eu/a": 30, "eu/b": 15, "us/a": 0, "": 0 }, inner.name);
    const { "us/a": far, "": unknown, ...near } = start(30, candidates, pick);
    assertEquals([near, far + unknown], [{ "eu/a": 30, "eu/b": 30 }, 15], inner.name);
    // Nobody has room: they stay at home.
    assertEquals(start(30 + 7, candidates, pick)["eu/a"] >= 37, true, inner.name);
  }
});

Deno.test("by zone, calls end at home, further ones are at home again", () => {
  const candidates = scene();
  const pick = picker(candidates, { maxInFlight: 10 });
  start(45, candidates, pick);
  for (const candidate of candidates) if (candidate.instance.zone === "eu/a") candidate.inFlight = 5;
  assertEquals(start(15, candidates, pick)["eu/a"], 30);
});

Deno.test("by zone, instances that report their load, are full at four fifths of their limit or when they are late", () => {
  const candidates = scene();
  const home = candidates.filter(({ instance }) => instance.zone === "eu/a");
  const pick = picker(candidates);
  const loads = (of: { inFlight: number; lagMs: number }[]) =>
    of.forEach((load, n) => home[n].load = { ...load, limit: 100 });
  const share = () => tally(Array.from({ length: 900 }, () => pick(request())));
  loads([{ inFlight: 80, lagMs: 0 }, { inFlight: 0, lagMs: 100 }, { inFlight: 79, lagMs: 99 }]);
  assertEquals([...share()], [["a6", 900]]);
  loads([{ inFlight: 80, lagMs: 0 }, { inFlight: 0, lagMs: 100 }, { inFlight: 200, lagMs: 0 }]);
  assertEquals([...share().keys()].sort(), ["a1", "a4", "a7"]);
});

Deno.test("by zone, the own zone is to be gone round, the region is next", () => {
  const candidates = scene();
  const avoid = candidates.filter(({ instance }) => instance.zone === "eu/a").map(({ endpoint }) => endpoint);
  const pick = picker(candidates);
  const counts = tally(Array.from({ length: 90 }, () => pick(request(undefined, avoid))));
  assert([...counts.keys()].every((id) => ["a1", "a4", "a7"].includes(id)), `${[...counts]}`);
});

Deno.test("by zone, weight 0 in the own zone, it takes no calls", () => {
  const candidates = scene().map((candidate) =>
    candidate.instance.zone === "eu/a" ? saying(candidate, { weight: 0 }) : candidate
  );
  const pick = picker(candidates);
  const counts = tally(Array.from({ length: 90 }, () => pick(request())));
  assertEquals([...counts.keys()].sort(), ["a1", "a4", "a7"]);
});

Deno.test("by zone, nobody in the own zone, those of the region; strict, nobody", () => {
  const candidates = scene(["eu/b", "us/a"]);
  assertEquals(picker(candidates)(request())?.instance.id, "a0");
  assertEquals(picker(candidates, { strict: true })(request()), undefined);
});

Deno.test("by zone, strict, calls stay in the own zone though it is full", () => {
  const candidates = scene();
  const pick = picker(candidates, { strict: true, maxInFlight: 1 });
  assertEquals(start(60, candidates, pick), { "eu/a": 60, "eu/b": 0, "us/a": 0, "": 0 });
});

Deno.test("by zone, a client that says nothing, goes everywhere, strict or not", () => {
  for (const strict of [true, false]) {
    const pick = picker(scene(), { strict }, "");
    assertEquals(tally(Array.from({ length: 100 }, () => pick(request()))).size, 10);
  }
});

Deno.test("H59 by zone, zones as of prototypes, zones like any other", () => {
  const candidates = scene(["__proto__", "constructor", "__proto__/a", "toString"]);
  for (const zone of ["__proto__", "constructor", "toString"]) {
    assertEquals(picker(candidates, {}, zone)(request())?.instance.zone, zone);
  }
});

Deno.test("by zone, options out of range, says the range", () => {
  assertThrows(() => byZone(random(), { fullAt: 1.5 }), RangeError, "fullAt 1.5");
  assertThrows(() => byZone(random(), { maxInFlight: 0 }), RangeError, "maxInFlight 0");
  assertThrows(() => byZone(random(), { fullLagMs: NaN }), RangeError, "fullLagMs NaN");
  assertThrows(() => byZone(random(), { zone: "x" } as object), TypeError, '"zone"');
});
