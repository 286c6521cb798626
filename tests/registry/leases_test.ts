/** What keeps an instance listed though it was not heard, and what does not. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { RpcError } from "../../src/core/error.ts";
import { below } from "../../src/core/platform.ts";
import { LeaseBook, type LeaseBookOptions } from "../../src/registry/lease_book.ts";
import type { Lease } from "../../src/registry/registry.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";
import { instanceOf } from "./instances.ts";

const WORDS = "demo.Words";
const TTL = 15_000;
const BEAT = 5_000;
const SWEEP = 1_000;

function openBook(more: Partial<LeaseBookOptions> = {}): LeaseBook {
  return new LeaseBook({ epoch: "e", random: seededRandom(1), wall: () => 0, historyLimit: 10_000, ...more });
}

function ids(book: LeaseBook, name = WORDS): string[] {
  return book.directory.snapshot(name).instances.map(({ id }) => id);
}

function suspects(book: LeaseBook): readonly string[] {
  return book.directory.snapshot("*").suspects ?? [];
}

/** Who has left, and why, in the order in which they did. */
function departures(book: LeaseBook): string[] {
  return [...book.directory.history(0)].filter(({ after }) => after === undefined)
    .map(({ instanceId, cause }) => `${instanceId} ${cause}`);
}

/** Registers so many, as if they had begun at times of their own. */
function registerMany(book: LeaseBook, count: number, now = 0): Lease[] {
  return Array.from({ length: count }, (_, n) => {
    return book.register(instanceOf(`a${n}`), TTL, now - Math.floor((n * BEAT) / count));
  });
}

/** Sweeps every second until a time, with whatever should happen in between. */
function run(book: LeaseBook, from: number, until: number, between: (now: number) => void = () => {}): void {
  for (let now = from; now <= until; now += SWEEP) {
    between(now);
    book.sweep(now);
    book.expectSweep(now + SWEEP);
  }
}

Deno.test("X22 LeaseBook, the registry stands still for 20 s, every lease lasts 20 s longer and nobody leaves", () => {
  const book = openBook();
  const leases = registerMany(book, 100);
  run(book, 0, 10_000, (now) => leases.forEach((lease, n) => (now / SWEEP + n) % 5 === 0 && book.renew(lease, now)));
  assertEquals(book.stoodStillMs, 0);
  // The sweep of 11 000 comes at 31 000, before any of the renewals that wait.
  assertEquals(book.sweep(31_000).evicted, []);
  assertEquals(book.stoodStillMs, 20_000);
  book.expectSweep(32_000);
  const [a] = leases;
  assertEquals(book.renew(a, 31_001), "renewed");
  // The first that was renewed before it, at 6 000, has until 41 000.
  run(book, 32_000, 40_000);
  assertEquals(book.size, 100, "gone before its time to live and the time lost");
  run(book, 41_000, 31_000 + TTL);
  assertEquals(ids(book), ["a0"]);
});

Deno.test("X22 LeaseBook, a renewal is the first to come after a standstill, the time is added all the same", () => {
  const book = openBook();
  const [a, b] = registerMany(book, 2);
  book.expectSweep(1_000);
  assertEquals(book.renew(a, 61_000), "renewed");
  assertEquals(book.stoodStillMs, 60_000);
  assertEquals(book.sweep(61_500).evicted, []);
  book.expectSweep(62_000);
  run(book, 62_000, 60_000 + TTL - 4_000);
  assertEquals(book.renew(b, 60_000 + TTL - 3_000), "renewed");
});

Deno.test("LeaseBook, no sweep is meant to come, time that passes is no standstill", () => {
  const book = openBook();
  book.expectSweep(1_000);
  book.sweep(1_000);
  book.expectSweep(Infinity);
  book.register(instanceOf("a"), TTL, 3_600_000);
  assertEquals(book.stoodStillMs, 0);
  assertEquals(book.sweep(3_600_000 + TTL).evicted.length, 1);
});

