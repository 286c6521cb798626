import { assert, assertEquals, assertLess, assertStrictEquals, assertThrows } from "@std/assert";
import { json } from "../../src/codec/json.ts";
import { checkCodec } from "../../src/core/codec.ts";
import { ACCEPTED, REFUSED } from "./json_cases.ts";

const codec = json();

/** Linear work takes a hundredth of it; work that grows with the square takes a hundred times as much. */
const LINEAR_MS = 5_000;

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function decode(text: string): unknown {
  return codec.decode(utf8(text));
}

/** `text` between brackets, `depth` of them, in turn lists and objects. */
function nested(depth: number, text: string): string {
  let result = text;
  for (let i = 0; i < depth; i++) result = i % 2 === 0 ? `[${result}]` : `{"k":${result}}`;
  return result;
}

function nestedList(depth: number): unknown[] {
  let list: unknown[] = [];
  for (let i = 1; i < depth; i++) list = [list];
  return list;
}

Deno.test("json, is a codec, named json", () => {
  assertStrictEquals(checkCodec(codec).name, "json");
});

Deno.test("json, encodes to the text of JSON.stringify", () => {
  const values = [null, true, 0, 1.5, "é\n", [], {}, [1, [2]], { a: { b: undefined } }, [undefined], NaN, new Date(0)];
  for (const value of values) assertStrictEquals(codec.encode(value), JSON.stringify(value));
});

Deno.test("json, sends undefined as an empty text and gives an empty message as undefined", () => {
  assertStrictEquals(codec.encode(undefined), "");
  assertStrictEquals(codec.decode(new Uint8Array(0)), undefined);
});

Deno.test("json, gives 0, when it was sent −0", () => {
  assertStrictEquals(codec.encode(-0), "0");
  assert(Object.is(decode("-0"), -0));
});

Deno.test("json, refuses to encode what has no form in JSON, with a TypeError that says what", () => {
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  const wrong: [unknown, string][] = [
    [() => {}, "Cannot encode as JSON: a value of type function has no form in it"],
    [Symbol("s"), "Cannot encode as JSON: a value of type symbol has no form in it"],
    [{ toJSON: () => undefined }, "Cannot encode as JSON: a value of type object has no form in it"],
    [1n, "Cannot encode as JSON: Do not know how to serialize a BigInt"],
    [{ deep: [1n] }, "Cannot encode as JSON: Do not know how to serialize a BigInt"],
    [cycle, "Cannot encode as JSON: Converting circular structure to JSON"],
  ];
  for (const [value, message] of wrong) {
    assertStrictEquals(assertThrows(() => codec.encode(value), TypeError).message, message);
  }
});

Deno.test("json, keeps what toJSON threw as the cause, when it throws", () => {
  const thrown = new RangeError("Invalid time value");
  const value = {
    toJSON() {
      throw thrown;
    },
  };
  assertStrictEquals(assertThrows(() => codec.encode(value), TypeError, "Invalid time value").cause, thrown);
});

Deno.test("json, gives the same message whatever its length, ASCII or not", () => {
  for (let length = 0; length < 80; length++) {
    for (const letter of ["x", "é", "漢", "🍺", "\uFFFD"]) {
      for (const text of [letter.repeat(length), "x".repeat(length) + letter, letter + "x".repeat(length)]) {
        assertStrictEquals(decode(JSON.stringify(text)), text);
      }
    }
  }
});

Deno.test("json, decodes after a message that was not UTF-8", () => {
  assertThrows(() => codec.decode(new Uint8Array([0x22, 0xe6, 0xbc])), Error);
  assertStrictEquals(decode('"漢"'), "漢");
});

Deno.test("json, refuses a byte order mark, before any message", () => {
  for (const text of ["", "1", '"text"', `"${"x".repeat(300)}"`]) {
    assertThrows(() => decode(`\uFEFF${text}`), SyntaxError);
  }
  assertStrictEquals(decode('"\uFEFF"'), "\uFEFF");
});

