import { assert, assertEquals } from "@std/assert";
import { Admission } from "../../src/admission/admission.ts";
import { type AdmissionOptions, checkAdmission } from "../../src/admission/options.ts";
import { Caller, type Place, type Rank } from "../../src/admission/wait_queue.ts";
import type { Waiter } from "../../src/admission/admission.ts";

/** The bookkeeping with plain numbers for the time; calls are told apart by their names. */
class Desk {
  readonly admission: Admission;
  now = 0;
  /** What became of the calls, in order. */
  readonly log: string[] = [];
  readonly places = new Map<string, Place<Waiter>>();
  readonly #callers = new Map<string, Caller>();
  readonly #passes = new Map<string, number>();
  #lookAt = 16;

  constructor(options?: AdmissionOptions) {
    this.admission = new Admission(checkAdmission(options));
  }

  /** A call comes; its first letter is its caller. */
  come(
    name: string,
    { rank = 1, leftMs = 10_000, bytes = 0 }: { rank?: Rank; leftMs?: number; bytes?: number } = {},
  ): string {
    const caller = this.#callers.get(name[0]) ?? new Caller(name[0]);
    this.#callers.set(name[0], caller);
    const verdict = this.admission.decide(caller, rank, leftMs, bytes, this.now);
    if (verdict === "run") {
      this.#passes.set(name, this.admission.begin());
      return "runs";
    }
    if (verdict === "wait") {
      const waiter: Waiter = {
        proceed: () => {
          this.#passes.set(name, this.admission.begin());
          this.log.push(name);
        },
        refused: ({ cause }) => void this.log.push(`${name} ${cause}`),
      };
      this.places.set(name, this.admission.wait(waiter, caller, rank, leftMs, bytes, this.now));
      return "waits";
    }
    return verdict.cause;
  }

