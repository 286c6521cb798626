import { assertEquals, assertThrows } from "@std/assert";
import { Server } from "@erpc/erpc";
import { type AdmissionOptions, checkAdmission, DEFAULT_ADMISSION } from "../../src/admission/options.ts";

Deno.test("checkAdmission gives the defaults, and a target where there is a limit", () => {
  assertEquals(checkAdmission(undefined), DEFAULT_ADMISSION);
  assertEquals(checkAdmission({}).targetMs, Infinity);
  assertEquals(checkAdmission({ limit: 8 }).targetMs, 5);
  assertEquals(checkAdmission({ limit: "adaptive" }).targetMs, 5);
  assertEquals(checkAdmission({ limit: 8, targetMs: Infinity }).targetMs, Infinity);
  assertEquals(checkAdmission({ targetMs: 20 }).targetMs, 20);
});

for (
  const [given, text] of [
    [{ limit: 0 }, "Cannot use admission.limit 0: it must be a whole number from 1 to 1000000"],
    [
      { limit: "some" as "none" },
      'Cannot use admission.limit "some": it must be a number from 1 to 1000000, "adaptive" or "none"',
    ],
    [{ minLimit: 30 }, "Cannot use admission.startLimit 20: it must be a whole number from 30 to 1000"],
    [{ maxLimit: 3 }, "Cannot use admission.maxLimit 3: it must be a whole number from 4 to 1000000"],
    [{ tolerance: 0.9 }, "Cannot use admission.tolerance 0.9: it must be a number from 1 to 10"],
    [{ smoothing: 0 }, "Cannot use admission.smoothing 0: it must be a number from 0.01 to 1"],
    [{ maxWaiting: 0 }, "Cannot use admission.maxWaiting 0: it must be a whole number from 1 to 1000000"],
    [{ maxWaitMs: NaN }, "Cannot use admission.maxWaitMs NaN: it must be a number of milliseconds"],
    [{ targetMs: 0 }, "Cannot use admission.targetMs 0: it must be a number from 1 to 3600000"],
    [{ intervalMs: -1 }, "Cannot use admission.intervalMs -1: it must be a number from 1 to 3600000"],
    [{ maxLagMs: Infinity }, "Cannot use admission.maxLagMs Infinity: it must be a number from 1 to 3600000"],
  ] as [AdmissionOptions, string][]
) {
  Deno.test(`checkAdmission takes no ${JSON.stringify(given)}`, () => {
    assertThrows(() => checkAdmission(given), RangeError, text);
    assertThrows(() => new Server({ admission: given }), RangeError, text);
  });
}

Deno.test("checkAdmission takes no option that there is not", () => {
  assertThrows(() => checkAdmission({ limits: 3 } as AdmissionOptions), TypeError, 'Cannot use option "limits"');
});