Deno.test("H33 json, refuses nesting deeper than 100, before anything is parsed", () => {
  const deep = [
    "[".repeat(100_000),
    '{"a":'.repeat(50_000),
    '[{"":'.repeat(50_000),
    nested(101, ""),
    nested(5_000, "1"),
  ];
  const parse = JSON.parse;
  // The parser must not even see them.
  JSON.parse = () => assert(false, "the parser was called");
  try {
    for (const text of deep) {
      const error = assertThrows(() => decode(text), SyntaxError);
      assertStrictEquals(error.message, "Cannot decode JSON: it is nested deeper than 100");
    }
  } finally {
    JSON.parse = parse;
  }
});

Deno.test("H33 json, decodes nesting of 100, and refuses 101, whatever is inside and around", () => {
  for (const inside of ["1", '""', '"]"', '"}\\"]"', '"\\\\"', '"\\\\\\""', '"é漢🍺"', "[]"]) {
    const depth = inside === "[]" ? 99 : 100;
    for (const around of [(text: string) => text, (text: string) => `  ${text}\n`]) {
      const text = around(nested(depth, inside));
      assertEquals(decode(text), JSON.parse(text));
      assertThrows(() => decode(around(nested(depth + 1, inside))), SyntaxError, "nested deeper than 100");
    }
  }
});

Deno.test("H33 json, takes neither brackets in texts nor brackets side by side for nesting", () => {
  const texts = [
    JSON.stringify("[{".repeat(10_000)),
    JSON.stringify({ ["[".repeat(500)]: '"[{\\'.repeat(500) }),
    JSON.stringify(["\\".repeat(301), "[".repeat(300), "\\\\\\", "[".repeat(300)]),
    `[${"[],{},".repeat(1_000)}1]`,
  ];
  for (const text of texts) assertEquals(decode(text), JSON.parse(text));
});

Deno.test("H33 json, refuses what is nested too deep and broken, each for one of the two", () => {
  const texts = [
    `"${"[".repeat(500)}`,
    `"${"[".repeat(500)}\\"`,
    `${"]".repeat(500)}${"[".repeat(500)}`,
    `"\\${"[".repeat(500)}`,
  ];
  for (const text of texts) assertThrows(() => decode(text), SyntaxError);
});

Deno.test("H33 json, refuses to encode nesting deeper than 100, without running out of stack", () => {
  assertEquals(decode(codec.encode(nestedList(100)) as string), nestedList(100));
  for (const depth of [101, 5_000, 100_000]) {
    const error = assertThrows(() => codec.encode(nestedList(depth)), TypeError);
    assertStrictEquals(error.message, "Cannot encode as JSON: it is nested deeper than 100");
  }
  // With toJSON in it the runtime takes another way, on which the stack does run out.
  let deep: unknown = { toJSON: () => 1 };
  for (let i = 0; i < 100_000; i++) deep = [deep];
  assertThrows(() => codec.encode(deep), TypeError, "Cannot encode as JSON: ");
});