Deno.test("X9 LeaseBook, one of ten is silent, leaves between its time to live and a sweep later", () => {
  for (let offset = 0; offset < SWEEP; offset += 37) {
    const book = openBook({ preserveMs: 300_000 });
    const leases = registerMany(book, 10, offset);
    let left = 0;
    run(book, 0, 40_000, (now) => {
      if (now % BEAT === 0) leases.slice(1).forEach((lease) => book.renew(lease, now));
      if (left === 0 && book.size < 10) left = now - SWEEP;
    });
    assertEquals(departures(book), ["a0 expired"]);
    const lasted = left - offset;
    assert(lasted >= TTL && lasted <= TTL + SWEEP, `left after ${lasted} ms`);
  }
});

Deno.test("X10 LeaseBook, most are cut off at once, stay listed as suspects, leave slowly, and are trusted when they return", () => {
  for (const count of [3, 10, 100, 1_000]) {
    const book = openBook({ preserveMs: 300_000, preservePerMs: TTL });
    const leases = registerMany(book, count);
    const cutOff = leases.slice(0, Math.max(3, Math.floor(0.8 * count)));
    const others = leases.slice(cutOff.length);
    let now = 0;
    const beat = (who: Lease[]) => (at: number) => at % BEAT === 0 && who.forEach((lease) => book.renew(lease, at));
    run(book, now, now = 60_000, beat(others));
    assertEquals(book.isHolding, true, `${count}`);
    const most = 4 * Math.max(1, Math.floor(0.15 * count));
    assert(departures(book).length <= most, `${departures(book).length} of ${count} have left, ${most} may have`);
    assertEquals(suspects(book).length, cutOff.length - departures(book).length);
    assert(ids(book).length > 0, "an empty list");
    // They are back.
    const back = cutOff.filter((lease) => book.holds(lease));
    for (const lease of back) assertEquals(book.renew(lease, now + 500), "renewed");
    run(book, now + SWEEP, now + SWEEP);
    assertEquals([book.isHolding, suspects(book)], [false, []]);
  }
});

Deno.test("X10 LeaseBook, all of a service are cut off for good, the last stays for five minutes and no longer", () => {
  const book = openBook({ preserveMs: 300_000, preservePerMs: TTL });
  registerMany(book, 10);
  run(book, 0, 300_000);
  assert(ids(book).length >= 1, "an empty list within five minutes");
  run(book, 301_000, 10_000 + 300_000 + 2 * SWEEP);
  assertEquals(ids(book), []);
});

Deno.test("LeaseBook, an instance that answers when it is dialled, stays as a suspect, is asked once in a time to live, and five minutes at most", () => {
  const book = openBook({ preserveMs: 300_000, dials: true });
  registerMany(book, 4, 0).slice(1).forEach((lease) => book.deregister(lease, "deregistered", 0));
  const dialled: number[] = [];
  let goneAt = 0;
  for (let now = SWEEP; now <= 400_000 && goneAt === 0; now += SWEEP) {
    const { dial } = book.sweep(now);
    book.expectSweep(now + SWEEP);
    for (const { lease } of dial) {
      dialled.push(now);
      book.answer(lease, true, now + 10);
    }
    if (now >= TTL && book.size > 0) assertEquals(suspects(book), ["a0"], `at ${now}`);
    if (now < TTL) assertEquals(suspects(book), [], `at ${now}`);
    if (book.size === 0) goneAt = now;
  }
  assert(goneAt >= TTL + 300_000 && goneAt <= TTL + 300_000 + SWEEP, `left at ${goneAt}`);
  assert(dialled.length >= 19 && dialled.length <= 21, `${dialled.length} dials in 21 times to live`);
  assertEquals(departures(book).at(-1), "a0 expired");
});

