import { assert, assertEquals, assertMatch, assertNotEquals, assertStrictEquals, assertThrows } from "@std/assert";
import type { Codec } from "../../src/core/codec.ts";
import { MAX_TIMER_MS } from "../../src/core/platform.ts";
import {
  bidi,
  checkServiceName,
  clientStream,
  fnv1a,
  type Method,
  type MethodOptions,
  oneway,
  procedureName,
  serverStream,
  service,
  unary,
} from "../../src/core/service.ts";

const plain: Codec = { name: "plain", encode: String, decode: (bytes) => bytes.length };

Deno.test("service, a contract, has what was declared and nobody can change it", () => {
  const Words = service("demo.Words", {
    count: unary<string, number>({ idempotent: true, timeoutMs: 50, codec: plain }),
    search: serverStream<string, string>(),
    total: clientStream<string, number>(),
    shout: bidi<string, string>(),
    log: oneway<string>(),
  });
  assertEquals(Words.name, "demo.Words");
  assertEquals(Object.values(Words.methods).map((method) => method.kind), [
    "unary",
    "serverStream",
    "clientStream",
    "bidi",
    "oneway",
  ]);
  const { count, search } = Words.methods;
  assertEquals([count.idempotent, count.timeoutMs, search.idempotent, search.timeoutMs, search.codec], [
    true,
    50,
    false,
    undefined,
    undefined,
  ]);
  assertStrictEquals(count.codec, plain);
  for (const part of [Words, Words.methods, count]) assert(Object.isFrozen(part));
});

Deno.test("service, methods that the caller changes later, stay as they were declared", () => {
  const methods: Record<string, Method> = { count: unary() };
  const Words = service("demo.Words", methods);
  methods.other = unary();
  assertEquals(Object.keys(Words.methods), ["count"]);
});

Deno.test("service, a fingerprint, the same for the same declaration in any order and for no other", () => {
  const of = (name: string, methods: Record<string, Method>) => service(name, methods).fingerprint;
  const fingerprint = of("demo.Words", { a: unary(), b: bidi() });
  assertMatch(fingerprint, /^[\da-f]{8}$/);
  assertEquals(of("demo.Words", { b: bidi(), a: unary() }), fingerprint);
  assertEquals(of("demo.Words", { b: bidi({ timeoutMs: 9, codec: plain }), a: unary() }), fingerprint);
  for (
    const other of [
      of("demo.Word", { a: unary(), b: bidi() }),
      of("demo.Words", { a: unary() }),
      of("demo.Words", { a: unary(), c: bidi() }),
      of("demo.Words", { a: oneway(), b: bidi() }),
      of("demo.Words", { a: unary({ idempotent: true }), b: bidi() }),
    ]
  ) assertNotEquals(other, fingerprint);
});

Deno.test("service, names that cannot travel, refused with the name", () => {
  for (const name of ["", ".", "a.", ".a", "a..b", "1a", "a b", "a/b", "ä", "a\n", "*", "a.1", "-a", "a".repeat(201)]) {
    assertThrows(() => service(name, {}), TypeError, JSON.stringify(name));
    assertThrows(() => checkServiceName(name), TypeError);
  }
  for (const name of [undefined, null, 5, {}]) {
    assertThrows(() => checkServiceName(name as unknown as string), TypeError);
  }
  for (const name of ["a", "demo.Words", "_a", "a-b.c_d", "__proto__", "constructor", "a".repeat(200)]) {
    assertEquals(checkServiceName(name), name);
  }
});

Deno.test("service, a name made to keep a regular expression busy, answered at once", () => {
  const name = `${"a.".repeat(99)}!`;
  assertThrows(() => checkServiceName(name), TypeError);
  assertThrows(() => checkServiceName("a".repeat(1_000_000)), TypeError);
});

Deno.test("service, methods whose names cannot travel, refused with the name", () => {
  for (const name of ["", "a.b", "a/b", "1a", "a b", "ä"]) {
    assertThrows(() => service("demo.Words", { [name]: unary() }), TypeError, JSON.stringify(name));
  }
});

Deno.test("service, a method that none of the five functions made, refused", () => {
  const wrong = { kind: "many", idempotent: false } as unknown as Method;
  assertThrows(() => service("demo.Words", { a: wrong }), TypeError, "make it with unary()");
});

Deno.test("method options out of range, refused, and too long a time is clamped", () => {
  assertThrows(() => unary({ timeoutMs: NaN }), RangeError, "timeoutMs NaN");
  assertEquals(unary({ timeoutMs: Infinity }).timeoutMs, MAX_TIMER_MS);
  assertThrows(() => unary({ codec: {} as Codec }), TypeError, "it needs encode, decode");
  assertThrows(() => unary({ codec: { ...plain, name: "Plain" } }), TypeError, '"Plain"');
  const loose: MethodOptions = { idempotent: 1 as unknown as boolean };
  assertEquals(unary(loose).idempotent, false);
});

Deno.test("procedureName, both forms, give the one on the wire", () => {
  const forms = [
    ["demo.Words/count", "demo.Words/count"],
    ["demo.hello", "demo/hello"],
    ["a.b.c", "a.b/c"],
    ["Words/count", "Words/count"],
    ["__proto__/constructor", "__proto__/constructor"],
    [`${"s".repeat(200)}/${"m".repeat(200)}`, `${"s".repeat(200)}/${"m".repeat(200)}`],
  ];
  for (const [text, expected] of forms) assertEquals(procedureName(text), expected);
});

Deno.test("procedureName, what is neither form, refused with the text", () => {
  const texts = [
    "",
    "hello",
    "/",
    "a/",
    "/a",
    "a/b/c",
    "a.b/",
    "a.",
    ".a",
    "a//b",
    "a/b.c",
    "a b.c",
    "demo.Words/1",
    "a/b\n",
  ];
  for (const text of [...texts, `${"s".repeat(201)}/m`, `s/${"m".repeat(201)}`]) {
    assertThrows(() => procedureName(text), TypeError, JSON.stringify(text));
  }
  for (const text of [undefined, null, 5]) assertThrows(() => procedureName(text as unknown as string), TypeError);
});

Deno.test("fnv1a, published vectors, same hashes", () => {
  const vectors: [string, number][] = [["", 0x811c9dc5], ["a", 0xe40c292c], ["foobar", 0xbf9cf968]];
  for (const [text, hash] of vectors) assertEquals(fnv1a(text), hash);
});

Deno.test("H38 service, a method named then or __proto__, is refused", () => {
  for (const name of ["then", "__proto__", "m".repeat(201)]) {
    assertThrows(
      () => service("t.T", Object.fromEntries([[name, unary<void, void>()]])),
      TypeError,
      "Cannot declare method",
    );
  }
});
