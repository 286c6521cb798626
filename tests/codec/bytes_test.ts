import { assert, assertEquals, assertNotStrictEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { bytes } from "../../src/codec/bytes.ts";
import { checkCodec } from "../../src/core/codec.ts";

const codec = bytes();

Deno.test("bytes, is a codec, named bytes", () => {
  assertStrictEquals(checkCodec(codec).name, "bytes");
});

Deno.test("bytes, sends what it is given, without a copy", () => {
  const message = new Uint8Array([1, 2, 3]);
  assertStrictEquals(codec.encode(message), message);
});

Deno.test("bytes, gives a copy of exactly the message, from the middle of a buffer", () => {
  const buffer = new Uint8Array([9, 1, 2, 3, 9]);
  const message = codec.decode(buffer.subarray(1, 4)) as Uint8Array;
  buffer.fill(0);
  assertEquals(message, new Uint8Array([1, 2, 3]));
  assertStrictEquals(message.buffer.byteLength, 3);
});

Deno.test("bytes, gives a copy and a plain Uint8Array, when handed a subclass whose slice is a view", () => {
  const buffer = Buffer.from([1, 2, 3]);
  const message = codec.decode(buffer) as Uint8Array;
  buffer.fill(0);
  assertEquals([...message], [1, 2, 3]);
  assertStrictEquals(message.constructor, Uint8Array);
});

Deno.test("bytes, gives an empty message as an empty Uint8Array, each its own", () => {
  const [one, two] = [codec.decode(new Uint8Array(0)), codec.decode(new Uint8Array(0))];
  assert(one instanceof Uint8Array && one.length === 0);
  assertNotStrictEquals(one, two);
});

Deno.test("bytes, refuses to encode anything but a Uint8Array, with its type in the message", () => {
  const wrong: [unknown, string][] = [
    [undefined, "Undefined"],
    [null, "Null"],
    ["text", "String"],
    [1, "Number"],
    [[1, 2], "Array"],
    [{ length: 1, 0: 1 }, "Object"],
    [Object.create(null), "Object"],
    [new ArrayBuffer(1), "ArrayBuffer"],
    [new DataView(new ArrayBuffer(1)), "DataView"],
    [new Uint8ClampedArray(1), "Uint8ClampedArray"],
    [new Uint16Array(1), "Uint16Array"],
    [Symbol("s"), "Symbol"],
  ];
  for (const [value, type] of wrong) {
    const error = assertThrows(() => codec.encode(value), TypeError);
    assertStrictEquals(error.message, `Cannot encode as bytes: it must be a Uint8Array, not of type ${type}`);
  }
});

Deno.test("H37 bytes, takes every byte as it is, when it is not UTF-8", () => {
  const every = Uint8Array.from({ length: 256 }, (_, i) => i);
  assertEquals(codec.decode(every), every);
});