Deno.test("LeaseBook, an instance that does not answer, leaves no later than if nobody had asked", () => {
  for (let offset = 0; offset < SWEEP; offset += 37) {
    const book = openBook({ preserveMs: 300_000, dials: true });
    const lease = book.register(instanceOf("a"), TTL, offset);
    let leftAt = 0;
    let dials = 0;
    for (let now = SWEEP; leftAt === 0; now += SWEEP) {
      const { evicted, dial } = book.sweep(now);
      if (evicted.length > 0) leftAt = now;
      for (const suspect of dial) {
        dials++;
        assertEquals([suspect.lease, suspect.instance.id], [lease, "a"]);
        // Nobody answers within a second.
        if (book.answer(suspect.lease, false, now + 999)) leftAt = now + 999;
      }
    }
    assertEquals(dials, 1);
    const lasted = leftAt - offset;
    assert(lasted >= TTL && lasted <= TTL + SWEEP, `left after ${lasted} ms`);
  }
});

Deno.test("LeaseBook, the answer comes after the lease has run out, the listing ends or stays at once", () => {
  for (const answered of [true, false]) {
    const book = openBook({ preserveMs: 300_000, dials: true });
    const lease = book.register(instanceOf("a"), TTL, 0);
    assertEquals(book.sweep(14_500).dial.length, 1);
    assertEquals(book.sweep(15_500), { evicted: [], dial: [] });
    assertEquals(book.answer(lease, answered, 15_600), !answered);
    assertEquals([book.size, suspects(book).length], answered ? [1, 1] : [0, 0]);
  }
});

Deno.test("LeaseBook, nobody comes to dial an instance, it is doubted while it waits for that", () => {
  const book = openBook({ dials: true, preserveMs: 300_000 });
  const lease = book.register(instanceOf("a"), TTL, 0);
  assertEquals(book.sweep(TTL).dial.length, 1);
  assert(book.isAwaited(lease));
  book.sweep(TTL + 1_000);
  assertEquals(book.directory.snapshot(WORDS).suspects, undefined);
  book.sweep(TTL + 2_000);
  assertEquals(book.directory.snapshot(WORDS).suspects, ["a"]);
  assertEquals(book.answer(lease, false, TTL + 9_000), true);
  assertEquals([ids(book), book.isAwaited(lease)], [[], false]);
  const again = book.register(instanceOf("a"), TTL, 100_000);
  book.sweep(100_000 + TTL);
  book.renew(again, 100_000 + TTL);
  assertEquals(book.isAwaited(again), false);
});

Deno.test("LeaseBook, a renewal or a new registration while somebody dials, the answer says nothing any more", () => {
  const book = openBook({ preserveMs: 300_000, dials: true });
  const lease = book.register(instanceOf("a"), TTL, 0);
  book.sweep(14_500);
  assertEquals(book.renew(lease, 14_600), "renewed");
  assertEquals(book.answer(lease, false, 15_500), false);
  book.sweep(29_000);
  const again = book.register(instanceOf("a"), TTL, 29_100);
  assertEquals(book.answer(lease, false, 29_200), false);
  assertEquals([book.holds(again), suspects(book)], [true, []]);
});

Deno.test("LeaseBook, a suspect that renews or registers again, is trusted again, which those who follow are told", () => {
  for (const again of ["renews", "registers"]) {
    const book = openBook({ preserveMs: 300_000, dials: true });
    const lease = book.register(instanceOf("a"), TTL, 0);
    book.sweep(14_500);
    book.answer(lease, true, 14_600);
    book.sweep(15_500);
    assertEquals(suspects(book), ["a"]);
    if (again === "renews") assertEquals(book.renew(lease, 16_000), "renewed");
    else book.register(instanceOf("a"), TTL, 16_000);
    assertEquals(suspects(book), []);
    const told = book.directory.changesAfter(WORDS, 0)?.changes.map((change) =>
      change.kind === "put" && change.suspect
    );
    assertEquals(told, [undefined, true, undefined]);
  }
});

