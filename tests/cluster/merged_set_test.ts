/** What several registries say about one service, as one set: pure, with events as literals. */
import { assert, assertEquals } from "@std/assert";
import { MergedSet } from "../../src/cluster/merged_set.ts";
import type { Instance } from "../../src/registry/instance.ts";
import type { Change, RemovalCause } from "../../src/registry/registry.ts";
import { below } from "../../src/core/platform.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";
import { instanceOf } from "../registry/instances.ts";

/** A set over so many registries, and short words for what they say. */
function scene(count: number) {
  const set = new MergedSet(count);
  const revisions = new Array(count).fill(0);
  return {
    set,
    /** The whole set as text: `!` is a last resort, `?` is suspect. */
    get text(): string {
      return [...set.resolved.values()].map(({ instance: { id, incarnation }, doubtful, suspect }) =>
        `${id}${incarnation}${doubtful ? "!" : ""}${suspect ? "?" : ""}`
      ).sort().join(" ");
    },
    snapshot(at: number, instances: Instance[], options: { warming?: boolean; suspects?: string[] } = {}) {
      const { warming = false, suspects } = options;
      return set.tell(set.listings[at], {
        kind: "snapshot",
        epoch: `e${at}`,
        revision: ++revisions[at],
        instances,
        warming,
        suspects,
      });
    },
    changes(at: number, changes: Change[], warmed?: boolean) {
      return set.tell(set.listings[at], {
        kind: "changes",
        epoch: `e${at}`,
        revision: ++revisions[at],
        changes,
        warmed,
      });
    },
    lose: (at: number) => set.lose(set.listings[at]),
  };
}

const a1 = instanceOf("a", { incarnation: 1 });
const a2 = instanceOf("a", { incarnation: 2, endpoints: ["tcp://10.0.0.9:1"] });
const b1 = instanceOf("b", { incarnation: 1 });
const put = (instance: Instance, suspect?: boolean): Change => ({ kind: "put", instance, suspect });
const gone = (instanceId: string, cause: RemovalCause): Change => ({ kind: "removed", instanceId, cause });

Deno.test("X39 MergedSet, one registry lists what another does not, both are in the set", () => {
  const s = scene(2);
  s.snapshot(0, [a1]);
  s.snapshot(1, [b1]);
  assertEquals(s.text, "a1 b1");
});

Deno.test("X39 MergedSet, two incarnations of one instance, the newer is in the set, whoever says it", () => {
  for (const [newer, older] of [[0, 1], [1, 0]]) {
    const s = scene(2);
    s.snapshot(newer, [a2]);
    s.snapshot(older, [a1]);
    assertEquals(s.text, "a2");
    s.lose(newer);
    assertEquals(s.text, "a2", "a registry that is lost is still believed");
  }
});

Deno.test("MergedSet, told again what it knows, says that nothing has changed", () => {
  const s = scene(2);
  const first = s.snapshot(0, [a1, b1]);
  assertEquals([first.put.length, first.removed.length], [2, 0]);
  for (const at of [0, 1, 0]) {
    const again = s.snapshot(at, [structuredClone({ ...b1 }), { ...a1, metadata: { ...a1.metadata } }]);
    assertEquals(again, { put: [], removed: [] });
  }
  const difference = s.snapshot(0, [a1, { ...b1, weight: 7 }]);
  assertEquals(difference.put.map(({ instance }) => [instance.id, instance.weight]), [["b", 7]]);
});

Deno.test("X6 MergedSet, all registries are lost, keeps everything", () => {
  const s = scene(2);
  s.snapshot(0, [a1]);
  s.snapshot(1, [b1]);
  assertEquals(s.lose(0), { put: [], removed: [] });
  assertEquals(s.lose(1), { put: [], removed: [] });
  assertEquals(s.text, "a1 b1");
});

