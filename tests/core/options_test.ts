import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  checkDuration,
  checkInteger,
  checkNames,
  checkNumber,
  checkText,
  withDefaults,
} from "../../src/core/options.ts";
import { MAX_TIMER_MS } from "../../src/core/platform.ts";

Deno.test("checkInteger, in and out of range, the value or the name, the value and the range", () => {
  for (const value of [1, 5, 10]) assertEquals(checkInteger("n", value, 1, 10), value);
  assertEquals(checkInteger("n", Number.MAX_SAFE_INTEGER, 0), Number.MAX_SAFE_INTEGER);
  for (const value of [0, 11, 1.5, NaN, Infinity, -Infinity, 2 ** 53, "5", null, undefined, 5n]) {
    const error = assertThrows(() => checkInteger("n", value as number, 1, 10), RangeError);
    const shown = value === "5" ? '"5"' : value;
    assertEquals(error.message, `Cannot use n ${shown}: it must be a whole number from 1 to 10`);
  }
});

Deno.test("checkNumber, in and out of range, the value or the name, the value and the range", () => {
  for (const value of [0, 0.5, 1]) assertEquals(checkNumber("x", value, 0, 1), value);
  for (const value of [-0.1, 1.1, NaN, Infinity, "0.5", null, undefined, [0.5]]) {
    assertThrows(
      () => checkNumber("x", value as number, 0, 1),
      RangeError,
      `x ${value === "0.5" ? '"0.5"' : value}: it must be a number from 0 to 1`,
    );
  }
});

Deno.test("checkDuration, any number, at most what a timer can be", () => {
  const durations = [[5, 5], [0.5, 0.5], [0, 0], [-5, -5], [-Infinity, -Infinity], [MAX_TIMER_MS, MAX_TIMER_MS]];
  for (const [ms, expected] of durations) assertEquals(checkDuration("t", ms), expected);
  for (const ms of [MAX_TIMER_MS + 1, 1e300, Infinity]) assertEquals(checkDuration("t", ms), MAX_TIMER_MS);
  for (const ms of [NaN, "5", null, undefined]) {
    const shown = ms === "5" ? '"5"' : ms;
    assertThrows(() => checkDuration("t", ms as number), RangeError, `t ${shown}: it must be a number of milliseconds`);
  }
});

Deno.test("withDefaults, what is given, in the place of the default and only that", () => {
  const defaults: Readonly<{ a: number; b: string | null }> = Object.freeze({ a: 1, b: "x" });
  assertEquals(withDefaults(defaults, undefined), { a: 1, b: "x" });
  assertEquals(withDefaults(defaults, {}), { a: 1, b: "x" });
  assertEquals(withDefaults(defaults, { a: 2, b: undefined }), { a: 2, b: "x" });
  assertEquals(withDefaults(defaults, { b: null, a: 0 }), { a: 0, b: null });
  assert(!Object.isFrozen(withDefaults(defaults, {})));
});

Deno.test("withDefaults, a name that there is not, refused", () => {
  const misspelt: object = { ttl: 5 };
  assertThrows(() => withDefaults({ ttlMs: 1 }, misspelt), TypeError, '"ttl"');
});

Deno.test("H38 withDefaults, names of prototypes, refused like any other that there is not", () => {
  for (const text of ['{"constructor":1}', '{"toString":1}', '{"__proto__":{"ttlMs":5}}']) {
    assertThrows(() => withDefaults({ ttlMs: 1 }, JSON.parse(text)), TypeError, "there is none of that name");
  }
});

Deno.test("checkNames, a name that there is not, refused with the one that was meant", () => {
  const names = { center: true, timeoutMs: true };
  assertEquals(checkNames({ center: 1, timeoutMs: undefined }, names), { center: 1, timeoutMs: undefined });
  const cases: [object, string][] = [
    [{ timeout: 5 }, 'option "timeout": there is none of that name; did you mean "timeoutMs"?'],
    [{ balancer: 5 }, 'option "balancer": there is none of that name'],
    ["tcp://127.0.0.1:7700" as unknown as object, 'options "tcp://127.0.0.1:7700": they must be an object'],
    [null as unknown as object, "options null: they must be an object"],
  ];
  for (const [given, message] of cases) {
    const error = assertThrows(() => checkNames(given as { center?: unknown; timeoutMs?: unknown }, names), TypeError);
    assertEquals(error.message, `Cannot use ${message}`);
  }
});

Deno.test("checkText, anything but a text, or one that is too long, refused", () => {
  assertEquals(checkText("zone", "", 2), "");
  assertEquals(checkText("zone", "ab", 2), "ab");
  for (const value of [5, null, undefined, {}]) {
    assertThrows(() => checkText("zone", value as string, 2), TypeError, `Cannot use zone ${value}: it must be a text`);
  }
  assertThrows(
    () => checkText("zone", "abc", 2),
    RangeError,
    "Cannot use zone of 3 characters: it may have at most 2",
  );
});
