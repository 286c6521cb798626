import {
  assert,
  assertEquals,
  assertLess,
  assertMatch,
  assertNotStrictEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { checkCodec } from "../../src/core/codec.ts";
import { checkMessage } from "../../src/msgpack/check.ts";
import { msgpack } from "../../src/msgpack/msgpack.ts";

const codec = msgpack();

/** Linear work takes a hundredth of it; work that grows with the square takes a hundred times as much. */
const LINEAR_MS = 5_000;

/** Bytes from hexadecimal digits, which spaces or dashes may part. */
function hex(text: string): Uint8Array {
  return new Uint8Array((text.replaceAll(/[ -]/g, "").match(/../g) ?? []).map((digits) => parseInt(digits, 16)));
}

function toHex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

function repeat(unit: string, times: number, end = ""): Uint8Array {
  const [bytes, tail] = [hex(unit), hex(end)];
  const result = new Uint8Array(bytes.length * times + tail.length);
  for (let i = 0; i < times; i++) result.set(bytes, i * bytes.length);
  result.set(tail, bytes.length * times);
  return result;
}

/** Every refusal is the check's own: what the decoder below it throws is of other classes. */
function assertRefuses(bytes: Uint8Array, why: string, what?: string): void {
  const error = assertThrows(() => codec.decode(bytes), SyntaxError, undefined, what);
  assertMatch(error.message, new RegExp(`^Cannot decode MessagePack: .*${why}.* at byte \\d+$`), what);
}

function encode(value: unknown): Uint8Array {
  return codec.encode(value) as Uint8Array;
}

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { k: value };
  return value;
}

Deno.test("msgpack, is a codec, named msgpack", () => {
  assertStrictEquals(checkCodec(codec).name, "msgpack");
});

Deno.test("msgpack, encodes each kind of value as it says", () => {
  const table: [unknown, string][] = [
    [undefined, ""],
    [null, "c0"],
    [false, "c2"],
    [true, "c3"],
    [0, "00"],
    [-0, "00"],
    [127, "7f"],
    [128, "cc 80"],
    [255, "cc ff"],
    [256, "cd 01 00"],
    [65_535, "cd ff ff"],
    [65_536, "ce 00 01 00 00"],
    [2 ** 32 - 1, "ce ff ff ff ff"],
    [2 ** 32, "cb 41 f0 00 00 00 00 00 00"],
    [Number.MAX_SAFE_INTEGER, "cb 43 3f ff ff ff ff ff ff"],
    [-1, "ff"],
    [-32, "e0"],
    [-33, "d0 df"],
    [-128, "d0 80"],
    [-129, "d1 ff 7f"],
    [-32_768, "d1 80 00"],
    [-32_769, "d2 ff ff 7f ff"],
    [-(2 ** 31), "d2 80 00 00 00"],
    [-(2 ** 31) - 1, "cb c1 e0 00 00 00 20 00 00"],
    [1.5, "cb 3f f8 00 00 00 00 00 00"],
    [NaN, "cb 7f f8 00 00 00 00 00 00"],
    [Infinity, "cb 7f f0 00 00 00 00 00 00"],
    [-Infinity, "cb ff f0 00 00 00 00 00 00"],
    [0n, "cf 00 00 00 00 00 00 00 00"],
    [2n ** 64n - 1n, "cf ff ff ff ff ff ff ff ff"],
    [-1n, "d3 ff ff ff ff ff ff ff ff"],
    [-(2n ** 63n), "d3 80 00 00 00 00 00 00 00"],
    ["", "a0"],
    ["é", "a2 c3 a9"],
    ["x".repeat(32), `d9 20 ${"78 ".repeat(32).trim()}`],
    [new Uint8Array(0), "c4 00"],
    [new Uint8Array([1, 255]), "c4 02 01 ff"],
    [[], "90"],
    [[1, [2]], "92 01 91 02"],
    [{}, "80"],
    [{ a: 1, b: null }, "82 a1 61 01 a1 62 c0"],
    [{ a: 1, gone: undefined }, "81 a1 61 01"],
    [{ a: { gone: undefined } }, "81 a1 61 80"],
    [Object.assign(Object.create(null), { a: 1 }), "81 a1 61 01"],
  ];
  for (const [value, bytes] of table) assertStrictEquals(toHex(encode(value)), bytes);
});

