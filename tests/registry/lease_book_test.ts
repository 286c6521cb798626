import { assert, assertEquals, assertLess, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import { RpcError } from "../../src/core/error.ts";
import { below } from "../../src/core/platform.ts";
import type { Instance } from "../../src/registry/instance.ts";
import type { BookChange } from "../../src/registry/directory.ts";
import { LeaseBook, type LeaseBookOptions } from "../../src/registry/lease_book.ts";
import type { Change, Lease } from "../../src/registry/registry.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";
import { instanceOf } from "./instances.ts";

const WORDS = "demo.Words";
const NUMBERS = "demo.Numbers";

const WALL = 1_700_000_000_000;

function openBook(more: Partial<LeaseBookOptions> = {}) {
  return new LeaseBook({ epoch: "e1", random: seededRandom(1), wall: () => WALL, historyLimit: 100, ...more });
}

/** Sweeps, and gives the ids of those whose leases that ended. */
function swept(book: LeaseBook, now: number): string[] {
  return book.sweep(now).evicted.map((instance) => instance.id);
}

function idsIn(book: LeaseBook, name: string): string[] {
  return book.directory.snapshot(name).instances.map((instance) => instance.id);
}

/** What was told, in short: `+a` and `-a expired`. */
function told(changes: readonly Change[] | undefined): string[] | undefined {
  return changes?.map((c) => c.kind === "put" ? `+${c.instance.id}` : `-${c.instanceId} ${c.cause}`);
}

Deno.test("LeaseBook, a lease, lasts until its time is over and not a moment less", () => {
  const book = openBook();
  book.register(instanceOf("a"), 1000, 500);
  assertEquals(swept(book, 1499.999), []);
  assertEquals(idsIn(book, WORDS), ["a"]);
  assertEquals(swept(book, 1500), ["a"]);
  assertEquals([book.size, idsIn(book, WORDS), idsIn(book, "*")], [0, [], []]);
});

Deno.test("LeaseBook, a renewal, starts the time anew", () => {
  const book = openBook();
  const lease = book.register(instanceOf("a"), 1000, 0);
  assertEquals(book.renew(lease, 900), "renewed");
  assertEquals(swept(book, 1899), []);
  assertEquals(book.renew(lease, 1899), "renewed");
  assertEquals(swept(book, 2898), []);
  assertEquals(swept(book, 2899).length, 1);
});

Deno.test("LeaseBook, a renewal that is late but before the sweep, in time", () => {
  const book = openBook();
  const lease = book.register(instanceOf("a"), 1000, 0);
  assertEquals(book.renew(lease, 60_000), "renewed");
  assertEquals(swept(book, 60_001), []);
});

Deno.test("LeaseBook, a lease that has ended, unknown and harmless", () => {
  const book = openBook();
  const lease = book.register(instanceOf("a"), 1000, 0);
  assertEquals(book.deregister(lease, "drained", 0), true);
  const { revision } = book.directory;
  assertEquals(book.deregister(lease, "drained", 0), false);
  assertEquals(book.renew(lease, 1), "unknown");
  assertEquals(swept(book, 1e9), []);
  assertEquals(book.directory.revision, revision);
});

Deno.test("LeaseBook, a newer incarnation, replaces and fences the older", () => {
  const book = openBook();
  const older = book.register(instanceOf("a", { incarnation: 1 }), 1000, 0);
  const newer = book.register(instanceOf("a", { incarnation: 2 }), 5000, 0);
  assertEquals(book.renew(older, 1), "fenced");
  assertEquals(book.deregister(older, "deregistered", 0), false);
  assertEquals(swept(book, 2000), [], "the older's time to live has nothing to say any more");
  assertEquals(book.renew(newer, 2000), "renewed");
  assertEquals(book.directory.snapshot(WORDS).instances.map(({ incarnation }) => incarnation), [2]);
});

Deno.test("LeaseBook, an older incarnation, refused without a trace", () => {
  const book = openBook();
  const newer = book.register(instanceOf("a", { incarnation: 7, version: "new" }), 1000, 0);
  const { revision } = book.directory;
  const error = assertThrows(
    () => book.register(instanceOf("a", { incarnation: 5, services: [NUMBERS] }), 99_000, 500),
    RpcError,
    'Cannot register instance "a" of incarnation 5: incarnation 7 of it is listed, which is newer',
  );
  assertEquals([error.code, error.executed], ["unavailable", "no"]);
  assertEquals([book.directory.revision, idsIn(book, NUMBERS)], [revision, []]);
  assertEquals(book.renew(newer, 1), "renewed");
});

Deno.test("LeaseBook, an incarnation of which the newer one has gone, may register", () => {
  const book = openBook();
  book.deregister(book.register(instanceOf("a", { incarnation: 7 }), 1000, 0), "deregistered", 0);
  assertEquals(book.register(instanceOf("a", { incarnation: 5 }), 1000, 0).incarnation, 5);
});

Deno.test("LeaseBook, the same incarnation again, ends the first lease", () => {
  const book = openBook();
  const first = book.register(instanceOf("a"), 1000, 0);
  const second = book.register(instanceOf("a"), 1000, 900);
  assertEquals([book.renew(first, 901), book.renew(second, 901)], ["unknown", "renewed"]);
});

Deno.test("H56 LeaseBook, somebody else's lease with another token, neither renewed nor ended", () => {
  const book = openBook();
  const lease = book.register(instanceOf("a"), 1000, 0);
  for (const token of ["", lease.token.toUpperCase(), lease.token.slice(1), `${lease.token} `]) {
    const forged = { ...lease, token };
    if (token === lease.token) continue;
    assertEquals(book.renew(forged, 999), "unknown");
    assertEquals(book.deregister(forged, "admin", 0), false);
  }
  assertEquals(swept(book, 1000).length, 1, "a forged renewal has prolonged the lease");
});

Deno.test("LeaseBook, tokens, 128 bits of chance each", () => {
  const book = openBook();
  const tokens = Array.from({ length: 100 }, (_, n) => book.register(instanceOf(`a${n % 3}`), 1000, 0).token);
  for (const token of tokens) assertMatch(token, /^[\da-f]{32}$/);
  assertEquals(new Set(tokens.map((token) => token.slice(0, 8))).size, 100);
  assertEquals(new Set(tokens.map((token) => token.slice(24))).size, 100);
});

Deno.test("LeaseBook, the same content again, no change", () => {
  const book = openBook();
  const listed = instanceOf("a", { services: [WORDS, NUMBERS], metadata: { x: "1", y: "2" } });
  book.register(listed, 1000, 0);
  book.register(instanceOf("a", { services: [WORDS, NUMBERS], metadata: { y: "2", x: "1" } }), 1000, 0);
  assertEquals(book.directory.revision, 1);
  assertStrictEquals(book.directory.snapshot(WORDS).instances[0], listed);
});

Deno.test("LeaseBook, content that differs in one member, a change", () => {
  const differences: Partial<Instance>[] = [
    { incarnation: 2 },
    { endpoints: ["tcp://10.0.0.7:4001"] },
    { endpoints: ["tcp://10.0.0.7:4000", "tcp://10.0.0.7:4001"] },
    { services: [WORDS, NUMBERS] },
    { zone: "north" },
    { weight: 0 },
    { version: "2" },
    { metadata: { x: "2" } },
    { metadata: { y: "1" } },
    { metadata: { "x": "1", "": "" } },
  ];
  for (const difference of differences) {
    const book = openBook();
    book.register(instanceOf("a", { metadata: { x: "1" } }), 1000, 0);
    const changed = instanceOf("a", { metadata: { x: "1" }, ...difference });
    book.register(changed, 1000, 0);
    assertEquals(book.directory.revision, 2, JSON.stringify(difference));
    assertStrictEquals(book.directory.snapshot(WORDS).instances[0], changed);
  }
});

Deno.test("LeaseBook, an instance that gives up a service, removed from it and put under the others", () => {
  const book = openBook();
  book.register(instanceOf("a", { services: [WORDS, NUMBERS] }), 1000, 0);
  book.register(instanceOf("a", { services: [NUMBERS, "demo.Third"] }), 1000, 0);
  assertEquals([idsIn(book, WORDS), idsIn(book, NUMBERS), idsIn(book, "demo.Third")], [[], ["a"], ["a"]]);
  assertEquals(told(book.directory.changesAfter(WORDS, 0)?.changes), ["+a", "-a deregistered"]);
  assertEquals(told(book.directory.changesAfter(NUMBERS, 0)?.changes), ["+a", "+a"]);
  assertEquals(told(book.directory.changesAfter("demo.Third", 0)?.changes), ["+a"]);
  assertEquals(told(book.directory.changesAfter("*", 0)?.changes), ["+a", "+a"]);
});

Deno.test("LeaseBook, a newer incarnation that gives up a service, fenced there", () => {
  const book = openBook();
  book.register(instanceOf("a", { services: [WORDS, NUMBERS] }), 1000, 0);
  book.register(instanceOf("a", { incarnation: 2, services: [NUMBERS] }), 1000, 0);
  assertEquals(told(book.directory.changesAfter(WORDS, 0)?.changes), ["+a", "-a fenced"]);
});

Deno.test("LeaseBook, every cause, told to those who follow", () => {
  const book = openBook();
  for (const cause of ["deregistered", "drained", "admin"] as const) {
    book.deregister(book.register(instanceOf(cause), 1000, 0), cause, 0);
  }
  book.register(instanceOf("late"), 1000, 0);
  book.sweep(1000);
  const removals = told(book.directory.changesAfter(WORDS, 0)?.changes)?.filter((text) => text.startsWith("-"));
  assertEquals(removals, ["-deregistered deregistered", "-drained drained", "-admin admin", "-late expired"]);
});

Deno.test("LeaseBook, a cursor, gives what came after it until the history has forgotten", () => {
  const book = openBook({ historyLimit: 5 });
  assertEquals(book.directory.changesAfter("*", 0), { changes: [], revision: 0 });
  for (let n = 1; n <= 12; n++) {
    book.register(instanceOf(`a${n}`), 1000, 0);
    const oldest = Math.max(0, n - 5);
    for (let after = 0; after <= n; after++) {
      const ids = Array.from({ length: n - after }, (_, i) => `+a${after + i + 1}`);
      assertEquals(
        told(book.directory.changesAfter("*", after)?.changes),
        after < oldest ? undefined : ids,
        `${after} of ${n}`,
      );
    }
  }
});

Deno.test("LeaseBook, a cursor that no book can have given, not continued", () => {
  const book = openBook();
  book.register(instanceOf("a"), 1000, 0);
  for (const after of [-1, 2, 0.5, NaN, Infinity, -Infinity, 2 ** 53]) {
    assertEquals(book.directory.changesAfter("*", after), undefined, `${after}`);
  }
});

Deno.test("LeaseBook, more than 1 000 changes, not told as changes any more", () => {
  const book = openBook({ historyLimit: 10_000 });
  for (let n = 0; n < 2_000; n++) book.register(instanceOf(`a${n}`, { services: [n % 2 ? WORDS : NUMBERS] }), 1000, 0);
  const { directory } = book;
  assertEquals(directory.changesAfter("*", 999), undefined);
  assertEquals(directory.changesAfter("*", 1_000)?.changes.length, 1_000);
  assertEquals([directory.changesAfter(WORDS, 0)?.changes.length, directory.changesAfter(WORDS, 0)?.revision], [
    1_000,
    2_000,
  ]);
});

Deno.test("LeaseBook, more than 1 MiB of changes, not told as changes any more", () => {
  const book = openBook({ historyLimit: 10_000 });
  const metadata = { text: "x".repeat(8_000) };
  for (let n = 0; n < 300; n++) book.register(instanceOf(`a${n}`, { metadata }), 1000, 0);
  const { directory } = book;
  assertEquals(directory.changesAfter("*", 100), undefined);
  assertEquals(directory.changesAfter("*", 190)?.changes.length, 110);
});

Deno.test("LeaseBook, a snapshot, in the order of ids and never changed afterwards", () => {
  const book = openBook();
  for (const id of ["b", "c", "B", "a10", "a2", "__proto__", "ä"]) book.register(instanceOf(id), 1000, 0);
  const before = book.directory.snapshot(WORDS);
  const ids = before.instances.map((instance) => instance.id);
  assertEquals(ids, ["B", "__proto__", "a10", "a2", "b", "c", "ä"]);
  assertStrictEquals(
    book.directory.snapshot(WORDS).instances,
    before.instances,
    "made anew though nothing has changed",
  );
  book.register(instanceOf("d"), 1000, 0);
  assertEquals(before.instances.map((instance) => instance.id), ids);
  assertEquals([before.revision, book.directory.snapshot(WORDS).instances.length], [7, 8]);
});

Deno.test("LeaseBook, services, counted while somebody offers them", () => {
  const book = openBook();
  assertEquals([book.size, book.directory.serviceCount], [0, 0]);
  const a = book.register(instanceOf("a", { services: [WORDS, NUMBERS] }), 1000, 0);
  book.register(instanceOf("b", { services: [WORDS, WORDS] }), 1000, 0);
  assertEquals([book.size, book.directory.serviceCount], [2, 2]);
  book.deregister(a, "deregistered", 0);
  assertEquals([book.size, book.directory.serviceCount], [1, 1]);
  book.sweep(1000);
  assertEquals([book.size, book.directory.serviceCount], [0, 0]);
});

Deno.test("H38 LeaseBook, names of prototypes, like any others", () => {
  const book = openBook();
  for (const odd of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
    assertEquals([idsIn(book, odd), told(book.directory.changesAfter(odd, book.directory.revision)?.changes)], [
      [],
      [],
    ]);
    const lease: Lease = { instanceId: odd, incarnation: 0, token: "", ttlMs: 1 };
    assertEquals([book.renew(lease, 0), book.deregister(lease, "admin", 0)], ["unknown", false]);
    const own = book.register(instanceOf(odd, { services: [odd] }), 1000, 0);
    assertEquals(idsIn(book, odd), [odd]);
    book.deregister(own, "deregistered", 0);
    assertEquals(idsIn(book, odd), []);
  }
});

/** Runs random operations on a book beside a plain model of it, and compares them after each. */
function compareWithModel(seed: number, operations: number): void {
  const random = seededRandom(seed);
  const pick = <T>(list: readonly T[]): T => list[below(random, list.length)];
  const services = [WORDS, NUMBERS, "demo.Third"];
  const names = [...services, "*"];
  const recorded: BookChange[] = [];
  const historyLimit = 1 + below(random, 30);
  const book = openBook({ random, historyLimit, onChange: (change) => recorded.push(change) });
  const model = new Map<string, { instance: Instance; token: string; renewedAt: number; ttlMs: number }>();
  const leases: Lease[] = [];
  // Followers that take what is new now and then, each under one name.
  const followers = names.flatMap((name) =>
    [1, 2, 3].map(() => ({ name, at: 0, listed: new Map<string, Instance>() }))
  );
  const listedUnder = (name: string) =>
    [...model.values()].map((held) => held.instance)
      .filter((instance) => name === "*" || instance.services.includes(name))
      .sort((a, b) => a.id < b.id ? -1 : 1);
  let now = 0;

  for (let n = 0; n < operations; n++) {
    const context = `operation ${n} of seed ${seed}`;
    now += pick([0, 1, 50, 400]);
    const revision = book.directory.revision;
    const action = below(random, 10);
    if (action < 4) {
      const instance = instanceOf(pick(["a", "b", "c", "d", "e"]), {
        incarnation: below(random, 4),
        services: services.filter(() => random.u32() % 2 === 0),
        weight: below(random, 2),
      });
      const ttlMs = 100 + below(random, 1000);
      const held = model.get(instance.id);
      if (held !== undefined && held.instance.incarnation > instance.incarnation) {
        assertThrows(() => book.register(instance, ttlMs, now), RpcError, "is newer");
      } else {
        const lease = book.register(instance, ttlMs, now);
        leases.push(lease);
        model.set(instance.id, { instance, token: lease.token, renewedAt: now, ttlMs });
      }
    } else if (action < 7 && leases.length > 0) {
      const lease = pick(leases);
      const held = model.get(lease.instanceId);
      const expected = held?.token === lease.token
        ? "renewed"
        : held !== undefined && held.instance.incarnation > lease.incarnation
        ? "fenced"
        : "unknown";
      assertEquals(book.renew(lease, now), expected, context);
      if (expected === "renewed") held!.renewedAt = now;
    } else if (action < 8 && leases.length > 0) {
      const lease = pick(leases);
      const owned = model.get(lease.instanceId)?.token === lease.token;
      assertEquals(book.deregister(lease, "drained", 0), owned, context);
      if (owned) model.delete(lease.instanceId);
    } else {
      const due = [...model].filter(([, held]) => now - held.renewedAt >= held.ttlMs).map(([id]) => id);
      const evicted = swept(book, now);
      assertEquals(evicted.toSorted(), due.toSorted(), `evicted before its time, or not at all, in ${context}`);
      for (const id of due) model.delete(id);
    }

    assertEquals(
      recorded.slice(revision).map((change) => change.revision),
      range(revision + 1, book.directory.revision),
      context,
    );
    for (const name of names) {
      assertEquals(book.directory.snapshot(name).instances, listedUnder(name), `${name} in ${context}`);
    }
    for (const follower of followers) {
      if (below(random, 4) > 0) continue;
      const batch = book.directory.changesAfter(follower.name, follower.at);
      if (batch === undefined) {
        assertLess(follower.at, book.directory.revision - historyLimit, `forgotten too soon in ${context}`);
        follower.listed = new Map(
          book.directory.snapshot(follower.name).instances.map((instance) => [instance.id, instance]),
        );
      } else {
        for (const change of batch.changes) {
          if (change.kind === "put") follower.listed.set(change.instance.id, change.instance);
          else assert(follower.listed.delete(change.instanceId), `removed twice in ${context}`);
        }
      }
      follower.at = book.directory.revision;
      const listed = [...follower.listed.values()].sort((a, b) => a.id < b.id ? -1 : 1);
      assertEquals(listed, listedUnder(follower.name), `a follower of ${follower.name} in ${context}`);
    }
  }
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, n) => from + n);
}

Deno.test("LeaseBook, random operations beside a model, the same leases, listings and replays", () => {
  for (let seed = 1; seed <= 30; seed++) compareWithModel(seed, 200);
});