Deno.test("LeaseBook, evicted, gone with a cause, and may come back; drained, this incarnation stays away", () => {
  const book = openBook();
  const evicted = book.register(instanceOf("a"), TTL, 0);
  assertEquals(book.evict("a", "admin", "ann", 0), true);
  assertEquals(book.renew(evicted, 1), "unknown");
  book.register(instanceOf("a"), TTL, 2);
  const drained = book.register(instanceOf("b", { incarnation: 5 }), TTL, 2);
  assertEquals(book.evict("b", "drained", "ann", 3), true);
  assertEquals(book.renew(drained, 4), "fenced");
  const error = assertThrows(
    () => book.register(instanceOf("b", { incarnation: 5 }), TTL, 5),
    RpcError,
    'Cannot register instance "b" of incarnation 5: it was drained, and must be started anew',
  );
  assertEquals(error.code, "unavailable");
  const anew = book.register(instanceOf("b", { incarnation: 6 }), TTL, 6);
  assertEquals([book.renew(anew, 7), book.renew(drained, 7)], ["renewed", "fenced"]);
  assertEquals([book.evict("nobody", "admin", "ann", 8), departures(book)], [false, ["a admin", "b drained"]]);
  assertEquals([...book.directory.history(0)].map(({ actor }) => actor), ["", "ann", "", "", "ann", ""]);
});

Deno.test("H56 LeaseBook, another owner, can't replace what is listed, also with a newer incarnation; without an owner it can", () => {
  const book = openBook();
  const lease = book.register(instanceOf("a"), TTL, 0, { owner: "red" });
  for (const incarnation of [1, 2]) {
    const theirs = instanceOf("a", { incarnation, endpoints: ["tcp://10.6.6.6:1"] });
    const error = assertThrows(() => book.register(theirs, TTL, 0, { owner: "blue" }), RpcError, "somebody else");
    assertEquals([error.code, error.executed], ["permission_denied", "no"]);
  }
  assertEquals([book.renew(lease, 1), book.ownerOf("a")], ["renewed", "red"]);
  const newer = book.register(instanceOf("a", { incarnation: 2 }), TTL, 2, { owner: "red" });
  assertEquals([book.renew(lease, 3), book.renew(newer, 3)], ["fenced", "renewed"]);
  book.register(instanceOf("a", { incarnation: 3 }), TTL, 4);
  assertEquals(book.ownerOf("a"), "red", "who may replace everybody's does not become its owner");
  book.evict("a", "admin", "", 5);
  book.register(instanceOf("a"), TTL, 6, { owner: "blue" });
  assertEquals(book.ownerOf("a"), "blue");
});

Deno.test("H55 LeaseBook, a quota is full, what goes beyond is refused and what is there is not harmed", () => {
  const quotas = { instances: 3, instancesPerOwner: 2, services: 4, bytes: 2_000 };
  const refused = (book: LeaseBook, differences: Parameters<typeof instanceOf>, what: RegExp, owner?: string) => {
    const error = assertThrows(() => book.register(instanceOf(...differences), TTL, 0, { owner }), RpcError);
    assertEquals(error.code, "resource_exhausted");
    assert(what.test(error.message), error.message);
  };
  const book = openBook({ quotas });
  const red = [1, 2].map((n) => book.register(instanceOf(`r${n}`), TTL, 0, { owner: "red" }));
  refused(book, ["r3"], /3 instances of "red", and the registry takes 2/, "red");
  const blue = book.register(instanceOf("b1", { services: [WORDS, "demo.Two"] }), TTL, 0, { owner: "blue" });
  refused(book, ["b2"], /4 instances, and the registry takes 3/, "blue");
  refused(book, ["b1", { services: ["s.A", "s.B", "s.C"] }], /5 services, and the registry takes 4/, "blue");
  refused(book, ["b1", { metadata: { text: "x".repeat(3_000) } }], /bytes, and the registry takes 2000/, "blue");
  for (const lease of [...red, blue]) assertEquals(book.renew(lease, 1), "renewed");
  assertEquals([book.directory.revision, book.size], [3, 3], "a refusal has left a trace");
  book.register(instanceOf("b1", { services: [WORDS, "demo.Two"] }), TTL, 2, { owner: "blue" });
  book.deregister(red[0], "deregistered", 3);
  book.register(instanceOf("r3"), TTL, 4, { owner: "red" });
});