Deno.test("msgpack, refuses to encode what it would lose, with a TypeError that says what", () => {
  class Point {
    x = 1;
  }
  const cycle: unknown[] = [];
  cycle.push({ cycle });
  const wide: unknown[] = [];
  for (let i = 0, inner: unknown = 1; i < 60; i++) wide[0] = inner = [inner, inner];
  const wrong: [unknown, string][] = [
    [[undefined], "undefined inside of a message"],
    [new Array(1), "undefined inside of a message"],
    [() => {}, "a function"],
    [{ a: Symbol("s") }, "a symbol"],
    [2n ** 64n, "a bigint of more than 64 bits"],
    [-(2n ** 63n) - 1n, "a bigint of more than 64 bits"],
    [new Date(0), "an object of class Date"],
    [new Map(), "an object of class Map"],
    [{ a: [new Set()] }, "an object of class Set"],
    [new Point(), "an object of class Point"],
    [Object.create({}), "an object of class Object"],
    [Object.create(Object.create(null)), "an object of class undefined"],
    [new ArrayBuffer(1), "an object of class ArrayBuffer"],
    [new Uint16Array(1), "an object of class Uint16Array"],
    [/a/, "an object of class RegExp"],
    [Object(1), "an object of class Number"],
    ["\uFEFFtext", "text that begins with U+FEFF"],
    [{ "\uFEFFkey": 1 }, "text that begins with U+FEFF"],
    ["\ud83d", "text with half of a surrogate pair"],
    [{ "\ude00": 1 }, "text with half of a surrogate pair"],
    [JSON.parse('{"__proto__":1}'), 'a property named "__proto__"'],
    [cycle, "a value that is nested deeper than 100, or in itself"],
    [nested(101), "a value that is nested deeper than 100, or in itself"],
    [nested(100_000), "a value that is nested deeper than 100, or in itself"],
    [new Array(1_000_000).fill(0), "more than 1000000 values in one message"],
    [new Array(2 ** 32 - 1), "more than 1000000 values in one message"],
    [wide, "more than 1000000 values in one message"],
  ];
  for (const [value, what] of wrong) {
    const error = assertThrows(() => codec.encode(value), TypeError);
    assertStrictEquals(error.message, `Cannot encode as MessagePack: ${what}`);
  }
});

Deno.test("msgpack, encodes up to its limits, and decodes that", () => {
  assertEquals(codec.decode(encode(nested(100))), nested(100));
  assertStrictEquals((codec.decode(encode(new Array(999_999).fill(0))) as unknown[]).length, 999_999);
});

Deno.test("msgpack, calls nothing of the value that it encodes but its getters, each once", () => {
  let calls = 0;
  const value = {
    get a() {
      return ++calls;
    },
    toJSON: undefined,
  };
  assertStrictEquals(toHex(encode(value)), "81 a1 61 01");
});

Deno.test("msgpack, gives binary values that neither the input nor each other can change", () => {
  const input = hex("92 c4 02 01 02 c4 02 03 04");
  const [one, two] = codec.decode(input) as [Uint8Array, Uint8Array];
  input.fill(0);
  one.fill(9);
  assertEquals([...two], [3, 4]);
  assertNotStrictEquals(one.buffer, input.buffer);
});

Deno.test("msgpack, refuses bytes after the message", () => {
  assertRefuses(hex("00 00"), "1 bytes follow the message");
  assertRefuses(hex("c0 c1"), "1 bytes follow the message");
  assertRefuses(hex("90 00 00 00"), "3 bytes follow the message");
});

