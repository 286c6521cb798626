import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { Observations } from "../../src/balancer/observations.ts";

Deno.test("observations, nothing seen, nothing known", () => {
  const seen = new Observations();
  assertEquals([seen.latencyAt(0), seen.errorShareAt(1e9)], [0, 0]);
});

Deno.test("observations, a longer reply, is followed at once, shorter ones slowly", () => {
  const seen = new Observations();
  seen.replied(10, false, 0);
  assertEquals(seen.latencyAt(0), 10);
  seen.replied(500, false, 100);
  assertEquals(seen.latencyAt(100), 500);
  seen.replied(10, false, 200);
  assertAlmostEquals(seen.latencyAt(200), 10 + 490 * Math.exp(-0.01), 1e-9);
  for (let at = 300; at <= 50_000; at += 100) seen.replied(10, false, at);
  assertAlmostEquals(seen.latencyAt(50_000), 10, 5);
});

Deno.test("observations, nobody calls, what was seen is forgotten, two thirds in ten seconds", () => {
  const seen = new Observations();
  seen.replied(300, true, 0);
  const before = seen.errorShareAt(0);
  assertAlmostEquals(seen.latencyAt(10_000), 300 / Math.E, 1e-9);
  assertAlmostEquals(seen.errorShareAt(10_000), before / Math.E, 1e-9);
  assert(seen.latencyAt(100_000) < 0.1);
});

Deno.test("observations, a share of the calls fails, about that share is seen, at any rate of calls", () => {
  for (const gapMs of [0.1, 1, 10, 100, 1_000]) {
    const seen = new Observations();
    for (let n = 0; n < 100_000 / Math.sqrt(gapMs); n++) seen.replied(5, n % 4 === 0, n * gapMs);
    const last = Math.ceil(100_000 / Math.sqrt(gapMs)) * gapMs;
    const share = seen.errorShareAt(last);
    assert(share > 0.2 && share < 0.3, `${share} of every fourth, each ${gapMs} ms`);
  }
});

Deno.test("observations, the very first call fails, it does not condemn; all fail, it does", () => {
  const seen = new Observations();
  seen.replied(5, true, 1_000);
  assertAlmostEquals(seen.errorShareAt(1_000), 1 - 1 / Math.E, 1e-9);
  for (let at = 1_000; at < 60_000; at += 1_000) seen.replied(5, true, at);
  assert(seen.errorShareAt(60_000) > 0.9);
});

Deno.test("observations, calls that fail fast, don't make it look quick", () => {
  const seen = new Observations();
  seen.replied(100, false, 0);
  for (let at = 1; at < 1_000; at++) seen.replied(0.1, true, at);
  assertEquals(seen.latencyAt(999), 100 * 1);
});

Deno.test("observations, somebody gave up waiting, it takes at least that long and no failure is seen", () => {
  const seen = new Observations();
  seen.replied(100, true, 0);
  const share = seen.errorShareAt(5_000);
  seen.waited(50, 5_000);
  assertAlmostEquals(seen.latencyAt(5_000), 100 * Math.exp(-0.5), 1e-9);
  seen.waited(3_000, 5_000);
  assertEquals(seen.latencyAt(5_000), 3_000);
  assertAlmostEquals(seen.errorShareAt(5_000), share, 1e-9);
});

Deno.test("observations, a clock that goes back, stays finite", () => {
  const seen = new Observations();
  seen.replied(100, false, 1_000);
  seen.replied(50, true, 0);
  for (const value of [seen.latencyAt(-1e9), seen.errorShareAt(-1e9)]) assert(Number.isFinite(value) && value <= 100);
});