Deno.test("H37 json, refuses what is not UTF-8, in texts, keys and outside, short and long", () => {
  const broken: [string, number[]][] = [
    ["a lone continuation byte", [0x80]],
    ["two continuation bytes", [0xbf, 0xbf]],
    ["a sequence cut off after one of two", [0xc3]],
    ["a sequence cut off after two of three", [0xe2, 0x82]],
    ["a sequence cut off after three of four", [0xf0, 0x9f, 0x8d]],
    ["an overlong slash in two bytes", [0xc0, 0xaf]],
    ["an overlong slash in three bytes", [0xe0, 0x80, 0xaf]],
    ["an overlong slash in four bytes", [0xf0, 0x80, 0x80, 0xaf]],
    ["an overlong NUL", [0xc0, 0x80]],
    ["half of a surrogate pair", [0xed, 0xa0, 0x80]],
    ["a surrogate pair", [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80]],
    ["a character beyond U+10FFFF", [0xf4, 0x90, 0x80, 0x80]],
    ["five bytes for one character", [0xf8, 0x88, 0x80, 0x80, 0x80]],
    ["the byte fe", [0xfe]],
    ["the byte ff", [0xff]],
    ["Latin-1", [0xe9, 0x20]],
  ];
  for (const [what, bytes] of broken) {
    for (
      const [before, after] of [['"', '"'], ['{"', '":1}'], ["", ""], ['"\uFFFD', '"'], [`"${"x".repeat(300)}`, '"']]
    ) {
      const message = new Uint8Array([...utf8(before), ...bytes, ...utf8(after)]);
      let refused = false;
      try {
        codec.decode(message);
      } catch (error) {
        refused = error instanceof Error;
      }
      assert(refused, `${what} was decoded, between ${before} and ${after}`);
    }
  }
});

Deno.test("H37 json, carries NUL and half of a surrogate pair as escapes, and refuses a NUL as it is", () => {
  for (const text of ["\u0000", "a\u0000b", "\ud83d", "\ude00\ud83d"]) {
    assertStrictEquals(decode(codec.encode(text) as string), text);
    assertEquals(decode(codec.encode({ [text]: 1 }) as string), { [text]: 1 });
  }
  assertThrows(() => decode('"\u0000"'), SyntaxError);
});

Deno.test("H38 json, makes __proto__ and its like own properties, at any depth", () => {
  const text = '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"prototype":{"polluted":1}}';
  for (const message of [text, `[${text}]`, `{"a":{"b":[${text}]}}`]) {
    let value = decode(message) as Record<string, unknown>;
    if (Array.isArray(value)) value = value[0];
    else if ("a" in value) value = (value.a as { b: Record<string, unknown>[] }).b[0];
    assertEquals(Object.keys(value), ["__proto__", "constructor", "prototype"]);
    assertStrictEquals(Object.getPrototypeOf(value), Object.prototype);
    assertStrictEquals(value.polluted, undefined);
    assertStrictEquals(({} as Record<string, unknown>).polluted, undefined);
  }
});

Deno.test("H38 json, gives a property named then as data, which nothing can await", async () => {
  const value = decode('{"then":"later","toString":1,"valueOf":2,"toJSON":3}');
  assertStrictEquals(await value, value);
  assertStrictEquals(codec.encode(value), '{"then":"later","toString":1,"valueOf":2,"toJSON":3}');
});

Deno.test("H40 json, decodes long escapes, numbers and texts in linear time", () => {
  const digits = "7".repeat(1_000_000);
  const messages: [string, unknown][] = [
    [`"${"\\u0000".repeat(699_050)}"`, "\u0000".repeat(699_050)],
    [`"${"\\\\".repeat(2_000_000)}"`, "\\".repeat(2_000_000)],
    [`"${'\\"'.repeat(2_000_000)}"`, '"'.repeat(2_000_000)],
    [digits, Infinity],
    [`0.${digits}`, 0.7777777777777778],
    [`1e-${digits}`, 0],
    [`"${"1".repeat(4_000_000)}"`, "1".repeat(4_000_000)],
    [`[${"1,".repeat(1_000_000)}1]`, undefined],
    [`{${'"a":1,'.repeat(500_000)}"a":2}`, undefined],
  ];
  for (const [text, value] of messages) {
    const bytes = utf8(text);
    const start = performance.now();
    const decoded = codec.decode(bytes);
    assertLess(performance.now() - start, LINEAR_MS, text.slice(0, 20));
    if (value !== undefined) assert(decoded === value, `${text.slice(0, 20)}… came out wrong`);
  }
});

