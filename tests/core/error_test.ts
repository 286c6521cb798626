import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { type Code, codeName, codeNumber, CODES, isCode } from "../../src/core/code.ts";
import { asRpcError, RpcError } from "../../src/core/error.ts";
import { Metadata } from "../../src/core/metadata.ts";

Deno.test("RpcError, with all there is to say, says it", () => {
  const [metadata, cause] = [new Metadata({ a: "1" }), new Error("disk full")];
  const details = { field: "text" };
  const error = new RpcError("unavailable", "Cannot write", {
    executed: "yes",
    details,
    metadata,
    retryAfterMs: 50,
    cause,
  });
  assertEquals([error.name, error.code, error.message, error.executed], [
    "RpcError",
    "unavailable",
    "Cannot write",
    "yes",
  ]);
  assertStrictEquals(error.details, details);
  assertStrictEquals(error.metadata, metadata);
  assertEquals([error.retryAfterMs, error.cause], [50, cause]);
  assert(error instanceof Error && error instanceof RpcError);
  assert(error.stack?.includes("error_test.ts"));
});

Deno.test("RpcError, with nothing but a code and a message, may have run", () => {
  const error = new RpcError("internal", "x");
  assertEquals([error.executed, error.details, error.metadata, error.retryAfterMs], [
    "maybe",
    undefined,
    undefined,
    undefined,
  ]);
  assertEquals("cause" in error, false);
});

Deno.test("RpcError, a code that is none, misuse", () => {
  for (const code of ["", "OK", "ok", "UNAVAILABLE", "constructor", "__proto__", 14, undefined]) {
    assertThrows(() => new RpcError(code as Code, "x"), TypeError, "is not a code");
  }
});

Deno.test("RpcError of another copy of the package, recognised by both", async () => {
  const path = "../../src/core/error.ts?copy";
  const copy: typeof import("../../src/core/error.ts") = await import(path);
  assert(copy.RpcError !== RpcError, "the same copy: the test shows nothing");
  const [ours, theirs] = [new RpcError("aborted", "ours"), new copy.RpcError("aborted", "theirs")];
  assert(theirs instanceof RpcError);
  assert(ours instanceof copy.RpcError);
  assertStrictEquals(asRpcError(theirs, "internal", "Cannot call"), theirs);
});

Deno.test("RpcError, instanceof, false for all that is none", () => {
  const looksAlike = { name: "RpcError", code: "aborted", message: "x", executed: "no" };
  for (const value of [null, undefined, "RpcError", 5, Symbol("s"), () => {}, {}, looksAlike, new Error("x")]) {
    assertEquals((value as unknown) instanceof RpcError, false);
  }
});

Deno.test("RpcError, a subclass, told apart from its parent", () => {
  class Quota extends RpcError {}
  const [quota, plain] = [new Quota("resource_exhausted", "x"), new RpcError("resource_exhausted", "x")];
  assert(quota instanceof RpcError && quota instanceof Quota);
  assertEquals((plain as unknown) instanceof Quota, false);
});

Deno.test("RpcError, its brand, not among what it shows", () => {
  const error = new RpcError("aborted", "x", { details: 1 });
  assertEquals(Object.getOwnPropertySymbols({ ...error }), []);
});

Deno.test("asRpcError, each thing that can be thrown, an error with the code and what was done", () => {
  const cause = new Error("refused");
  const error = asRpcError(cause, "unavailable", "Cannot dial", { executed: "no" });
  assertEquals([error.code, error.message, error.executed], ["unavailable", "Cannot dial: refused", "no"]);
  assertStrictEquals(error.cause, cause);
  assertEquals(asRpcError("text", "internal", "Cannot run").message, "Cannot run: text");
  assertEquals(asRpcError(undefined, "internal", "Cannot run").message, "Cannot run: undefined");
  assertEquals(asRpcError(Symbol("s"), "internal", "Cannot run").message, "Cannot run: Symbol(s)");
});

Deno.test("asRpcError, a thing that no text can be made of, an error all the same", () => {
  const rude = {
    toString() {
      throw new Error("no text");
    },
  };
  for (const thrown of [Object.create(null), rude]) {
    assertEquals(asRpcError(thrown, "internal", "Cannot run").code, "internal");
  }
});

Deno.test("codes, gRPC's sixteen numbers, there and back", () => {
  const numbers: [Code, number][] = [
    ["cancelled", 1],
    ["unknown", 2],
    ["invalid_argument", 3],
    ["deadline_exceeded", 4],
    ["not_found", 5],
    ["already_exists", 6],
    ["permission_denied", 7],
    ["resource_exhausted", 8],
    ["failed_precondition", 9],
    ["aborted", 10],
    ["out_of_range", 11],
    ["unimplemented", 12],
    ["internal", 13],
    ["unavailable", 14],
    ["data_loss", 15],
    ["unauthenticated", 16],
  ];
  assertEquals(CODES, numbers.map(([code]) => code));
  for (const [code, number] of numbers) {
    assertEquals([codeNumber(code), codeName(number), isCode(code)], [number, code, true]);
  }
});

Deno.test("H52 codeName, numbers that nobody assigned, unknown", () => {
  for (const number of [0, 17, 9999, -1, 1.5, NaN, Infinity]) assertEquals(codeName(number), "unknown", `${number}`);
  for (const name of ["toString", "constructor", "length", ""]) assertEquals(isCode(name), false);
});