  /** A call ends, and whose turn it is then runs. */
  end(name: string): void {
    this.admission.end(this.#passes.get(name)!);
    this.turns();
  }

  turns(count = Infinity): void {
    for (let i = 0; i < count; i++) {
      const next = this.admission.next(this.now);
      if (next === undefined) return;
      next.proceed();
    }
  }

  /** Time passes, and the event loop is looked at every 16 ms. */
  pass(ms: number, lagMs = 0): void {
    const end = this.now + ms;
    for (; this.#lookAt <= end; this.#lookAt += 16) this.admission.observe(lagMs, this.now = this.#lookAt);
    this.now = end;
  }

  takeLog(): string[] {
    return this.log.splice(0);
  }
}

const names = (caller: string, count: number) => Array.from({ length: count }, (_, i) => `${caller}${i}`);

Deno.test("Admission runs what is below the limit, lets the next wait, and runs them in order", () => {
  const desk = new Desk({ limit: 2 });
  assertEquals(["a1", "a2", "a3", "a4"].map((name) => desk.come(name)), ["runs", "runs", "waits", "waits"]);
  assertEquals([desk.admission.running, desk.admission.waiting], [2, 2]);
  desk.turns();
  assertEquals(desk.takeLog(), []);
  desk.end("a1");
  assertEquals(desk.takeLog(), ["a3"]);
  desk.end("a2");
  desk.end("a3");
  assertEquals(desk.takeLog(), ["a4"]);
  desk.end("a4");
  assertEquals(desk.come("a5"), "runs");
});

Deno.test("Admission lets nobody overtake one who waits", () => {
  const desk = new Desk({ limit: 1 });
  desk.come("a1");
  desk.come("b1");
  desk.admission.end(1);
  assertEquals(desk.come("c1"), "waits");
  desk.turns();
  assertEquals(desk.takeLog(), ["b1"]);
});

Deno.test("Admission without a limit runs everything at once, as long as the event loop is in time", () => {
  const desk = new Desk();
  for (const name of names("a", 5_000)) assertEquals(desk.come(name), "runs");
  desk.pass(160);
  assertEquals(desk.come("b1"), "runs");
  desk.pass(16, 50);
  assertEquals(desk.come("b2"), "waits");
});

Deno.test("Admission takes no more to wait than may, and tells that the queue is full", () => {
  const desk = new Desk({ limit: 1, maxWaiting: 3 });
  assertEquals(names("a", 6).map((name) => desk.come(name)), ["runs", "waits", "waits", "waits", "full", "full"]);
  assertEquals(desk.admission.stats().refused.full, 2);
});

Deno.test("Admission lets no more bytes wait than may: what is more is refused, or runs where nothing limits how many do", () => {
  const limited = new Desk({ limit: 1, maxWaitingBytes: 1_000 });
  const sizes = [5_000, 600, 500, 400];
  const came = (desk: Desk) => sizes.map((bytes, i) => desk.come(`a${i}`, { bytes }));
  assertEquals(came(limited), ["runs", "waits", "full", "waits"]);
  limited.end("a0");
  assertEquals(limited.come("a9", { bytes: 600 }), "waits");

  const free = new Desk({ maxWaitingBytes: 1_000 });
  free.pass(16, 50);
  assertEquals(came(free), ["runs", "waits", "runs", "waits"]);
});

Deno.test("Admission makes room for one who has nothing waiting at the cost of him who has most", () => {
  const desk = new Desk({ limit: 1, maxWaiting: 3 });
  names("a", 4).forEach((name) => desk.come(name));
  assertEquals(desk.come("b1"), "waits");
  assertEquals(desk.takeLog(), ["a3 full"]);
  assertEquals(desk.come("a5"), "full");
  desk.end("a0");
  desk.end("a1");
  assertEquals(desk.takeLog(), ["a1", "b1"]);
});

Deno.test("Admission sheds what matters least first, and runs what matters most first", () => {
  const desk = new Desk({ limit: 1, maxWaiting: 4 });
  desk.come("a0");
  for (const name of ["a1", "a2"]) desk.come(name, { rank: 0 });
  for (const name of ["b1", "b2"]) desk.come(name, { rank: 1 });
  assertEquals(desk.come("c1", { rank: 2 }), "waits");
  assertEquals(desk.come("c2", { rank: 2 }), "waits");
  assertEquals(desk.come("a3", { rank: 0 }), "full");
  assertEquals(desk.takeLog(), ["a2 full", "a1 full"]);
  assertEquals(desk.come("c3", { rank: 2 }), "waits");
  assertEquals(desk.takeLog(), ["b2 full"]);
  for (const name of ["a0", "c1", "c2", "c3"]) desk.end(name);
  assertEquals(desk.takeLog(), ["c1", "c2", "c3", "b1"]);
});

/** A desk with one place, a call on it every 10 ms, and nobody waiting any more. */
function steady(options: AdmissionOptions = {}): Desk {
  const desk = new Desk({ limit: 1, targetMs: Infinity, ...options });
  desk.come("x0");
  for (const name of names("x", 40).slice(1)) desk.come(name, { leftMs: 1e9 });
  for (const name of names("x", 30)) {
    desk.pass(10);
    desk.end(name);
  }
  desk.takeLog();
  return desk;
}

Deno.test("Admission refuses at once whose turn would come too late, by the pace of those before", () => {
  const desk = steady();
  assertEquals(desk.admission.waiting, 9);
  // Nine wait, each takes 10 ms: some 90 ms, of which a call gives half of its time at most.
  assertEquals(desk.come("x91", { leftMs: 140 }), "tooLate");
  assertEquals(desk.come("x92", { leftMs: 260 }), "waits");
  assertEquals(desk.come("x93", { leftMs: Infinity }), "waits");
  // Another caller has his turn after one of them.
  assertEquals(desk.come("y1", { leftMs: 60 }), "waits");
  assertEquals(desk.admission.stats().refused.tooLate, 1);
});

Deno.test("Admission lets a call wait no longer than maxWaitMs, however much time it has", () => {
  const desk = steady({ maxWaitMs: 400 });
  const became = names("x9", 60).map((name) => desk.come(name, { leftMs: Infinity }));
  const taken = became.indexOf("tooLate");
  assertEquals(new Set(became.slice(taken)), new Set(["tooLate"]));
  assert(Math.abs(taken + 9 - 40) <= 5, `${taken + 9} wait, each for 10 ms`);
});

Deno.test("Admission never runs a call that has waited for half of its time", () => {
  const desk = new Desk({ limit: 1, targetMs: Infinity });
  desk.come("a0");
  desk.come("b1", { leftMs: 100 });
  desk.come("c1", { leftMs: 1_000 });
  assertEquals(desk.places.get("b1")!.until, 50);
  desk.pass(50);
  desk.end("a0");
  assertEquals(desk.takeLog(), ["b1 tooLate", "c1"]);
});

Deno.test("Admission keeps a queue that never gets empty short, and runs the newest of a caller first", () => {
  const desk = new Desk({ limit: 1 });
  const waited = new Map<string, number>();
  let running = "a0", number = 1;
  desk.come(running);
  const counts = new Map<string, number>();
  // One call each 5 ms, a place for one each 10 ms.
  for (let step = 0; step < 400; step++) {
    desk.pass(5);
    const name = `a${number++}`;
    const became = desk.come(name);
    if (became === "waits") waited.set(name, desk.now);
    counts.set(became, (counts.get(became) ?? 0) + 1);
    if (step % 2 === 1) {
      desk.end(running);
      for (const line of desk.takeLog()) {
        const [who, cause] = line.split(" ");
        if (cause !== undefined) {
          counts.set(cause, (counts.get(cause) ?? 0) + 1);
          continue;
        }
        running = who;
        // Until the queue has not been empty for 100 ms anybody waits; then for twice the pace at most.
        const ms = desk.now - waited.get(who)!;
        assert(ms <= (desk.now < 200 ? 120 : 25), `${who} waited ${ms} ms, at ${desk.now}`);
      }
    }
  }
  const { refused } = desk.admission.stats();
  assert(refused.overloaded >= 180 && refused.overloaded <= 210, `${refused.overloaded} of 400 were refused`);
  assertEquals(refused.full + refused.tooLate, 0);
  assert(desk.admission.waiting <= 5);
});

Deno.test("Admission forgets the overload when the queue has been empty for a while", () => {
  const desk = new Desk({ limit: 1 });
  names("a", 30).forEach((name) => desk.come(name));
  desk.pass(1_050);
  // He has had nothing yet, and keeps one.
  assertEquals(desk.takeLog().length, 28);
  // Too much came a moment ago: no queue is built up again.
  assert(names("b", 20).map((name) => desk.come(name)).includes("overloaded"));
  desk.pass(2_000);
  desk.end("a0");
  for (const name of desk.takeLog()) if (!name.includes(" ")) desk.end(name);
  assertEquals(desk.admission.waiting, 0);
  desk.pass(200);
  desk.come("a0");
  // A burst that one can wait for is taken again.
  assertEquals(names("c", 20).map((name) => desk.come(name)), Array(20).fill("waits"));
});

Deno.test("Admission gives others their turns beside one who calls ten times as often", () => {
  const desk = new Desk({ limit: 4, targetMs: Infinity });
  const started: Record<string, number> = { greedy: 0, modest: 0 };
  const came = new Map<string, number>();
  const waits: number[] = [];
  let serial = 0;
  const running: { name: string; ends: number }[] = [];
  const note = (name: string) => {
    running.push({ name, ends: desk.now + 8 });
    started[name[0] === "g" ? "greedy" : "modest"]++;
    if (name[0] !== "g") waits.push(desk.now - came.get(name)!);
  };
  // 500 calls a second can run; the greedy one makes 1 000, nine others 30 each.
  for (let ms = 0; ms < 5_000; ms++) {
    desk.pass(1);
    const arrivals = [`g${serial++}`];
    for (const [i, caller] of [..."abcdefhij"].entries()) {
      if ((ms + i * 3) % 33 === 0) arrivals.push(`${caller}${serial++}`);
    }
    for (const name of arrivals) {
      came.set(name, desk.now);
      if (desk.come(name, { leftMs: 500 }) === "runs") note(name);
    }
    while (running.length > 0 && running[0].ends <= desk.now) {
      desk.end(running.shift()!.name);
      for (const line of desk.takeLog()) if (!line.includes(" ")) note(line);
    }
  }
  waits.sort((a, b) => a - b);
  const p99 = waits[Math.floor(waits.length * 0.99)];
  assertEquals(started.modest >= 1_350, true, `${started.modest} of 1 363 calls of the others ran`);
  assert(p99 <= 12, `the others waited ${p99} ms`);
  assert(started.greedy >= 1_000, `the greedy one got the rest: ${started.greedy}`);
});

Deno.test("Admission does not tell all whom it refuses to come back at the same time", () => {
  const desk = new Desk();
  const times = new Set(names("a", 16).map(() => desk.admission.retryAfterMs()));
  assertEquals(times.size, 16);
  assert(Math.min(...times) >= 100 && Math.max(...times) <= 200, [...times].join(" "));
});

Deno.test("Admission lets a call that was withdrawn go, and its place with it", () => {
  const desk = new Desk({ limit: 1, maxWaiting: 2 });
  ["a0", "a1", "a2"].forEach((name) => desk.come(name));
  desk.admission.withdraw(desk.places.get("a1")!);
  assertEquals(desk.come("a3"), "waits");
  desk.end("a0");
  desk.end("a2");
  assertEquals(desk.takeLog(), ["a2", "a3"]);
  desk.admission.withdraw(desk.places.get("a3")!);
  assertEquals(desk.admission.waiting, 0);
});

Deno.test("Admission refuses everything while memory is short, and then nothing", () => {
  const desk = new Desk();
  desk.admission.shortOfMemory = true;
  assertEquals(desk.come("a1"), "memory");
  desk.admission.shortOfMemory = false;
  assertEquals(desk.come("a2"), "runs");
});
