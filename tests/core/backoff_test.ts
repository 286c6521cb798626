import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { type Backoff, backoffMs, REDIAL } from "../../src/core/backoff.ts";
import type { Random } from "../../src/core/platform.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";

/** Chance that always draws the same fraction. */
function always(fraction: number): Random {
  return { u32: () => Math.min(2 ** 32 - 1, Math.floor(fraction * 2 ** 32)) };
}

const plain: Backoff = { firstMs: 100, factor: 2, maxMs: 1_000, jitter: 0 };

Deno.test("backoffMs, without jitter, grows by its factor to its longest", () => {
  const waits = [0, 1, 2, 3, 4, 5, 100, 1e6].map((attempt) => backoffMs(plain, attempt, always(0.5)));
  assertEquals(waits, [100, 200, 400, 800, 1_000, 1_000, 1_000, 1_000]);
});

Deno.test("backoffMs, a jitter of a fifth, spreads that much both ways", () => {
  const backoff = { ...plain, jitter: 0.2 };
  for (const [fraction, expected] of [[0, 160], [0.5, 200], [1, 240]]) {
    assertAlmostEquals(backoffMs(backoff, 1, always(fraction)), expected, 0.001);
  }
});

Deno.test("X26 backoffMs, full jitter, anything from nothing to the whole wait", () => {
  for (const [fraction, expected] of [[0, 0], [0.25, 50], [1, 200]]) {
    assertAlmostEquals(backoffMs({ ...plain, jitter: 1 }, 1, always(fraction)), expected, 0.001);
  }
});

Deno.test("X26 backoffMs, 5,000 that redial after the same loss, spread over the whole wait", () => {
  const random = seededRandom(26);
  const tenths = new Array(10).fill(0);
  const attempt = 12;
  for (let n = 0; n < 5_000; n++) tenths[Math.floor(backoffMs(REDIAL, attempt, random) / 3_000)]++;
  for (const count of tenths) assert(count > 400 && count < 600, `${tenths}`);
});

Deno.test("REDIAL, the published numbers, 0.2 s × 1.6 ≤ 30 s with full jitter", () => {
  assertEquals(REDIAL, { firstMs: 200, factor: 1.6, maxMs: 30_000, jitter: 1 });
  assert(Object.isFrozen(REDIAL));
});

Deno.test("backoffMs, no first wait, never waits however often it was tried", () => {
  for (const attempt of [0, 1, 100, 5_000]) assertEquals(backoffMs({ ...plain, firstMs: 0 }, attempt, always(0.5)), 0);
});
