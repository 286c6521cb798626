import { assertEquals } from "@std/assert";
import { Timers } from "../../src/core/timers.ts";
import { Deadlines, type Due } from "../../src/connection/deadlines.ts";
import { VirtualClock } from "../../src/testing/virtual_clock.ts";

/** How late the wheel may be. */
const SLOT_MS = 8;

class Call implements Due {
  firedAt: number | undefined;

  constructor(public dueAt: number, readonly clock: VirtualClock) {}

  onDue(): void {
    this.firedAt = this.clock.now();
    this.dueAt = Infinity;
  }
}

function setUp() {
  const clock = new VirtualClock();
  const timers = new Timers(clock);
  const calls: Call[] = [];
  const deadlines = new Deadlines(timers, () => [...calls]);
  const add = (dueAt: number) => {
    const call = new Call(dueAt, clock);
    calls.push(call);
    deadlines.expect(dueAt);
    return call;
  };
  return { clock, timers, deadlines, add };
}

Deno.test("Deadlines tells each call in its time, whichever came first", async () => {
  const { clock, timers, add } = setUp();
  const calls = [500, 20, 10_000, 499, 21, Infinity].map(add);
  assertEquals(timers.size, 1);
  await clock.advance(30);
  assertEquals(calls.map(({ firedAt }) => firedAt !== undefined), [false, true, false, false, true, false]);
  await clock.advance(500);
  assertEquals(calls.map(({ firedAt }) => firedAt !== undefined), [true, true, false, true, true, false]);
  await clock.advance(10_000);
  for (const { firedAt } of [calls[0], calls[2], calls[3]]) assertEquals(firedAt !== undefined, true);
  assertEquals([calls[2].firedAt! >= 10_000, calls[2].firedAt! <= 10_000 + 2 * SLOT_MS], [true, true]);
  assertEquals([timers.size, clock.timerCount], [0, 0]);
});

Deno.test("Deadlines looks once in a time-out at calls that end before it, and forgets none that comes later", async () => {
  const { clock, timers, add } = setUp();
  for (let round = 0; round < 100; round++) {
    const call = add(clock.now() + 1_000);
    await clock.advance(5);
    call.dueAt = Infinity; // it has ended
  }
  const last = add(clock.now() + 1_000);
  assertEquals(timers.size, 1);
  await clock.advance(1_000 + 2 * SLOT_MS);
  assertEquals(last.firedAt !== undefined, true);
  assertEquals(timers.size, 0);
});

Deno.test("Deadlines, what is due tells of a new call while it is told", async () => {
  const { clock, deadlines, add } = setUp();
  let second: Call | undefined;
  const first = add(10);
  first.onDue = () => {
    first.dueAt = Infinity;
    second = add(clock.now() + 10);
  };
  await clock.advance(18);
  assertEquals([second !== undefined, second?.firedAt], [true, undefined]);
  await clock.advance(20);
  assertEquals(second?.firedAt !== undefined, true);
  deadlines.stop();
});
