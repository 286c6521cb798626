import { assert, assertEquals, assertLess, assertThrows } from "@std/assert";
import type { Candidate } from "../../src/balancer/balancer.ts";
import { consistentHash } from "../../src/balancer/consistent_hash.ts";
import { murmur3, murmur3Pair } from "../../src/balancer/hash.ts";
import { balancerContract } from "../../src/testing/balancer_contract.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";
import { candidatesOf, type Changing, idsOf, pickerOf, request } from "./candidates.ts";

const KEYS = Array.from({ length: 100_000 }, (_, n) => `key-${n}`);

for (const { name, run } of balancerContract(consistentHash())) Deno.test(name, run);
for (const { name, run } of balancerContract(consistentHash({ pointsPerInstance: 1 }))) {
  Deno.test(`${name}, 1 point`, run);
}

/** Which instance has each key. */
function owners(candidates: readonly Candidate[], keys = KEYS): string[] {
  const pick = pickerOf(consistentHash(), candidates, seededRandom(1));
  return keys.map((key) => pick(request(key))!.instance.id);
}

/** How many keys each instance has. */
function shares(ids: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  return counts;
}

Deno.test("consistent hash, known keys, same instances in every process and version", () => {
  const keys = ["", "a", "user:1", "user:2", "user:3", "漢字", "🍺", "\ud800", "x".repeat(1000), "__proto__"];
  // From another implementation, in Python.
  const expected = ["c", "b", "a", "a", "a", "e", "d", "d", "b", "a"];
  assertEquals(owners(candidatesOf(["a", "b", "c", "d", "e"]), keys), expected);
});

Deno.test("consistent hash, candidates in any order, same instances", () => {
  const random = seededRandom(11);
  const expected = owners(candidatesOf(idsOf(50)), KEYS.slice(0, 20_000));
  for (let round = 0; round < 3; round++) {
    const shuffled = candidatesOf(
      idsOf(50).map((id) => ({ id, at: random.u32() })).sort((a, b) => a.at - b.at).map((x) => x.id),
    );
    assertEquals(owners(shuffled, KEYS.slice(0, 20_000)), expected);
  }
});

Deno.test("consistent hash, two instances with the same point, the lower id has it in any order", () => {
  const ids = idsOf(1000).sort();
  const seen = new Map<number, string>();
  const met: { hash: number; id: string }[] = [];
  for (const id of ids) {
    for (let i = 0; i < 128; i++) {
      const hash = murmur3Pair(i, murmur3(id, 1), murmur3(id));
      const other = seen.get(hash);
      if (other !== undefined && other !== id) met.push({ hash, id: other });
      else seen.set(hash, id);
    }
  }
  assert(met.length > 0, "no two meet: the test needs other ids");
  let hash = 0;
  for (const candidates of [candidatesOf(ids), candidatesOf(ids.toReversed())]) {
    const pick = pickerOf(consistentHash(), candidates, { u32: () => hash });
    for (const point of met) {
      hash = point.hash;
      assertEquals(pick(request())?.instance.id, point.id);
    }
  }
});

Deno.test("consistent hash, every place on a ring of few points, the instance of the next point", () => {
  for (let size = 1; size <= 6; size++) {
    const candidates = candidatesOf(idsOf(size));
    const points = candidates
      .map(({ instance: { id } }) => ({ id, hash: murmur3Pair(0, murmur3(id, 1), murmur3(id)) }))
      .sort((a, b) => a.hash - b.hash);
    let hash = 0;
    const pick = pickerOf(consistentHash({ pointsPerInstance: 1 }), candidates, { u32: () => hash });
    for (const at of [0, 2 ** 32 - 1, ...points.flatMap((point) => [point.hash - 1, point.hash, point.hash + 1])]) {
      hash = at;
      const expected = points.find((point) => point.hash >= at) ?? points[0];
      assertEquals(pick(request())?.instance.id, expected.id, `at ${at} of ${JSON.stringify(points)}`);
    }
  }
});

Deno.test("X27 consistent hash, one of n instances joins or leaves, at most 1.1 / n of the keys move, to it or from it", () => {
  for (const size of [3, 10, 100]) {
    const before = owners(candidatesOf(idsOf(size)));
    let moved = 0;
    const joiners = 8;
    for (let n = 0; n < joiners; n++) {
      const after = owners(candidatesOf([...idsOf(size), `joined${n}`].sort()));
      for (let i = 0; i < KEYS.length; i++) {
        if (after[i] === before[i]) continue;
        moved++;
        assertEquals(after[i], `joined${n}`, "the key moved between two that were there before");
      }
    }
    // One instance has more or less than its share by chance, as it does of keys; many together show the mean.
    assertLess(moved / joiners / KEYS.length, 1.1 / (size + 1), `of ${size + 1}`);
  }
});

