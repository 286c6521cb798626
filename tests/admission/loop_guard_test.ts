import { assert, assertEquals } from "@std/assert";
import { LoopGuard } from "../../src/admission/loop_guard.ts";

const LOOK_MS = 16;

Deno.test("LoopGuard has no limit as long as the loop is in time", () => {
  const guard = new LoopGuard(10);
  for (let i = 0; i < 1_000; i++) guard.begin();
  for (let look = 1; look < 100; look++) guard.observe(9, LOOK_MS, 10, false, look * LOOK_MS);
  assertEquals([guard.limit, guard.late], [Infinity, false]);
});

Deno.test("LoopGuard finds how many may run where each keeps the loop for 2 ms, and lets more when they are cheaper", () => {
  const guard = new LoopGuard(10);
  const running: number[] = [];
  let now = 0, costMs = 2;
  const limits: number[] = [];
  const seconds = (count: number) => {
    limits.length = 0;
    for (const end = now + count * 1_000; now < end;) {
      while (running.length < 400 && guard.mayBegin()) running.push(guard.begin());
      // All of them are ready in every turn of the loop: it is as late as they take together.
      const turnMs = running.length * costMs;
      const elapsedMs = Math.max(LOOK_MS, turnMs);
      now += elapsedMs;
      guard.observe(Math.max(0, turnMs - 1), elapsedMs, 1, true, now);
      for (const pass of running.splice(0)) guard.end(pass);
      limits.push(guard.limit);
    }
  };
  seconds(30);
  seconds(10);
  assert(Math.max(...limits) <= 16, `up to ${Math.max(...limits)}: ${limits.join(" ")}`);
  costMs = 0.02;
  seconds(20);
  assert(limits.at(-1)! >= 200, `${limits.at(-1)} where 400 would be in time`);
});

Deno.test("LoopGuard lets go when the calls are not what makes the loop late", () => {
  const guard = new LoopGuard(10);
  let now = 0;
  for (let i = 0; i < 200; i++) guard.begin();
  let lowest = Infinity, heldLooks = 0;
  for (let look = 0; look < 600; look++) {
    now += 30;
    while (guard.fresh < 200 && guard.mayBegin()) guard.begin();
    guard.observe(30, 30, 5, false, now);
    lowest = Math.min(lowest, guard.limit);
    if (guard.limit < 200) heldLooks++;
  }
  assert(lowest >= 60, `down to ${lowest} of 200`);
  assert(heldLooks < 100, `calls were held back in ${heldLooks} of 600 looks`);
});

Deno.test("LoopGuard does not hold back a few", () => {
  const guard = new LoopGuard(10);
  for (let i = 0; i < 7; i++) guard.begin();
  for (let look = 1; look < 100; look++) guard.observe(40, 40, 1, false, look * 40);
  assertEquals(guard.limit, Infinity);
});

Deno.test("LoopGuard does not count what has run for a second", () => {
  const guard = new LoopGuard(10);
  guard.observe(0, LOOK_MS, 0, false, 0);
  const passes = Array.from({ length: 1_000 }, () => guard.begin());
  assertEquals(guard.fresh, 1_000);
  guard.observe(0, LOOK_MS, 0, false, 500);
  assertEquals(guard.fresh, 1_000);
  guard.observe(0, LOOK_MS, 0, false, 1_000);
  assertEquals(guard.fresh, 0);
  const late = guard.begin();
  for (const pass of passes) guard.end(pass);
  assertEquals(guard.fresh, 1);
  guard.end(late);
  guard.observe(0, LOOK_MS, 0, false, 60_000);
  assertEquals(guard.fresh, 0);
});

Deno.test("LoopGuard lets calls wait when the loop is late, or calls have run for long where they were read", () => {
  const guard = new LoopGuard(10);
  guard.observe(20, 30, 3, false, 30);
  assert(guard.late);
  guard.observe(2, 16, 3, false, 46);
  assert(!guard.late);
  for (let i = 0; i < 4; i++) guard.spent(2);
  assert(!guard.late);
  guard.spent(2);
  assert(guard.late);
  guard.observe(2, 16, 3, true, 62);
  assert(guard.late, "some still wait");
});

Deno.test("LoopGuard gains nothing by holding back calls that cost next to nothing", () => {
  const guard = new LoopGuard(10);
  guard.observe(20, 30, 30_000, false, 30);
  assert(!guard.late);
  for (let i = 0; i < 100_000; i++) guard.spent(0.001);
  assert(!guard.late);
});
