import { assert, assertEquals, assertThrows } from "@std/assert";
import { checkLimits, DEFAULT_LIMITS, type Limits } from "../../src/core/limits.ts";

const NAMES = Object.keys(DEFAULT_LIMITS) as (keyof Limits)[];

Deno.test("checkLimits, nothing given, the defaults in a frozen copy", () => {
  const limits = checkLimits(undefined);
  assertEquals(limits, DEFAULT_LIMITS);
  assert(Object.isFrozen(limits) && Object.isFrozen(DEFAULT_LIMITS));
});

Deno.test("checkLimits, the defaults themselves, in range", () => {
  assertEquals(checkLimits(DEFAULT_LIMITS), DEFAULT_LIMITS);
});

Deno.test("checkLimits, each limit out of range, refused with its name", () => {
  for (const name of NAMES) {
    for (const value of [-1, 1.5, NaN, Infinity, 2 ** 31]) {
      assertThrows(() => checkLimits({ [name]: value }), RangeError, `limits.${name} ${value}: it must be`);
    }
  }
});

Deno.test("checkLimits, each limit at the ends of its range, taken", () => {
  const ranges: { [Name in keyof Limits]?: [number, number] } = {
    maxFrameBytes: [16_384, 16_777_215],
    sendFrameBytes: [1, 16_777_215],
    maxMetadataBytes: [0, 65_535],
    maxMetadataEntries: [0, 65_535],
    streamWindowBytes: [1_024, 2_147_483_647],
    connectionWindowBytes: [1_024, 2_147_483_647],
    maxHops: [1, 254],
    maxQueuedCalls: [0, 2_147_483_647],
  };
  for (const name of NAMES) {
    const [min, max] = ranges[name] ?? [1, 2_147_483_647];
    for (const value of [min, max]) assertEquals(checkLimits({ [name]: value })[name], value);
    for (const value of [min - 1, max + 1]) assertThrows(() => checkLimits({ [name]: value }), RangeError);
  }
});

Deno.test("checkLimits, a limit that there is not, refused", () => {
  const misspelt: object = { maxFrames: 5 };
  assertThrows(() => checkLimits(misspelt), TypeError, '"maxFrames"');
});