Deno.test("consistent hash, 10 instances and 100,000 keys, the busiest has at most 1.3 times the mean", () => {
  for (let set = 0; set < 5; set++) {
    const counts = shares(owners(candidatesOf(idsOf(10).map((id) => `${set}-${id}`))));
    assertEquals(counts.size, 10);
    assertLess(Math.max(...counts.values()), 13_000, `set ${set}: ${JSON.stringify([...counts])}`);
    assert(Math.min(...counts.values()) > 7_000, `set ${set}: ${JSON.stringify([...counts])}`);
  }
});

Deno.test("consistent hash, one instance of three times the weight, three times the keys", () => {
  const counts = shares(owners(candidatesOf(idsOf(10), (id) => id === "a3" ? 3 : 1)));
  const share = counts.get("a3")! / KEYS.length;
  assert(share > 0.19 && share < 0.31, `a3 has ${share}, expected about 3 / 12`);
});

Deno.test("consistent hash, weights in another unit, same instances", () => {
  const few = KEYS.slice(0, 10_000);
  const weightOf = (id: string) => id === "a3" ? 3 : 1;
  const expected = owners(candidatesOf(idsOf(10), weightOf), few);
  for (const unit of [1 / 64, 16, 1024]) {
    assertEquals(owners(candidatesOf(idsOf(10), (id) => unit * weightOf(id)), few), expected, `times ${unit}`);
  }
});

Deno.test("X27 consistent hash, a heavier instance joins, keys move to it and nowhere else", () => {
  const before = owners(candidatesOf(idsOf(10)));
  const after = owners(candidatesOf([...idsOf(10), "heavy"], (id) => id === "heavy" ? 3 : 1));
  const moved = after.filter((id, n) => id !== before[n]);
  assertEquals(new Set(moved), new Set(["heavy"]));
});

Deno.test("consistent hash, an instance of hardly any weight, has a point all the same", () => {
  const candidates = candidatesOf(idsOf(10), (id) => id === "a3" ? 0.001 : 1);
  const hash = murmur3Pair(0, murmur3("a3", 1), murmur3("a3"));
  assertEquals(pickerOf(consistentHash(), candidates, { u32: () => hash })(request())?.instance.id, "a3");
});

Deno.test("consistent hash, an instance of weight 0, its keys go elsewhere and no others move", () => {
  const all = candidatesOf(idsOf(10));
  const before = owners(all);
  const after = owners(candidatesOf(idsOf(10), (id) => id === "a4" ? 0 : 1));
  assertEquals(after, owners(all.filter((candidate) => candidate.instance.id !== "a4")));
  for (const [n, id] of before.entries()) assert(id === "a4" ? after[n] !== "a4" : after[n] === id);
});

Deno.test("consistent hash, an instance to go round, the same as if it had left", () => {
  const all = candidatesOf(idsOf(10));
  const pick = pickerOf(consistentHash(), all, seededRandom(1));
  const without = owners(all.filter((candidate) => candidate.instance.id !== "a4"), KEYS.slice(0, 20_000));
  const round = KEYS.slice(0, 20_000).map((key) => pick(request(key, ["memory://a4"]))!.instance.id);
  assertEquals(round, without);
});

Deno.test("consistent hash, calls without a key, go to every instance", () => {
  const pick = pickerOf(consistentHash(), candidatesOf(idsOf(10)), seededRandom(2));
  const counts = shares(Array.from({ length: 20_000 }, () => pick(request())!.instance.id));
  assertEquals(counts.size, 10);
  assertLess(Math.max(...counts.values()), 2_600);
});

Deno.test("H59 consistent hash, weights that are no use, a finite ring that still picks", () => {
  for (const odd of [-1, 0, NaN, Infinity, -Infinity, 1e308, 5e-324]) {
    for (const others of [1, 0, 1e6, 1e-300]) {
      const counts = shares(owners(candidatesOf(idsOf(100), (id) => id === "a7" ? odd : others), KEYS.slice(0, 2_000)));
      assert(counts.size > 0, `weight ${odd} among ${others}`);
    }
  }
});

Deno.test("H59 consistent hash, ids twice and ids as of prototypes, picked like others", () => {
  const ids = ["__proto__", "constructor", "toString", "a", "a", ""];
  const counts = shares(owners(candidatesOf(ids)));
  assertEquals([...counts.keys()].sort(), ["", "__proto__", "a", "constructor", "toString"]);
});