Deno.test("X7 MergedSet, a registry that warms, takes nothing away before it has warmed up", () => {
  const s = scene(1);
  s.snapshot(0, [a1, b1]);
  s.lose(0);
  s.snapshot(0, [], { warming: true });
  assertEquals(s.text, "a1 b1");
  s.changes(0, [put(b1)]);
  assertEquals(s.text, "a1 b1");
  assertEquals(s.changes(0, [], true).removed, ["a"]);
  assertEquals(s.text, "b1");
});

Deno.test("X7 MergedSet, a snapshot that is not warming any more, ends the warming as well", () => {
  const s = scene(1);
  s.snapshot(0, [a1, b1]);
  s.snapshot(0, [b1], { warming: true });
  s.snapshot(0, [b1], { warming: true });
  assertEquals(s.text, "a1 b1");
  s.snapshot(0, [b1]);
  assertEquals(s.text, "b1");
});

Deno.test("MergedSet, what a registry that warms removes, is gone at once", () => {
  const s = scene(1);
  s.snapshot(0, [a1, b1]);
  s.snapshot(0, [a1], { warming: true });
  s.changes(0, [gone("a", "drained"), gone("b", "admin")]);
  assertEquals(s.text, "");
});

Deno.test("X39 MergedSet, one registry restarts empty and does not even say so, nothing that another lists is gone", () => {
  const s = scene(2);
  s.snapshot(0, [a1, b1]);
  s.snapshot(1, [a1, b1]);
  s.snapshot(0, []);
  assertEquals(s.text, "a1 b1");
});

const causes: [RemovalCause, string, string][] = [
  // What one registry says while the other lists it, and while the other is lost.
  ["drained", "a1", ""],
  ["deregistered", "a1", ""],
  ["fenced", "a1", ""],
  ["expired", "a1", "a1!"],
  ["admin", "a1", "a1!"],
];
for (const [cause, whenListed, whenLost] of causes) {
  Deno.test(`X39 MergedSet, ${cause} at one registry, another that lists it is right, one that is lost is ${whenLost ? "a last resort" : "not"}`, () => {
    const s = scene(2);
    s.snapshot(0, [a1]);
    s.snapshot(1, [a1]);
    s.changes(0, [gone("a", cause)]);
    assertEquals(s.text, whenListed);
    s.lose(1);
    assertEquals(s.text, whenLost);
    s.snapshot(1, [a1]);
    assertEquals(s.text, "a1", "it is heard again, and lists it");
    s.changes(1, [gone("a", "drained")]);
    assertEquals(s.text, "");
    assertEquals(s.set.listings.map(({ departures }) => departures.size), [0, 0]);
  });
}

Deno.test("MergedSet, lost first and drained then, what the lost one remembers is gone", () => {
  const s = scene(2);
  s.snapshot(0, [a1]);
  s.snapshot(1, [a1]);
  s.lose(1);
  assertEquals(s.changes(0, [gone("a", "drained")]).removed, ["a"]);
  s.changes(0, [put(a1)]);
  assertEquals(s.text, "a1", "it has come back");
});

Deno.test("MergedSet, a region's registry is lost, its instances stay, whatever happens in another region", () => {
  const s = scene(2);
  const north = instanceOf("north", { zone: "north" });
  const south = instanceOf("south", { zone: "south" });
  s.snapshot(0, [north]);
  s.snapshot(1, [south]);
  s.lose(0);
  s.snapshot(1, []);
  s.snapshot(1, [south]);
  s.changes(1, [gone("south", "expired")]);
  assertEquals(s.text, "north1");
});

Deno.test("X39 MergedSet, the same incarnation says two things, the later news counts, also when the earlier is heard again", () => {
  const s = scene(2);
  const heavier = { ...a1, weight: 9 };
  s.snapshot(0, [a1]);
  s.snapshot(1, [a1]);
  s.changes(0, [put(heavier)]);
  const weight = () => s.set.resolved.get("a")?.instance.weight;
  assertEquals(weight(), 9);
  s.lose(1);
  s.snapshot(1, [a1]);
  assertEquals(weight(), 9);
  s.changes(1, [put(heavier)]);
  assertEquals(weight(), 9);
});

