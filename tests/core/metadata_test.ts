import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import {
  isMetadataKey,
  isMetadataText,
  Metadata,
  type MetadataInit,
  type MetadataValue,
} from "../../src/core/metadata.ts";

Deno.test("Metadata, pairs, kept in order with keys that repeat", () => {
  const metadata = new Metadata();
  metadata.append("a", "1");
  metadata.append("b", "2");
  metadata.append("a", "3");
  assertEquals([...metadata], [["a", "1"], ["b", "2"], ["a", "3"]]);
  assertEquals([metadata.size, metadata.get("a"), metadata.getAll("a"), metadata.getAll("c")], [
    3,
    "1",
    ["1", "3"],
    [],
  ]);
});

Deno.test("Metadata, keys in upper case, found in any case and kept in lower", () => {
  const metadata = new Metadata({ "X-Trace": "1" });
  assertEquals([...metadata], [["x-trace", "1"]]);
  assertEquals([metadata.get("X-TRACE"), metadata.has("x-Trace"), metadata.getAll("X-trace")], ["1", true, ["1"]]);
  metadata.delete("X-TRACE");
  assertEquals(metadata.size, 0);
});

Deno.test("Metadata, made from each kind of thing, holds the same", () => {
  const pairs: [string, MetadataValue][] = [["a", "1"], ["b", new Uint8Array([1, 2])]];
  const inits: MetadataInit[] = [pairs, new Map(pairs), Object.fromEntries(pairs), new Metadata(pairs), pairs.values()];
  for (const init of inits) assertEquals([...new Metadata(init)], pairs);
  assertEquals(new Metadata().size, 0);
  assertEquals(new Metadata({}).size, 0);
});

Deno.test("Metadata, a copy, changes apart from the first", () => {
  const first = new Metadata({ a: "1" });
  const copy = new Metadata(first);
  copy.append("b", "2");
  first.set("a", "9");
  assertEquals([[...first], [...copy]], [[["a", "9"]], [["a", "1"], ["b", "2"]]]);
});

Deno.test("Metadata, set, replaces every pair of its key by one at the end", () => {
  const metadata = new Metadata([["a", "1"], ["b", "2"], ["a", "3"]]);
  metadata.set("A", "4");
  assertEquals([...metadata], [["b", "2"], ["a", "4"]]);
});

Deno.test("Metadata, set with what cannot travel, leaves no pair of its key behind unsaid", () => {
  const metadata = new Metadata({ a: "1" });
  assertThrows(() => metadata.set("b", "\n"), TypeError);
  assertEquals([...metadata], [["a", "1"]]);
});

Deno.test("Metadata, text, gives text and no bytes", () => {
  const metadata = new Metadata([["a", "1"], ["b", new Uint8Array([1])], ["empty", ""]]);
  assertEquals([metadata.text("a"), metadata.text("b"), metadata.text("c"), metadata.text("empty")], [
    "1",
    undefined,
    undefined,
    "",
  ]);
  assertEquals([metadata.has("empty"), metadata.get("empty")], [true, ""]);
});

Deno.test("Metadata, absorb, adds the pairs of another behind its own", () => {
  const metadata = new Metadata({ a: "1" });
  metadata.absorb(new Metadata([["a", "2"], ["b", "3"]]));
  assertEquals([...metadata], [["a", "1"], ["a", "2"], ["b", "3"]]);
});

Deno.test("Metadata, bytes, the same object and no text in logs", () => {
  const bytes = new Uint8Array([0, 255]);
  const metadata = new Metadata([["a", bytes], ["b", "text"]]);
  assertStrictEquals(metadata.get("a"), bytes);
  assertEquals(JSON.stringify(metadata), '[["a","<2 bytes>"],["b","text"]]');
});

Deno.test("H38 Metadata, keys of prototypes, found only where they were put", () => {
  const metadata = new Metadata();
  for (const key of ["constructor", "toString", "hasOwnProperty", "valueOf", "then"]) {
    assertEquals([metadata.get(key), metadata.has(key), metadata.getAll(key)], [undefined, false, []]);
    metadata.append(key, key);
    assertEquals(metadata.get(key), key);
  }
  assertThrows(() => metadata.append("__proto__", "x"), TypeError, '"__proto__"');
  assertThrows(() => new Metadata(JSON.parse('{"__proto__":"x"}')), TypeError, '"__proto__"');
});

Deno.test("Metadata, keys that cannot travel, refused with the key and the rule", () => {
  const keys = ["", "a b", "a:b", "-a", ".a", "_a", "a\n", "a\0", "ä", "a".repeat(257), "a/b", " a"];
  for (const key of keys) {
    assertThrows(() => new Metadata().append(key, "1"), TypeError, JSON.stringify(key));
    assertThrows(() => new Metadata().set(key, "1"), TypeError, "must match");
    assertEquals(isMetadataKey(key), false, key);
  }
  for (const key of ["a", "0", "a-b_c.d", "9.z", "a".repeat(256)]) {
    new Metadata().append(key, "1");
    assert(isMetadataKey(key), key);
  }
});

Deno.test("Metadata, reserved keys, refused in any case", () => {
  for (const key of ["rpc-", "rpc-timeout", "RPC-Timeout"]) {
    assertThrows(() => new Metadata({ [key]: "1" }), TypeError, '"rpc-" are reserved');
  }
  new Metadata({ rpc: "1", "rpcx-a": "1" });
});

Deno.test("Metadata, values that cannot travel, refused with the reason", () => {
  for (const value of ["\n", "a\0", "\x1b[2J", "\x7f", "\r\n x: y"]) {
    assertThrows(() => new Metadata().append("a", value), TypeError, "control characters");
    assertEquals(isMetadataText(value), false);
  }
  for (const value of [1, null, undefined, {}, [1], true]) {
    assertThrows(() => new Metadata().append("a", value as unknown as string), TypeError, "neither text nor bytes");
  }
  for (const value of ["", "\t", "漢字 🍺", "\u0080", " "]) assertEquals(new Metadata({ a: value }).get("a"), value);
});

Deno.test("Metadata, received, takes what was checked before", () => {
  const metadata = Metadata.received([["a", "1"], ["a", "2"]]);
  assertEquals([metadata.size, metadata.getAll("a")], [2, ["1", "2"]]);
});

Deno.test("Metadata, received pairs with a reserved key, can be copied", () => {
  const received = Metadata.received([["rpc-later", "1"]]);
  assertEquals([...new Metadata(received)], [["rpc-later", "1"]]);
});