/** Starts calls with keys of which some are far more frequent than others, none of which ends, and gives how many run where. */
function crowd(maxLoad: number, weightOf?: (id: string) => number): Map<string, number> {
  const candidates = candidatesOf(idsOf(10), weightOf);
  const pick = pickerOf(consistentHash({ maxLoad }), candidates);
  const random = seededRandom(4);
  for (let n = 0; n < 10_000; n++) {
    // Every third call is for one of three keys.
    const key = random.u32() % 3 === 0 ? `popular-${random.u32() % 3}` : `key-${random.u32() % 5_000}`;
    (pick(request(key)) as Changing).inFlight++;
  }
  return new Map(candidates.map(({ instance, inFlight }) => [instance.id, inFlight]));
}

Deno.test("consistent hash, some keys are far more popular, the busiest has at most 1.25 times its share of what runs", () => {
  const unbounded = Math.max(...crowd(Infinity).values());
  assert(unbounded > 1_700, `the busiest of an unbounded ring has ${unbounded}: these keys show nothing`);
  assert(Math.max(...crowd(1.25).values()) <= 1_251);
  assert(Math.max(...crowd(1).values()) <= 1_001);
  const weighted = crowd(1.25, (id) => id === "a3" ? 5 : 1);
  for (const [id, count] of weighted) {
    assert(count <= 1.25 * 10_000 * (id === "a3" ? 5 : 1) / 14 + 1, `${id}: ${count}`);
  }
});

Deno.test("consistent hash, the instance of a key is full, the key goes to the next on the ring, the same each time", () => {
  const candidates = candidatesOf(idsOf(10));
  const pick = pickerOf(consistentHash(), candidates);
  for (const key of KEYS.slice(0, 200)) {
    const owner = pick(request(key)) as Changing;
    const left = candidates.filter((candidate) => candidate !== owner);
    owner.inFlight = 1_000;
    const next = pick(request(key));
    assertEquals(next?.instance.id, pickerOf(consistentHash(), left)(request(key))?.instance.id);
    owner.inFlight = 0;
    assertEquals(pick(request(key)), owner);
  }
});

Deno.test("consistent hash, calls still run on instances that are leaving, they count", () => {
  const candidates = candidatesOf(idsOf(4));
  const owner = pickerOf(consistentHash(), candidates)(request("k")) as Changing;
  for (const candidate of candidates) candidate.inFlight = candidate === owner ? 40 : 0;
  // A quarter of 40 is 10, and of 160 it is 40.
  assert(pickerOf(consistentHash(), candidates)(request("k")) !== owner);
  const pick = pickerOf(consistentHash(), candidates, seededRandom(1), { inFlight: 160 });
  assertEquals(pick(request("k")), owner);
});

Deno.test("consistent hash, few calls at a time, the same key stays together", () => {
  const candidates = candidatesOf(idsOf(10));
  const pick = pickerOf(consistentHash(), candidates);
  const owner = pick(request("k")) as Changing;
  for (let n = 0; n < 8; n++) {
    assertEquals(pick(request("k")), owner);
    owner.inFlight++;
  }
  assert(pick(request("k")) !== owner);
});

Deno.test("consistent hash, full ones and some to go round, somebody is picked", () => {
  const candidates = candidatesOf(idsOf(3));
  const pick = pickerOf(consistentHash(), candidates);
  const [a, b, c] = ["k", "k", "k"].reduce<Changing[]>(
    (order, key) => [...order, pick(request(key, order.map(({ endpoint }) => endpoint))) as Changing],
    [],
  );
  assertEquals(new Set([a, b, c]).size, 3);
  for (const full of [a, b]) full.inFlight = 100;
  assertEquals(pick(request("k")), c);
  assertEquals(pick(request("k", [c.endpoint])), a, "whoever is avoided is worse than whoever is full");
  assertEquals(pick(request("k", [a, b, c].map(({ endpoint }) => endpoint))), a);
});

Deno.test("consistent hash, options out of range, says the range", () => {
  for (const pointsPerInstance of [0, 4097, -1, 1.5, NaN, Infinity]) {
    assertThrows(() => consistentHash({ pointsPerInstance }), RangeError, "from 1 to 4096");
  }
  for (const maxLoad of [0.9, 0, -1, NaN]) {
    assertThrows(() => consistentHash({ maxLoad }), RangeError, "from 1 to Infinity");
  }
  const misspelt: object = { points: 3 };
  assertThrows(() => consistentHash(misspelt), TypeError, '"points"');
});