Deno.test("H40 json, refuses long broken messages in linear time", () => {
  const messages = [
    '"'.repeat(4_000_001),
    `"${"\\".repeat(4_000_000)}`,
    `"${'\\"'.repeat(2_000_000)}`,
    " ".repeat(4_000_000),
  ];
  for (const text of [...messages, "]".repeat(4_000_000), "1".repeat(4_000_000) + "x", `[${"[],".repeat(1_000_000)}`]) {
    const bytes = utf8(text);
    const start = performance.now();
    assertThrows(() => codec.decode(bytes), SyntaxError);
    assertLess(performance.now() - start, LINEAR_MS, text.slice(0, 20));
  }
});

Deno.test("H40 json, rounds numbers beyond doubles to the infinities and to zero", () => {
  const numbers: [string, number][] = [
    ["1e400", Infinity],
    ["-1e400", -Infinity],
    ["123e-10000000", 0],
    ["9007199254740993", 9007199254740992],
    ["1.7976931348623157e308", Number.MAX_VALUE],
    ["5e-324", Number.MIN_VALUE],
  ];
  for (const [text, value] of numbers) assertStrictEquals(decode(text), value);
});

/** Spaces before a message lead it past the loop for short ones, and then into the check of depth. */
const INDENTS = ["", " ".repeat(40), " ".repeat(300)];

Deno.test("H41 json, accepts what every parser of JSON must", () => {
  assert(ACCEPTED.length >= 90);
  for (const [text, value] of ACCEPTED) {
    for (const indent of INDENTS) assertEquals(decode(indent + text), value, `${indent.length} spaces, then ${text}`);
  }
});

Deno.test("H41 json, refuses what every parser of JSON must", () => {
  assert(REFUSED.length >= 180);
  for (const message of REFUSED) {
    for (const indent of INDENTS) {
      const bytes = new Uint8Array([...utf8(indent), ...(typeof message === "string" ? utf8(message) : message)]);
      let decoded: unknown;
      try {
        decoded = codec.decode(bytes);
      } catch (error) {
        assert(error instanceof SyntaxError || error instanceof TypeError, `${message}: ${error}`);
        continue;
      }
      assert(false, `${indent.length} spaces, then ${message.slice(0, 40)} was decoded to ${decoded}`);
    }
  }
});

Deno.test("H41 json, decides what is left free: replaces nothing, keeps half a surrogate pair, knows no other encoding", () => {
  for (const text of ['["\\uDADA"]', '["\\uD888\\u1234"]', '["\\uDd1e\\uD834"]', '["\\ud800"]', '["\\ud800abc"]']) {
    assertEquals(decode(text), JSON.parse(text));
  }
  assertEquals(decode("[0.4e00669999999999999999999999999999999999999999999999999999999999999999999999999999999]"), [
    Infinity,
  ]);
  assertEquals(decode("[123123123123123123123123123123]"), [123123123123123123123123123123]);
  const refused = [
    [0x5b, 0x22, 0x00, 0xe9, 0x00, 0x22, 0x00, 0x5d, 0x00],
    [0x00, 0x5b, 0x00, 0x22, 0x00, 0xe9, 0x00, 0x22, 0x00, 0x5d],
    [0xff, 0xfe, 0x5b, 0x00, 0x5d, 0x00],
    [0xef, 0xbb, 0xbf, 0x7b, 0x7d],
    [0x5b, 0x22, 0x81, 0x22, 0x5d],
  ];
  for (const bytes of refused) assertThrows(() => codec.decode(new Uint8Array(bytes)), Error);
  assertThrows(() => decode("[".repeat(500) + "]".repeat(500)), SyntaxError);
});

Deno.test("json, a codec made out of it with another decode, decodes with that", () => {
  const own = { ...json(), decode: () => "own" };
  assertEquals("decodeAt" in own, false);
  const bytes = new TextEncoder().encode('[1,2]{"a":3}[4]');
  assertEquals(json().decodeAt!(bytes, 5, 12), { a: 3 });
});