Deno.test("MergedSet, an older incarnation that one registry has not yet given up, does not return when the newer leaves", () => {
  const s = scene(2);
  s.snapshot(0, [a1]);
  s.snapshot(1, [a1]);
  s.changes(0, [put(a2)]);
  assertEquals(s.text, "a2");
  s.changes(0, [gone("a", "drained")]);
  assertEquals(s.text, "");
  s.changes(1, [put(a2)]);
  s.changes(1, [gone("a", "drained")]);
  assertEquals(s.text, "");
});

Deno.test("MergedSet, suspect at one registry, is suspect only if no other lists it without doubt", () => {
  const s = scene(2);
  s.snapshot(0, [a1, b1], { suspects: ["a"] });
  assertEquals(s.text, "a1? b1");
  s.snapshot(1, [a1]);
  assertEquals(s.text, "a1 b1");
  s.changes(1, [put(a1, true)]);
  assertEquals(s.text, "a1? b1");
  s.changes(0, [put(a1)]);
  assertEquals(s.text, "a1 b1");
});

Deno.test("seed defect: an empty list panics: MergedSet, an instance without addresses is not in the set", () => {
  const s = scene(1);
  const addressless = { ...a1, endpoints: [] };
  s.snapshot(0, [addressless, b1]);
  assertEquals(s.text, "b1");
  s.changes(0, [put(a1)]);
  s.changes(0, [put(addressless)]);
  assertEquals(s.text, "b1");
  s.snapshot(0, []);
  assertEquals(s.text, "");
});

Deno.test("MergedSet, random events of three registries, differences add up, and what is listed live is in the set", () => {
  const seed = below({ u32: () => crypto.getRandomValues(new Uint32Array(1))[0] }, 2 ** 31);
  const random = seededRandom(seed);
  const ids = ["a", "b", "c", "d"];
  const reasons: RemovalCause[] = ["drained", "expired", "deregistered", "admin", "fenced"];
  for (let run = 0; run < 200; run++) {
    const s = scene(3);
    const built = new Map<string, number>();
    const anyInstance = () => instanceOf(ids[below(random, 4)], { incarnation: 1 + below(random, 3) });
    for (let step = 0; step < 60; step++) {
      const at = below(random, 3);
      const listing = s.set.listings[at];
      const kind = below(random, 6);
      const listed = [...listing.entries.keys()];
      const difference = kind === 0
        ? s.lose(at)
        : kind === 1 || listing.state !== "live"
        ? s.snapshot(at, [...new Map([anyInstance(), anyInstance()].map((i) => [i.id, i])).values()], {
          warming: below(random, 2) === 0,
        })
        : kind === 2 && listed.length > 0
        ? s.changes(at, [gone(listed[below(random, listed.length)], reasons[below(random, 5)])])
        : s.changes(at, kind === 3 ? [] : [put(anyInstance())], kind === 3);
      for (const id of difference.removed) assert(built.delete(id), `seed ${seed}: "${id}" was removed twice`);
      for (const { instance } of difference.put) built.set(instance.id, instance.incarnation);
      const resolved = [...s.set.resolved].map(([id, { instance }]) => [id, instance.incarnation]).sort();
      assertEquals([...built].sort(), resolved, `seed ${seed}: the differences don't add up`);
      for (const { state, entries, departures } of s.set.listings) {
        for (const id of departures.keys()) assert(!entries.has(id), `seed ${seed}: "${id}" is there and gone`);
        if (state !== "live") continue;
        for (const [id, { kept }] of entries) {
          const older = s.set.listings.some((other) => (other.departures.get(id)?.incarnation ?? 0) > 1);
          assert(kept || older || s.set.resolved.has(id), `seed ${seed}: "${id}" is listed, and not in the set`);
        }
      }
    }
  }
});
