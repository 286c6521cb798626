import { assert, assertEquals, assertRejects } from "@std/assert";
import { MAX_TIMER_MS } from "../../src/core/platform.ts";
import { VirtualClock, virtualPlatform } from "../../src/testing/virtual_clock.ts";

Deno.test("VirtualClock, nobody advances it, stands still", async () => {
  const clock = new VirtualClock();
  clock.timer(0, () => assert(false, "a timer fired by itself"));
  const [now, wall] = [clock.now(), clock.wall()];
  await clock.settle();
  assertEquals([clock.now(), clock.wall()], [now, wall]);
});

Deno.test("VirtualClock, timers, fire in the order of due times, then of setting", async () => {
  const clock = new VirtualClock();
  const fired: string[] = [];
  const add = (ms: number, name: string) => clock.timer(ms, () => fired.push(`${name} at ${clock.now()}`));
  add(20, "c");
  add(10, "a");
  add(20, "d");
  add(10, "b");
  add(30, "e");
  add(-5, "first");
  add(NaN, "second");
  await clock.advance(29);
  assertEquals(fired, ["first at 0", "second at 0", "a at 10", "b at 10", "c at 20", "d at 20"]);
  assertEquals([clock.now(), clock.timerCount, clock.nextAt], [29, 1, 30]);
  await clock.advance(1);
  assertEquals(fired.at(-1), "e at 30");
  assertEquals([clock.timerCount, clock.nextAt], [0, Infinity]);
});

Deno.test("VirtualClock, a timer that sets another, both fire in one advance", async () => {
  const clock = new VirtualClock();
  const fired: number[] = [];
  const beat = () => {
    fired.push(clock.now());
    clock.timer(5, beat);
  };
  clock.timer(5, beat);
  await clock.advance(22);
  assertEquals(fired, [5, 10, 15, 20]);
});

Deno.test("VirtualClock, long chains of promises and turns, settle between timers", async () => {
  const platform = virtualPlatform(1);
  const log: string[] = [];
  platform.clock.timer(1, async () => {
    for (let i = 0; i < 1000; i++) await undefined;
    log.push("promises");
    for (let i = 0; i < 10; i++) await platform.turn();
    log.push(`turns at ${platform.clock.now()}`);
  });
  platform.clock.timer(2, () => void log.push("next timer"));
  await platform.clock.advance(2);
  assertEquals(log, ["promises", "turns at 1", "next timer"]);
});

Deno.test("VirtualClock, a timer set in what settles, fires within the same advance", async () => {
  const clock = new VirtualClock();
  const log: number[] = [];
  void Promise.resolve().then(() => clock.timer(3, () => log.push(clock.now())));
  await clock.advance(3);
  assertEquals(log, [3]);
});

Deno.test("VirtualClock, a disposed timer, never fires", async () => {
  const clock = new VirtualClock();
  const fired: string[] = [];
  const first = clock.timer(1, () => void fired.push("first"));
  const second = clock.timer(2, () => void fired.push("second"));
  clock.timer(1, () => second[Symbol.dispose]());
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  await clock.advance(10);
  assertEquals(fired, []);
  assertEquals(clock.timerCount, 0);
});

Deno.test("VirtualClock, a timer longer than the runtime's can be, fires as early as there", async () => {
  const clock = new VirtualClock();
  let at = -1;
  clock.timer(Infinity, () => at = clock.now());
  await clock.advance(2 * MAX_TIMER_MS);
  assertEquals(at, MAX_TIMER_MS);
});

Deno.test("VirtualClock, a timer that throws, rejects the advance and leaves the others", async () => {
  const clock = new VirtualClock();
  let fired = false;
  clock.timer(1, () => {
    throw new Error("broken timer");
  });
  clock.timer(2, () => fired = true);
  await assertRejects(() => clock.advance(5), Error, "broken timer");
  await clock.advance(5);
  assert(fired);
});

Deno.test("VirtualClock, time passes, the wall clock goes with it in whole milliseconds", async () => {
  const clock = new VirtualClock();
  const wall = clock.wall();
  await clock.advance(1500.5);
  assertEquals(clock.wall() - wall, 1500);
});

Deno.test("virtualPlatform, nobody advances it, a turn resolves all the same", async () => {
  const platform = virtualPlatform(1);
  let microtasks = 0;
  const turned = platform.turn();
  for (let i = 0; i < 100; i++) {
    await undefined;
    microtasks++;
  }
  await turned;
  assertEquals([microtasks, platform.clock.now()], [100, 0]);
});

Deno.test("virtualPlatform, the same seed, the same chance", () => {
  const draw = (seed: number) => {
    const { random } = virtualPlatform(seed);
    return Array.from({ length: 5 }, () => random.u32());
  };
  assertEquals(draw(3), draw(3));
  assert(draw(3).join() !== draw(4).join());
});