Deno.test("H31 msgpack, refuses lengths beyond the message, before anything is made of them", () => {
  const bombs = [
    "dd ffffffff",
    "df ffffffff",
    "db ffffffff",
    "c6 ffffffff",
    "c9 ffffffff",
    "c9 ffffffff 01",
    "dc ffff",
  ];
  const more = [
    "de ffff",
    "da ffff",
    "c5 ffff",
    "c8 ffff",
    "d9 ff",
    "c4 ff",
    "c7 ff",
    "9f",
    "8f",
    "bf",
    "dd 7fffffff 00",
  ];
  for (const bomb of [...bombs, ...more, "de 0002 a0 c0 a0", "dd 00000003 c0 c0"]) {
    assertRefuses(hex(bomb), "", bomb);
    assertRefuses(hex(`91 ${bomb}`), "", bomb);
    assertRefuses(hex(`81 a1 61 ${bomb}`), "", bomb);
  }
  for (
    const [list, length] of [["9f", 15], ["8f", 15], ["dc ffff 00", 65_535], ["de ffff a0 00", 65_535], [
      "82 a0 00 a0",
      2,
    ]]
  ) {
    assertRefuses(hex(String(list)), `a length of ${length} with too few bytes behind it`);
  }
  // Each of these promises as much as the rest of it could hold, again and again.
  const lists = new Uint8Array(4 * 1024 * 1024);
  const view = new DataView(lists.buffer);
  for (let at = 0; at + 5 <= lists.length; at += 5) {
    lists[at] = 0xdd;
    view.setUint32(at + 1, lists.length - at - 5);
  }
  assertRefuses(lists, "more than 1000000 values");
});

Deno.test("H32 msgpack, refuses more than a million values, before any is made", () => {
  const nils = new Uint8Array(4 * 1024 * 1024).fill(0xc0);
  nils.set(hex("dd 003ffffb"));
  assertRefuses(nils, "more than 1000000 values");
  nils.set(hex("df 001ffffd"));
  assertRefuses(nils, "more than 1000000 values");
  // The same split into many lists, none of which is long.
  assertRefuses(
    new Uint8Array([...hex("dc 4000"), ...repeat("dc 0040".padEnd(7 + 64 * 3, " c0"), 0x4000)]),
    "more than",
  );
});

Deno.test("H32 msgpack, counts values to the last, keys among them", () => {
  const message = (head: string, unit: string, count: number) => new Uint8Array([...hex(head), ...repeat(unit, count)]);
  assertStrictEquals((codec.decode(message("dd 000f423f", "c0", 999_999)) as unknown[]).length, 999_999);
  assertRefuses(message("dd 000f4240", "c0", 1_000_000), "more than 1000000 values");
  assertEquals(codec.decode(message("df 0007a11f", "a0 c0", 499_999)), { "": null });
  assertRefuses(message("df 0007a120", "a0 c0", 500_000), "more than 1000000 values");
});

Deno.test("H33 msgpack, refuses nesting deeper than 100, without running out of stack", () => {
  for (const unit of ["91", "81 a1 61", "dc 0001", "dd 00000001", "de 0001 a0", "df 00000001 a0", "92 c0"]) {
    assertRefuses(repeat(unit, 100_000), "nesting deeper than 100", unit);
    assertRefuses(repeat(unit, 100_000, "d4 01 00"), "nesting deeper than 100", unit);
    assertRefuses(repeat(unit, 100, "90"), "nesting deeper than 100", unit);
    checkMessage(repeat(unit, 100, "00"));
    checkMessage(repeat(unit, 99, "80"));
  }
  assertRefuses(repeat("9f", 100_000), "nesting deeper than 100");
  assertRefuses(repeat("91 81 a1 61", 50_000), "nesting deeper than 100");
  assertEquals(codec.decode(repeat("81 a1 6b 91", 50, "01")), nested(100));
  assertRefuses(repeat("91 d4 01 00", 100_000), "extension type");
});

