import { assert, assertEquals, assertGreaterOrEqual, assertLess } from "@std/assert";
import { below, type Clock } from "../../src/core/platform.ts";
import { TimerEntry, Timers } from "../../src/core/timers.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";
import { VirtualClock } from "../../src/testing/virtual_clock.ts";

/** How late an entry may be: one slot. */
const SLOT_MS = 8;

/** An entry that notes when it fired. */
class Noted extends TimerEntry {
  readonly fired: number[] = [];
  readonly #clock: Clock;
  readonly #then: (() => void) | undefined;

  constructor(clock: Clock, then?: () => void) {
    super();
    this.#clock = clock;
    this.#then = then;
  }

  onDue(): void {
    this.fired.push(this.#clock.now());
    this.#then?.();
  }
}

function wheel(): { clock: VirtualClock; timers: Timers } {
  const clock = new VirtualClock();
  return { clock, timers: new Timers(clock) };
}

function assertInTime(entry: Noted, dueAt: number, context = ""): void {
  assertEquals(entry.fired.length, 1, `fired at ${entry.fired} and was due at ${dueAt} ${context}`);
  assertGreaterOrEqual(entry.fired[0], dueAt, `early ${context}`);
  assertLess(entry.fired[0], dueAt + SLOT_MS + 1, `late ${context}`);
}

Deno.test("Timers, entries due at any distance, each fires once, never early and at most a slot late", async () => {
  const { clock, timers } = wheel();
  const dues = [0, 0.5, 1, 7, 8, 9, 15.999, 16, 100, 8191, 8192, 8193, 8200, 16_384, 20_000, 100_000, 3_600_000];
  const entries = dues.map(() => new Noted(clock));
  entries.forEach((entry, n) => timers.add(entry, dues[n]));
  assertEquals(timers.size, dues.length);
  await clock.advance(3_600_100);
  entries.forEach((entry, n) => assertInTime(entry, dues[n]));
  assertEquals([timers.size, clock.timerCount], [0, 0]);
});

Deno.test("Timers, however many entries, one timer of the clock", async () => {
  const { clock, timers } = wheel();
  assertEquals(clock.timerCount, 0);
  for (let n = 0; n < 500; n++) timers.add(new Noted(clock), 1000 - n);
  assertEquals(clock.timerCount, 1);
  await clock.advance(700);
  assertEquals(clock.timerCount, 1);
  timers[Symbol.dispose]();
});

Deno.test("Timers, an entry taken back, never fires", async () => {
  const { clock, timers } = wheel();
  const entries = Array.from({ length: 5 }, () => new Noted(clock));
  // All in one slot, so that the first, the last and one between are taken out of one list.
  for (const entry of entries) timers.add(entry, 50);
  for (const n of [0, 2, 4]) timers.remove(entries[n]);
  timers.remove(entries[0]);
  assertEquals(timers.size, 2);
  await clock.advance(200);
  assertEquals(entries.map((entry) => entry.fired.length), [0, 1, 0, 1, 0]);
  assertEquals(clock.timerCount, 0);
});

Deno.test("Timers, an entry added again, waits for the later time alone", async () => {
  const { clock, timers } = wheel();
  const entry = new Noted(clock);
  timers.add(entry, 50);
  timers.add(entry, 90);
  assertEquals(timers.size, 1);
  await clock.advance(500);
  assertInTime(entry, 90);
  timers.add(entry, 600);
  await clock.advance(500);
  assertEquals(entry.fired.length, 2);
});

Deno.test("Timers, an entry without an end, costs nothing", () => {
  const { clock, timers } = wheel();
  const entry = new Noted(clock);
  timers.add(entry, Infinity);
  assertEquals([timers.size, clock.timerCount, entry.dueAt], [0, 0, Infinity]);
  timers.add(entry, 50);
  timers.add(entry, Infinity);
  assertEquals(timers.size, 0);
  timers[Symbol.dispose]();
  assertEquals(clock.timerCount, 0);
});

Deno.test("Timers, an entry whose time has passed, fires within a slot", async () => {
  const { clock, timers } = wheel();
  await clock.advance(1000);
  const entry = new Noted(clock);
  timers.add(entry, 3);
  await clock.advance(SLOT_MS);
  assertEquals(entry.fired.length, 1);
});

Deno.test("Timers, a sooner entry added later, fires first and in time", async () => {
  const { clock, timers } = wheel();
  const [far, near] = [new Noted(clock), new Noted(clock)];
  timers.add(far, 5_000);
  await clock.advance(100);
  timers.add(near, 200);
  await clock.advance(4_950);
  assertInTime(near, 200);
  assertInTime(far, 5_000);
});

Deno.test("Timers, an entry in the same slot a round later, waits for its own round", async () => {
  const { clock, timers } = wheel();
  const round = 1024 * SLOT_MS;
  const entries = [0, 1, 2, 3].map(() => new Noted(clock));
  entries.forEach((entry, n) => timers.add(entry, 100 + n * round));
  await clock.advance(4 * round);
  entries.forEach((entry, n) => assertInTime(entry, 100 + n * round));
});

Deno.test("Timers, a clock that stood still for many rounds, all that is due fires at once", async () => {
  let now = 0;
  let fire: (() => void) | undefined;
  const clock: Clock = {
    now: () => now,
    wall: () => now,
    timer: (_ms, run) => {
      fire = run;
      return { [Symbol.dispose]: () => fire = undefined };
    },
  };
  const timers = new Timers(clock);
  const entries = Array.from({ length: 50 }, () => new Noted(clock));
  entries.forEach((entry, n) => timers.add(entry, n * 1000));
  now = 1_000_000;
  fire?.();
  await undefined;
  assertEquals(entries.map((entry) => entry.fired.length), Array(50).fill(1));
  timers[Symbol.dispose]();
});

Deno.test("Timers, after, fires once unless it is disposed", async () => {
  const { clock, timers } = wheel();
  const fired: string[] = [];
  timers.after(20, () => fired.push("kept"));
  const dropped = timers.after(20, () => fired.push("dropped"));
  dropped[Symbol.dispose]();
  dropped[Symbol.dispose]();
  await clock.advance(100);
  assertEquals(fired, ["kept"]);
});

Deno.test("Timers, disposed, drops all and holds no timer whatever is added", async () => {
  const { clock, timers } = wheel();
  const entries = [new Noted(clock), new Noted(clock)];
  timers.add(entries[0], 50);
  timers[Symbol.dispose]();
  timers.add(entries[1], 60);
  timers.after(70, () => assert(false, "fired after the wheel was disposed"));
  timers.remove(entries[1]);
  timers[Symbol.dispose]();
  assertEquals([timers.size, clock.timerCount], [0, 0]);
  await clock.advance(200);
  assertEquals(entries.map((entry) => entry.fired), [[], []]);
});

Deno.test("Timers, disposed by an entry that fires, fires no other", async () => {
  const { clock, timers } = wheel();
  const other = new Noted(clock);
  timers.add(other, 50);
  timers.after(50, () => timers[Symbol.dispose]());
  const third = new Noted(clock);
  timers.add(third, 70);
  await clock.advance(500);
  // Which of the two in one slot fires first is open; the third is not.
  assertEquals([third.fired, clock.timerCount, timers.size], [[], 0, 0]);
});

Deno.test("Timers, an entry that takes another of its slot back, the other never fires", async () => {
  const { clock, timers } = wheel();
  const entries: Noted[] = [];
  for (let n = 0; n < 4; n++) {
    entries.push(
      new Noted(clock, () => {
        for (const entry of entries) timers.remove(entry);
      }),
    );
  }
  for (const entry of entries) timers.add(entry, 50);
  await clock.advance(500);
  assertEquals(entries.reduce((sum, entry) => sum + entry.fired.length, 0), 1);
  assertEquals([timers.size, clock.timerCount], [0, 0]);
});

Deno.test("Timers, an entry that adds itself again, keeps a beat", async () => {
  const { clock, timers } = wheel();
  const beat: Noted = new Noted(clock, () => timers.add(beat, clock.now() + 100));
  timers.add(beat, 100);
  await clock.advance(10_000);
  assertGreaterOrEqual(beat.fired.length, 92);
  for (let n = 1; n < beat.fired.length; n++) {
    const waited = beat.fired[n] - beat.fired[n - 1];
    assert(waited >= 100 && waited <= 100 + SLOT_MS, `waited ${waited} ms`);
  }
  timers[Symbol.dispose]();
});

Deno.test("Timers, an entry that adds a later one as it fires, the others still fire in time", async () => {
  const { clock, timers } = wheel();
  const late = new Noted(clock);
  const first = new Noted(clock, () => timers.add(late, 60_000));
  const second = new Noted(clock);
  timers.add(first, 10);
  timers.add(second, 100);
  await clock.advance(70_000);
  assertInTime(first, 10);
  assertInTime(second, 100);
  assertInTime(late, 60_000);
});

/** Random entries that are added, moved and taken back, also by each other as they fire. */
async function disturb(seed: number): Promise<void> {
  const { clock, timers } = wheel();
  const random = seededRandom(seed);
  const spans = [0, 5, 50, 500, 9_000, 40_000];
  const due = new Map<Noted, number>();
  const change = () => {
    const entry = entries[below(random, entries.length)];
    if (below(random, 3) === 0) {
      timers.remove(entry);
      due.delete(entry);
    } else {
      const dueAt = clock.now() + below(random, spans[below(random, spans.length)] + 1);
      timers.add(entry, dueAt);
      due.set(entry, dueAt);
    }
  };
  const entries: Noted[] = Array.from({ length: 30 }, () => {
    const entry: Noted = new Noted(clock, () => {
      const dueAt = due.get(entry);
      assert(dueAt !== undefined, `fired and was not waiting, with seed ${seed}`);
      due.delete(entry);
      const lag = clock.now() - dueAt;
      assert(lag >= 0 && lag <= SLOT_MS, `fired ${lag} ms after its time, with seed ${seed}`);
      if (below(random, 2) === 0) change();
    });
    return entry;
  });
  for (let n = 0; n < 200; n++) {
    change();
    assertEquals(timers.size, due.size, `with seed ${seed}`);
    await clock.advance(below(random, spans[below(random, spans.length)] + 1));
  }
  await clock.advance(100_000);
  timers[Symbol.dispose]();
  assertEquals([timers.size, clock.timerCount], [0, 0]);
}

Deno.test("Timers, random entries that are added, moved and taken back, each fires in time", async () => {
  for (let seed = 1; seed <= 10; seed++) await disturb(seed);
});