Deno.test("H55 LeaseBook, services that have yet to be listed, count as well", () => {
  const quotas = { instances: 100, instancesPerOwner: 100, services: 30, bytes: 1e9 };
  const book = openBook({ quotas, changesPerSecond: 10 });
  let refused = 0;
  for (let n = 0; n < 20; n++) {
    // It changes so often that the next change has to wait.
    for (let change = 0; change < 6; change++) book.register(instanceOf(`a${n}`, { version: `${change}` }), TTL, 0);
    const services = Array.from({ length: 10 }, (_, service) => `s.A${n}-${service}`);
    try {
      book.register(instanceOf(`a${n}`, { services }), TTL, 0);
    } catch (error) {
      assertEquals(error instanceof RpcError && error.code, "resource_exhausted");
      refused++;
    }
  }
  assertEquals(refused, 18);
  book.publish(10_000);
  assert(book.directory.serviceCount <= 30, `${book.directory.serviceCount} services`);
});

Deno.test("H55 LeaseBook, large instances change again and again, the history goes less far back and the last change stays", () => {
  const book = openBook({ historyLimit: 1_000, historyBytes: 100_000 });
  const large = (n: number, size: number) => instanceOf("a", { metadata: { n: `${n}`, text: "x".repeat(size) } });
  for (let n = 1; n <= 200; n++) book.register(large(n, 5_000), TTL, n);
  const { directory } = book;
  assert(directory.oldest >= 180 && directory.oldest < 190, `${directory.oldest}`);
  assertEquals([...directory.history(0)].length, 200 - directory.oldest);
  assertEquals(directory.changesAfter(WORDS, directory.oldest)?.changes.length, 200 - directory.oldest);
  assertEquals(directory.changesAfter(WORDS, directory.oldest - 1), undefined);
  assertEquals(directory.at(WORDS, directory.oldest)?.instances[0].metadata.n, `${directory.oldest}`);
  assertEquals(directory.at(WORDS, directory.oldest - 1), undefined);
  // One that is larger than all of it: whoever follows closely is told of it.
  book.register(large(201, 200_000), TTL, 300);
  assertEquals([directory.oldest, directory.changesAfter(WORDS, 200)?.changes.length], [200, 1]);
  for (let n = 202; n <= 2_000; n++) book.register(large(n, 0), TTL, n);
  assert(directory.revision - directory.oldest > 200, "what was forgotten is still counted");
});

Deno.test("H62 LeaseBook, ten thousand wait to be listed, nobody looks at all of them to know when", () => {
  const book = openBook({ changesPerSecond: 10 });
  for (let change = 0; change < 6; change++) {
    for (let n = 0; n < 10_000; n++) book.register(instanceOf(`a${n}`, { version: `${change}` }), TTL, n / 100);
  }
  const revision = book.directory.revision;
  let looks = 0;
  for (let now = book.publishAt; now !== Infinity; now = book.publishAt) {
    book.publish(now);
    looks++;
  }
  assertEquals(book.directory.revision - revision, 10_000);
  assert(looks < 200, `looked ${looks} times`);
});

Deno.test("H55 LeaseBook, what was counted, is what is there, after anything", () => {
  const random = seededRandom(7);
  const quotas = { instances: 8, instancesPerOwner: 4, services: 6, bytes: 1_500 };
  const book = openBook({ quotas, preserveMs: 0 });
  let now = 0;
  for (let n = 0; n < 3_000; n++) {
    now += below(random, 200);
    const id = `a${below(random, 12)}`;
    const owner = ["red", "blue", "green"][below(random, 3)];
    const instance = instanceOf(id, {
      incarnation: below(random, 3),
      services: [`s.A${below(random, 9)}`, `s.B${below(random, 9)}`],
      metadata: { text: "x".repeat(below(random, 150)) },
    });
    if (below(random, 4) > 0) {
      try {
        book.register(instance, 1_000, now, { owner });
      } catch (error) {
        assert(error instanceof RpcError);
      }
    } else if (below(random, 2) === 0) book.evict(id, "admin", "", now);
    else book.sweep(now);
    const { instances } = book.directory.snapshot("*");
    assert(instances.length <= 8 && book.directory.serviceCount <= 6, `operation ${n}`);
  }
  for (const { id } of book.directory.snapshot("*").instances) book.evict(id, "admin", "", now);
  // Nothing is counted any more: all of each quota is free again.
  for (let n = 0; n < 8; n++) book.register(instanceOf(`z${n}`), TTL, now, { owner: n % 2 ? "red" : "blue" });
});