Deno.test("H34 msgpack, refuses every message that is cut off, at every byte", () => {
  const messages = [
    "c4 03 01 02 03",
    "c5 0003 01 02 03",
    "c6 00000003 01 02 03",
    "ca 3f 80 00 00",
    "cb 3f f8 00 00 00 00 00 00",
    "cc 80",
    "cd 01 00",
    "ce 00 01 00 00",
    "cf 00 00 00 00 00 00 00 01",
    "d0 80",
    "d1 80 00",
    "d2 80 00 00 00",
    "d3 80 00 00 00 00 00 00 00",
    "a3 61 62 63",
    "a3 e6 bc a2",
    "d9 03 61 62 63",
    "da 0003 61 62 63",
    "db 00000003 61 62 63",
    "93 01 02 03",
    "dc 0003 01 02 03",
    "dd 00000003 01 02 03",
    "82 a1 61 01 a1 62 02",
    "de 0002 a1 61 01 a1 62 02",
    "df 00000002 a1 61 01 d9 01 62 02",
    "82 a4 6c69 7374 93 01 cb 3f f8 00 00 00 00 00 00 c4 02 00 01 a1 62 81 a1 63 c0",
  ];
  for (const message of messages) {
    const bytes = hex(message);
    codec.decode(bytes);
    // No byte at all is a message: undefined.
    for (let length = 1; length < bytes.length; length++) {
      assertRefuses(bytes.subarray(0, length), "", `${length} bytes of ${message}`);
    }
  }
  const extensions = [
    "d4 01 00",
    "d5 01 00 00",
    "d6 01 00 00 00 00",
    `d7 01 ${"00".repeat(8)}`,
    `d8 01 ${"00".repeat(16)}`,
  ];
  for (const message of [...extensions, "c7 02 01 00 00", "c8 0002 01 00 00", "c9 00000002 01 00 00"]) {
    const bytes = hex(message);
    for (let length = 1; length <= bytes.length; length++) assertRefuses(bytes.subarray(0, length), "extension type");
  }
});

Deno.test("H35 msgpack, refuses the byte that is never used, and extensions, timestamps among them", () => {
  for (const message of ["c1", "91 c1", "81 a1 61 c1", "92 00 c1"]) assertRefuses(hex(message), "never used");
  const extensions = [
    "d4 2a 00",
    "d6 ff 5a 4a f6 a5",
    "d7 ff ff ff ff ff 5a 4a f6 a5",
    "c7 0c ff 3b 9a ca 00 00 00 00 00 00 00 00 00",
    "c7 0c ff 00 00 00 00 7f ff ff ff ff ff ff ff",
    "c7 00 ff",
  ];
  for (const message of extensions) {
    assertRefuses(hex(message), "an extension type, which is not supported");
    assertRefuses(hex(`81 a1 61 ${message}`), "an extension type, which is not supported");
  }
});

Deno.test("H36 msgpack, gives 64-bit integers as a bigint, whatever their size, with every digit", () => {
  const table: [string, bigint][] = [
    ["cf 0000000000000001", 1n],
    ["cf 0020000000000000", 2n ** 53n],
    ["cf 0020000000000001", 2n ** 53n + 1n],
    ["cf ffffffffffffffff", 2n ** 64n - 1n],
    ["d3 0000000000000000", 0n],
    ["d3 ffdfffffffffffff", -(2n ** 53n) - 1n],
    ["d3 7fffffffffffffff", 2n ** 63n - 1n],
    ["d3 8000000000000000", -(2n ** 63n)],
  ];
  for (const [bytes, value] of table) assertStrictEquals(codec.decode(hex(bytes)), value);
});

Deno.test("H36 msgpack, gives every NaN as NaN, and −0 as −0", () => {
  const nans = [
    "cb 7ff8000000000000",
    "cb 7ff0000000000001",
    "cb fff8000000000000",
    "cb 7ff8dead00000000",
    "ca 7fc00000",
  ];
  for (const bytes of [...nans, "ca 7f800001", "ca ffc00000"]) assertStrictEquals(codec.decode(hex(bytes)), NaN);
  for (const bytes of ["cb 8000000000000000", "ca 80000000"]) assertStrictEquals(codec.decode(hex(bytes)), -0);
  assertStrictEquals(codec.decode(hex("ca 3dcccccd")), Math.fround(0.1));
});

Deno.test("H37 msgpack, refuses text and keys that are not UTF-8 or would lose their first character", () => {
  const broken = ["80", "bfbf", "c3", "e282", "f09f8d", "c0af", "e080af", "f08080af", "c080", "eda080", "eda0bdedb880"];
  for (const bytes of [...broken, "f4908080", "f888808080", "fe", "ff", "61 ff", "efbfbd ff", "ff efbbbf"]) {
    const text = `${(0xa0 + hex(bytes).length).toString(16)} ${bytes}`;
    assertRefuses(hex(text), "text that is not UTF-8", text);
    assertRefuses(hex(`81 ${text} 01`), "text that is not UTF-8", text);
    assertRefuses(hex(`91 d9 ${text.replace(/^./, "0")}`), "text that is not UTF-8", text);
  }
  // The decoder below would leave the mark out.
  assertRefuses(hex("a3 efbbbf"), "byte order mark");
  assertRefuses(hex("81 a4 efbbbf61 01"), "byte order mark");
  assertStrictEquals(codec.decode(hex("a4 61 efbbbf")), "a\uFEFF");
});

