import { assert, assertEquals } from "@std/assert";
import { Directory } from "../../src/registry/directory.ts";
import type { Entry } from "../../src/store/entry.ts";
import { Mirror } from "../../src/store/mirror.ts";
import { instanceOf } from "../registry/instances.ts";

const TTL_MS = 15_000;
const BEAT_MS = 5_000;

function make(believeMs?: number) {
  const directory = new Directory("e", { changes: 100, bytes: Infinity }, () => {});
  const mirror = new Mirror(directory, { believeMs, preserveMs: 300_000, preservePerMs: TTL_MS, wall: () => 0 });
  const listing = (now: number, ...ids: string[]) => relisting(now, "e", ...ids);
  const relisting = (now: number, epoch: string, ...ids: string[]) =>
    mirror.apply({ kind: "listing", entries: ids.map((id) => entryOf(id)), epoch, warming: false }, now);
  const removed = (now: number, instanceId: string, cause?: "drained" | "expired") =>
    mirror.apply({ kind: "changes", changes: [{ kind: "removed", instanceId, cause }] }, now);
  const put = (now: number, entry: Entry) => mirror.apply({ kind: "changes", changes: [{ kind: "put", entry }] }, now);
  const listed = () => directory.snapshot("*").instances.map(({ id }) => id);
  const suspects = () => directory.snapshot("*").suspects ?? [];
  return { directory, mirror, listing, relisting, removed, put, listed, suspects };
}

function entryOf(id: string, token = `token of ${id}`, incarnation = 1): Entry {
  return { instance: instanceOf(id, { incarnation }), ttlMs: TTL_MS, token, owner: "" };
}

Deno.test("Mirror lists what the store lists, and what changes", () => {
  const { mirror, listing, removed, put, listed } = make();
  assertEquals(mirror.isKnown, false);
  listing(0, "a", "b");
  put(1, entryOf("c"));
  removed(2, "a", "drained");
  removed(3, "never");
  assertEquals(listed(), ["b", "c"]);
  assertEquals([mirror.isKnown, mirror.isCurrent, mirror.tokenOf("b"), mirror.tokenOf("a")], [
    true,
    true,
    "token of b",
    undefined,
  ]);
});

Deno.test("Mirror, told to believe at once, takes whoever vanished for expired with the next sweep", () => {
  const { directory, mirror, listing, removed, listed } = make(0);
  listing(0, "a", "b");
  removed(1, "a");
  removed(1, "b", "expired");
  assertEquals(mirror.sweep(1), Infinity);
  assertEquals(listed(), []);
  assertEquals(directory.changesAfter("*", 4)?.changes, [
    { kind: "removed", instanceId: "a", cause: "expired" },
    { kind: "removed", instanceId: "b", cause: "expired" },
  ]);
});

Deno.test("Mirror doubts whoever vanished for as long as it was told to, and no longer", () => {
  const { mirror, listing, removed, put, listed, suspects } = make(2_000);
  listing(0, "a", "b");
  removed(1_000, "a");
  removed(1_500, "b");
  assertEquals([listed(), suspects(), mirror.doubtedCount], [["a", "b"], ["a", "b"], 2]);
  assertEquals([mirror.tokenOf("a"), mirror.sweep(2_999)], [undefined, 3_000]);
  put(2_999, entryOf("a", "another"));
  assertEquals([listed(), suspects(), mirror.tokenOf("a")], [["a", "b"], ["b"], "another"]);
  assertEquals(mirror.sweep(3_500), Infinity);
  assertEquals(listed(), ["a"]);
});

Deno.test("Mirror doubts whoever vanished for a third of its lease, unless it was told how long", () => {
  const { mirror, listing, removed, listed } = make();
  listing(0, "a", "b");
  removed(1_000, "a");
  assertEquals(mirror.sweep(1_000 + BEAT_MS - 1), 1_000 + BEAT_MS);
  assertEquals(listed(), ["a", "b"]);
  assertEquals(mirror.sweep(1_000 + BEAT_MS), Infinity);
  assertEquals(listed(), ["b"]);
});

Deno.test("Mirror, most vanish within a beat, lets a few go at a time until they are back or it has lasted too long", () => {
  const { mirror, listing, removed, put, listed, suspects } = make();
  const ids = Array.from({ length: 20 }, (_, n) => `n${String(n).padStart(2, "0")}`);
  listing(0, ...ids);
  for (const [n, id] of ids.slice(0, 12).entries()) removed(n * 400, id);
  const sweep = (from: number, to: number) => {
    for (let now = from; now <= to;) now = mirror.sweep(now);
  };
  sweep(4_800, 4_800 + TTL_MS);
  assertEquals([listed().length, suspects().length], [17, 9]);
  for (const id of suspects().slice(0, 8)) put(20_000, entryOf(id, "back"));
  assertEquals([listed().length, suspects().length], [17, 1]);
  sweep(20_000, 30_000);
  assertEquals([listed().length, suspects().length], [16, 0]);
});