Deno.test("H62 LeaseBook, one instance comes and goes a thousand times a second, ten changes are told in a second", () => {
  const book = openBook({ changesPerSecond: 10 });
  const book2 = book.register(instanceOf("quiet"), TTL, 0);
  let lease: Lease | undefined;
  const perSecond: number[] = [];
  let before = book.directory.revision;
  for (let now = 0; now < 5_000; now++) {
    if (lease === undefined) lease = book.register(instanceOf("flap", { incarnation: now }), TTL, now);
    else {
      book.deregister(lease, "deregistered", now);
      lease = undefined;
    }
    if (book.publishAt <= now) book.publish(now);
    if (now % 1_000 === 999) {
      perSecond.push(book.directory.revision - before);
      before = book.directory.revision;
    }
  }
  assert(perSecond.every((count) => count >= 4 && count <= 10), perSecond.join());
  assertEquals(book.renew(book2, 5_000), "renewed");
  // It comes to rest as it is.
  lease ??= book.register(instanceOf("flap", { incarnation: 9_000 }), TTL, 5_000);
  book.publish(book.publishAt);
  assertEquals(book.directory.snapshot(WORDS).instances.map(({ id, incarnation }) => [id, incarnation])[0], [
    "flap",
    lease.incarnation,
  ]);
  assertEquals(book.publishAt, Infinity);
});

Deno.test("H62 LeaseBook, what comes and goes before anybody was told, is never told", () => {
  const book = openBook({ changesPerSecond: 2 });
  const first = book.register(instanceOf("a"), TTL, 0);
  book.deregister(first, "drained", 1);
  assertEquals([ids(book), book.isLeaving(first), book.holds(first)], [["a"], true, false]);
  book.register(instanceOf("a"), TTL, 2);
  book.publish(book.publishAt);
  assertEquals([ids(book), book.directory.revision, book.isLeaving(first)], [["a"], 1, false]);
});

Deno.test("LeaseBook, what was listed at a revision, as it was then, as far as the history goes", () => {
  const random = seededRandom(3);
  const book = openBook({ historyLimit: 50 });
  const seen = new Map<number, string>();
  const state = (revision: number) =>
    JSON.stringify([WORDS, "demo.Two", "*"].map((name) => {
      const { instances, suspects } = book.directory.at(name, revision)!;
      return [instances, suspects];
    }));
  for (let n = 0; n < 300; n++) {
    const id = `a${below(random, 6)}`;
    if (below(random, 3) > 0) {
      const services = below(random, 2) ? [WORDS] : [WORDS, "demo.Two"];
      book.register(instanceOf(id, { services, weight: below(random, 3) }), TTL, 0);
    } else book.evict(id, "admin", "", 0);
    const { revision, oldest } = book.directory;
    seen.set(revision, state(revision));
    for (let at = oldest; at <= revision; at++) if (seen.has(at)) assertEquals(state(at), seen.get(at), `${at}`);
    assertEquals(book.directory.at("*", oldest - 1), undefined);
    assertEquals(book.directory.at("*", revision + 1), undefined);
  }
});

Deno.test("LeaseBook, goes on behind an earlier life, its revisions rise and its cursors are not continued", () => {
  const book = openBook({ historyLimit: 10 });
  book.directory.restore({ epoch: "before", revision: 12_345 });
  assertEquals(book.directory.changesAfter("*", 12_000), undefined);
  assertEquals(book.directory.changesAfter("*", 12_345), { changes: [], revision: 12_345 });
  for (let n = 1; n <= 25; n++) {
    book.register(instanceOf("a", { weight: n }), TTL, 0);
    assertEquals(book.directory.revision, 12_345 + n);
    assertEquals(book.directory.changesAfter("*", 12_345)?.changes.length, n <= 10 ? n : undefined);
  }
  assertEquals([...book.directory.history(0)].map(({ revision }) => revision).at(0), 12_361);
});
