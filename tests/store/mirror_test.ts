import { assertEquals } from "@std/assert";
import { LeaseBook } from "../../src/registry/lease_book.ts";
import type { Entry } from "../../src/store/entry.ts";
import { Mirror } from "../../src/store/mirror.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";
import { instanceOf } from "../registry/instances.ts";

const TTL_MS = 15_000;
const BEAT_MS = 5_000;

function make(believeMs = 0) {
  const book = new LeaseBook({ epoch: "e", random: seededRandom(1), historyLimit: 100, wall: () => 0 });
  const mirror = new Mirror(book, believeMs);
  const listing = (now: number, ...ids: string[]) =>
    mirror.apply({ kind: "listing", entries: ids.map((id) => entryOf(id)), blank: false }, now);
  const removed = (now: number, instanceId: string, cause?: "drained" | "expired") =>
    mirror.apply({ kind: "changes", changes: [{ kind: "removed", instanceId, cause }] }, now);
  const put = (now: number, entry: Entry) => mirror.apply({ kind: "changes", changes: [{ kind: "put", entry }] }, now);
  const listed = () => book.directory.snapshot("*").instances.map(({ id }) => id);
  const suspects = () => book.directory.snapshot("*").suspects ?? [];
  return { book, mirror, listing, removed, put, listed, suspects };
}

function entryOf(id: string, token = `token of ${id}`, incarnation = 1): Entry {
  return { instance: instanceOf(id, { incarnation }), ttlMs: TTL_MS, token };
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

Deno.test("Mirror takes whoever vanished for expired at once, when the store says so and was there all the time", () => {
  const { book, listing, removed, listed } = make();
  listing(0, "a", "b");
  removed(1, "a");
  removed(1, "b", "expired");
  assertEquals(listed(), []);
  assertEquals(book.directory.changesAfter("*", 2)?.changes, [
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
  const { mirror, listing, removed, put, listed, suspects } = make();
  listing(0, "a", "b", "c");
  mirror.away();
  listing(60_000, "c");
  assertEquals([listed(), suspects()], [["a", "b", "c"], ["a", "b"]]);
  // It could not renew its lease either, and that has run out by now.
  removed(61_000, "c");
  put(62_000, entryOf("a", "a new lease"));
  const until = 60_000 + TTL_MS + BEAT_MS;
  assertEquals(mirror.sweep(until - 1), until);
  assertEquals([listed(), suspects()], [["a", "b", "c"], ["b", "c"]]);
  assertEquals(mirror.sweep(until), Infinity);
  assertEquals(listed(), ["a"]);
  removed(until, "a");
  assertEquals(listed(), []);
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
  const { book, mirror, listing, put } = make();
  listing(0, "a");
  put(1, entryOf("a", "newer", 7));
  assertEquals([book.directory.snapshot("*").instances[0].incarnation, mirror.tokenOf("a")], [7, "newer"]);
  mirror.away();
  listing(2, "a");
  assertEquals([book.directory.snapshot("*").instances[0].incarnation, mirror.tokenOf("a")], [1, "token of a"]);
});

Deno.test("Mirror tells nothing when the store lists again what it listed", () => {
  const { book, mirror, listing } = make();
  listing(0, "a", "b");
  mirror.away();
  listing(1, "a", "b");
  assertEquals(book.directory.revision, 2);
});
