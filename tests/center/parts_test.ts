import { assert, assertEquals } from "@std/assert";
import { SnapshotParts, split, splitSnapshot } from "../../src/center/parts.ts";
import type { Snapshot } from "../../src/registry/registry.ts";
import { instanceOf } from "../registry/instances.ts";

function snapshotOf(count: number, text = "", suspects?: string[]): Snapshot {
  const instances = Array.from({ length: count }, (_, n) => instanceOf(`a${n}`, { metadata: { text } }));
  const snapshot = { epoch: "e", revision: 7, warming: true, instances };
  return suspects === undefined ? snapshot : { ...snapshot, suspects };
}

Deno.test("splitSnapshot, what fits one message, one part without a word about more", () => {
  for (const count of [0, 1, 100]) assertEquals([...splitSnapshot(snapshotOf(count))], [snapshotOf(count)]);
});

Deno.test("splitSnapshot, what does not, parts that do and that are the same again together", () => {
  for (const text of ["x".repeat(500), "漢".repeat(500)]) {
    const snapshot = snapshotOf(5_000, text, ["a3", "a4999"]);
    const parts = [...splitSnapshot(snapshot)];
    assert(parts.length > 5, `${parts.length}`);
    for (const part of parts) assert(new TextEncoder().encode(JSON.stringify(part)).length < 1024 * 1024);
    assertEquals(parts.map(({ more }) => more === true), parts.map((_, n) => n < parts.length - 1));
    const joining = new SnapshotParts<Snapshot>();
    const joined = parts.map((part) => joining.add(part));
    assertEquals(joined.slice(0, -1), Array(parts.length - 1).fill(undefined));
    assertEquals(joined.at(-1), snapshot);
    assertEquals(joining.add(snapshotOf(1)), snapshotOf(1), "the next one holds something of the last");
  }
});

Deno.test("split, one thing that is larger than a part, a part of its own", () => {
  const sizes = [1_000_000, 1, 1, 1_000_000, 1_000_000];
  assertEquals([...split(sizes, (size) => size)].map(({ items }) => items), [[1_000_000], [1, 1, 1_000_000], [
    1_000_000,
  ]]);
  assertEquals([...split([], () => 1)], [{ items: [], more: false }]);
});