Deno.test("H37 msgpack, carries NUL and U+FFFD in text and keys", () => {
  for (const text of ["\u0000", "a\u0000b", "\uFFFD", "\uFFFDé"]) {
    assertStrictEquals(codec.decode(encode(text)), text);
    assertEquals(codec.decode(encode({ [text]: 1 })), { [text]: 1 });
  }
});

Deno.test("H38 msgpack, refuses a key __proto__, at any depth and in every form of text", () => {
  const proto = "5f5f70726f746f5f5f";
  for (const key of [`a9 ${proto}`, `d9 09 ${proto}`, `da 0009 ${proto}`, `db 00000009 ${proto}`]) {
    for (const message of [`81 ${key} 80`, `82 a1 61 01 ${key} 81 a1 61 01`, `91 81 a1 62 81 ${key} c0`]) {
      assertRefuses(hex(message), 'a key "__proto__", which may set a prototype', message);
    }
    assertStrictEquals(codec.decode(hex(key)), "__proto__");
  }
  assertEquals(codec.decode(hex("81 a9 5f5f70726f746f5f60 01")), { "__proto_`": 1 });
  assertEquals(codec.decode(hex("81 a8 5f5f70726f746f5f 01")), { __proto_: 1 });
});

Deno.test("H38 msgpack, makes constructor, prototype, toString and then own properties", async () => {
  const message = {
    constructor: { prototype: { polluted: 1 } },
    prototype: 1,
    toString: 2,
    hasOwnProperty: 3,
    then: 4,
  };
  const decoded = codec.decode(encode(message)) as Record<string, unknown>;
  assertEquals(Object.keys(decoded), Object.keys(message));
  assertStrictEquals(Object.getPrototypeOf(decoded), Object.prototype);
  assertStrictEquals(({} as Record<string, unknown>).polluted, undefined);
  assertStrictEquals(await decoded, decoded);
});

Deno.test("H38 msgpack, refuses keys that are not text", () => {
  const keys = [
    "01",
    "ff",
    "c0",
    "c3",
    "cb 3ff8000000000000",
    "cf 0000000000000001",
    "c4 01 61",
    "90",
    "80",
    "91 a1 61",
    "c1",
  ];
  for (const key of [...keys, "d4 01 00"]) {
    assertRefuses(hex(`81 ${key} 00`), "a key of a map that is not text", key);
    assertRefuses(hex(`82 a1 61 01 ${key} 00`), "a key of a map that is not text", key);
  }
});

Deno.test("msgpack, takes the last of a key that comes twice, and sorts nothing else out", () => {
  assertEquals(codec.decode(hex("82 a1 61 01 a1 61 02")), { a: 2 });
  assertEquals(codec.decode(hex("81 a1 31 01")), { "1": 1 });
});

Deno.test("H40 msgpack, decodes and refuses long messages in linear time", () => {
  const long = 4 * 1024 * 1024;
  const messages = [
    encode("x".repeat(long)),
    encode("é".repeat(long / 2)),
    encode(new Uint8Array(long)),
    encode(Array.from({ length: 50_000 }, () => "漢字")),
    encode(Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`key ${i}`, i]))),
  ];
  for (const message of messages) {
    const start = performance.now();
    codec.decode(message);
    assertThrows(() => codec.decode(message.subarray(0, message.length - 1)), SyntaxError);
    assertLess(performance.now() - start, LINEAR_MS);
  }
});

Deno.test("msgpack, says at which byte it stopped", () => {
  const error = assertThrows(() => codec.decode(hex("92 01 c1")), SyntaxError);
  assertStrictEquals(error.message, "Cannot decode MessagePack: the byte c1, which is never used, at byte 3");
});

Deno.test("checkMessage, says whether there is binary data, at any depth", () => {
  assert(
    checkMessage(hex("c4 00")) && checkMessage(hex("81 a1 61 91 c5 0001 00")) && checkMessage(hex("92 c6 00000000 00")),
  );
  assert(!checkMessage(hex("92 a1 61 80")));
});