Deno.test("Mirror removes at once who left with a word, whatever it doubts", () => {
  const { mirror, listing, removed, listed } = make(2_000);
  listing(0, "a", "b");
  removed(1, "a");
  removed(2, "a", "drained");
  removed(2, "b", "drained");
  assertEquals([listed(), mirror.doubtedCount], [[], 0]);
});

Deno.test("X38 Mirror removes nobody while the store is away, however long", () => {
  const { mirror, listing, removed, listed, suspects } = make(2_000);
  listing(0, "a", "b");
  removed(100, "a");
  mirror.away();
  assertEquals([mirror.isKnown, mirror.isCurrent], [true, false]);
  assertEquals(mirror.sweep(10_000_000), Infinity);
  assertEquals([listed(), suspects()], [["a", "b"], ["a"]]);
});

Deno.test("X38 Mirror gives who is missing after an outage the time of its lease and a beat, and lists who returns", () => {
  const { mirror, listing, removed, put, listed, suspects } = make(0);
  listing(0, "a", "b", "c", "d", "e", "f");
  mirror.away();
  listing(60_000, "c", "d", "e", "f");
  assertEquals([listed().join(""), suspects()], ["abcdef", ["a", "b"]]);
  // It could not renew its lease either, and that has run out by now.
  removed(61_000, "c");
  put(62_000, entryOf("a", "a new lease"));
  const until = 60_000 + TTL_MS + BEAT_MS;
  assertEquals(mirror.sweep(until - 1), until);
  assertEquals([listed().join(""), suspects()], ["abcdef", ["b", "c"]]);
  assertEquals(mirror.sweep(until), Infinity);
  assertEquals(listed().join(""), "adef");
  removed(until, "a");
  mirror.sweep(until);
  assertEquals(listed().join(""), "def");
});

Deno.test("X38 Mirror gives everybody the same time when the store has forgotten everything, although it was there", () => {
  const { mirror, relisting, listed, suspects } = make(0);
  relisting(0, "one", "a", "b");
  relisting(1_000, "two", "b");
  const until = 1_000 + TTL_MS + BEAT_MS;
  assertEquals([mirror.sweep(until - 1), listed(), suspects()], [until, ["a", "b"], ["a"]]);
  relisting(until - 1, "two", "b");
  assertEquals([mirror.sweep(until), listed()], [Infinity, ["b"]]);
});

Deno.test("X38 Mirror begins the time anew with each outage", () => {
  const { mirror, listing, listed } = make();
  listing(0, "a");
  mirror.away();
  listing(10_000);
  mirror.away();
  listing(25_000);
  const until = 25_000 + TTL_MS + BEAT_MS;
  assertEquals(mirror.sweep(until - 1), until);
  assertEquals(listed(), ["a"]);
  mirror.sweep(until);
  assertEquals(listed(), []);
});

Deno.test("Mirror lists a newer incarnation in its place, and an older one only where the store has gone back", () => {
  const { directory, mirror, listing, put } = make();
  listing(0, "a");
  put(1, entryOf("a", "newer", 7));
  assertEquals([directory.snapshot("*").instances[0].incarnation, mirror.tokenOf("a")], [7, "newer"]);
  mirror.away();
  listing(2, "a");
  assertEquals([directory.snapshot("*").instances[0].incarnation, mirror.tokenOf("a")], [1, "token of a"]);
});

Deno.test("Mirror tells nothing when the store lists again what it listed", () => {
  const { directory, mirror, listing } = make();
  listing(0, "a", "b");
  mirror.away();
  listing(1, "a", "b");
  assertEquals(directory.revision, 2);
});

Deno.test("Mirror, very many return one after the other, does not look at all of them for each", () => {
  const { mirror, listing, put, suspects } = make();
  const ids = Array.from({ length: 1_000 }, (_, n) => `a${n}`);
  listing(0, ...ids);
  listing(1_000);
  mirror.sweep(1_000);
  assertEquals(suspects().length, 1_000);
  const { [Symbol.iterator]: iterator } = Map.prototype;
  let looks = 0;
  try {
    Map.prototype[Symbol.iterator] = function () {
      if (this.size > 100) looks++;
      return iterator.call(this);
    };
    for (const id of ids) {
      put(1_100, entryOf(id));
      mirror.sweep(1_100);
    }
  } finally {
    Map.prototype[Symbol.iterator] = iterator;
  }
  assertEquals(suspects().length, 0);
  assert(looks < 10, `looked at all of them ${looks} times`);
});
