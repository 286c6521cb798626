import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { RpcError } from "../../src/core/error.ts";
import { below, type Clock, type Platform } from "../../src/core/platform.ts";
import type { Instance } from "../../src/registry/instance.ts";
import { MemoryRegistry, type MemoryRegistryOptions } from "../../src/registry/memory_registry.ts";
import type { Lease, RemovalCause, WatchEvent, WatchOptions } from "../../src/registry/registry.ts";
import { follow } from "../../src/testing/follower.ts";
import { registryContract } from "../../src/testing/registry_contract.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";
import { type VirtualClock, virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { instanceOf } from "./instances.ts";

const WORDS = "demo.Words";
const NUMBERS = "demo.Numbers";

interface Subject {
  readonly clock: VirtualClock;
  readonly registry: MemoryRegistry;
}

function openRegistry(options: MemoryRegistryOptions = {}): Subject {
  const platform = virtualPlatform(1);
  return { clock: platform.clock, registry: new MemoryRegistry({ platform, ...options }) };
}

function iterate(registry: MemoryRegistry, service = WORDS, options?: WatchOptions): AsyncIterator<WatchEvent> {
  return registry.watch(service, options)[Symbol.asyncIterator]();
}

/** What an event says, in short: its kind, its revision, and whom it concerns. */
function short(event: IteratorResult<WatchEvent>): string {
  if (event.done) return "end";
  const { kind, revision } = event.value;
  const parts = event.value.kind === "snapshot"
    ? event.value.instances.map((instance) => instance.id)
    : event.value.changes.map((c) => c.kind === "put" ? `+${c.instance.id}` : `-${c.instanceId} ${c.cause}`);
  return [`${kind} ${revision}:`, ...parts].join(" ");
}

/** Whether a promise has not settled, once everything else has run dry. */
async function isPending(promise: Promise<unknown>, clock: VirtualClock): Promise<boolean> {
  let settled = false;
  promise.then(() => settled = true, () => settled = true);
  await clock.settle();
  return !settled;
}

const contract = registryContract("memory", () => Promise.resolve(openRegistry()), {
  expire: ({ clock }, lease) => clock.advance(lease.ttlMs + 1_000),
  knowsOwners: true,
  watcherCount: ({ registry }) => registry.watcherCount,
});
for (const { name, run } of contract) Deno.test(name, run);

Deno.test("MemoryRegistry, nobody renews, removed between the time to live and one sweep later", async () => {
  for (const ttlMs of [500, 999, 1_000, 15_000, 15_001]) {
    const { clock, registry } = openRegistry();
    await clock.advance(333.3);
    await registry.register(instanceOf("a"), { ttlMs });
    await clock.advance(ttlMs - 1);
    assertEquals((await registry.lookup(WORDS)).instances.length, 1, `gone before ${ttlMs} ms`);
    await clock.advance(1_001);
    assertEquals((await registry.lookup(WORDS)).instances.length, 0, `there one sweep after ${ttlMs} ms`);
    await registry.close();
  }
});

Deno.test("MemoryRegistry, time to live as it was set, by default 15 s", async () => {
  const { registry } = openRegistry();
  assertEquals((await registry.register(instanceOf("a"))).ttlMs, 15_000);
  assertEquals((await registry.register(instanceOf("a"), { ttlMs: 40 })).ttlMs, 40);
  await registry.close();
  const { registry: other } = openRegistry({ ttlMs: 7_000 });
  assertEquals((await other.register(instanceOf("a"))).ttlMs, 7_000);
  await other.close();
});

Deno.test("MemoryRegistry, renewed every 5 s for an hour, stays", async () => {
  const { clock, registry } = openRegistry();
  const lease = await registry.register(instanceOf("a"));
  for (let n = 0; n < 720; n++) {
    await clock.advance(5_000);
    assertEquals(await registry.renew(lease), "renewed");
  }
  assertEquals((await registry.lookup(WORDS)).revision, 1);
  await registry.close();
});

Deno.test("MemoryRegistry, renewed without a promise, says at once what became of the lease", async () => {
  const { clock, registry } = openRegistry();
  const lease = await registry.register(instanceOf("a"));
  await clock.advance(14_000);
  assertEquals(registry.renewNow(lease, 7), "renewed");
  assertEquals(registry.inspect(WORDS).map(({ leftMs, load }) => [leftMs, load]), [[15_000, 7]]);
  assertEquals(registry.renewNow({ ...lease, token: "another" }), "unknown");
  await registry.close();
  assertThrows(() => registry.renewNow(lease), RpcError, "Cannot renew a lease: the registry is closed");
});

Deno.test("X18 MemoryRegistry, the wall clock jumps by ten years either way, no lease ends", async () => {
  const platform = virtualPlatform(1);
  let wall = 0;
  const clock: Clock = {
    now: () => platform.clock.now(),
    wall: () => wall,
    timer: (ms, fire) => platform.clock.timer(ms, fire),
  };
  await using registry = new MemoryRegistry({ platform: { ...platform, clock } });
  await registry.register(instanceOf("a"));
  for (const years of [10, -10]) {
    wall += years * 365 * 86_400_000;
    await platform.clock.advance(7_000);
    assertEquals((await registry.lookup(WORDS)).instances.length, 1);
  }
});

Deno.test("MemoryRegistry, a timer, only while something is registered and only one", async () => {
  const { clock, registry } = openRegistry();
  assertEquals(clock.timerCount, 0);
  const a = await registry.register(instanceOf("a"));
  await registry.register(instanceOf("b"), { ttlMs: 3_000 });
  await registry.lookup(WORDS);
  assertEquals(clock.timerCount, 1);
  await clock.advance(2_500);
  await registry.register(instanceOf("c"), { ttlMs: 100 });
  assertEquals(clock.timerCount, 1);
  await clock.advance(2_500);
  assertEquals([clock.timerCount, registry.instanceCount], [1, 1]);
  await registry.deregister(a);
  assertEquals([clock.timerCount, registry.instanceCount], [0, 0]);
  await registry.register(instanceOf("d"));
  await clock.advance(60_000);
  assertEquals([clock.timerCount, registry.instanceCount], [0, 0]);
  await registry.register(instanceOf("e"));
  await registry.close();
  assertEquals(clock.timerCount, 0);
});

Deno.test("MemoryRegistry watch, changes of one turn, come as one event", async () => {
  const { clock, registry } = openRegistry();
  const watch = iterate(registry);
  assertEquals(short(await watch.next()), "snapshot 0:");
  const next = watch.next();
  assert(await isPending(next, clock));
  const registered = [instanceOf("a"), instanceOf("b"), instanceOf("c")].map((each) => registry.register(each));
  assertEquals(short(await next), "changes 3: +a +b +c");
  await registry.deregister(await registered[1], "drained");
  assertEquals(short(await watch.next()), "changes 4: -b drained");
  await registry.close();
});

Deno.test("MemoryRegistry watch, changes under other names, wake nobody and cost no place in the history", async () => {
  const { clock, registry } = openRegistry({ historyLimit: 10 });
  const watch = iterate(registry);
  await watch.next();
  const next = watch.next();
  for (let n = 0; n < 4; n++) await registry.register(instanceOf(`n${n}`, { services: [NUMBERS] }));
  assert(await isPending(next, clock));
  await registry.register(instanceOf("a"));
  assertEquals(short(await next), "changes 5: +a");
  for (let n = 0; n < 40; n++) await registry.register(instanceOf(`m${n}`, { services: [NUMBERS] }));
  await registry.register(instanceOf("b"));
  assertEquals(short(await watch.next()), "changes 46: +b");
  await registry.close();
});

Deno.test("MemoryRegistry watch, nothing under its name, is told how far it may resume each half history", async () => {
  const { clock, registry } = openRegistry({ historyLimit: 10 });
  const watch = iterate(registry);
  await watch.next();
  const next = watch.next();
  const other = (n: number) => registry.register(instanceOf(`n${n}`, { services: [NUMBERS] }));
  for (let n = 0; n < 4; n++) await other(n);
  assert(await isPending(next, clock));
  await other(4);
  assertEquals(short(await next), "changes 5:");
  for (let n = 5; n < 14; n++) await other(n);
  assertEquals(short(await watch.next()), "changes 10:");
  const { epoch } = await registry.lookup(WORDS);
  const resumed = iterate(registry, WORDS, { after: { epoch, revision: 10 } });
  assertEquals(short(await resumed.next()), "changes 14:");
  await registry.close();
});

Deno.test("MemoryRegistry watch, a reader that the history has passed by, starts afresh with a snapshot", async () => {
  const { registry } = openRegistry({ historyLimit: 5 });
  const watch = iterate(registry);
  assertEquals(short(await watch.next()), "snapshot 0:");
  for (let n = 0; n < 5; n++) await registry.register(instanceOf(`a${n}`));
  assertEquals(short(await watch.next()), "changes 5: +a0 +a1 +a2 +a3 +a4");
  for (let n = 0; n < 6; n++) await registry.register(instanceOf(`a${n % 3}`, { weight: 10 + n }));
  assertEquals(short(await watch.next()), "snapshot 11: a0 a1 a2 a3 a4");
  await registry.register(instanceOf("b"));
  assertEquals(short(await watch.next()), "changes 12: +b");
  await registry.close();
});

Deno.test("H60 MemoryRegistry watch, watchers that never read, hold nothing and harm nobody", async () => {
  const { registry } = openRegistry({ historyLimit: 50, changesPerSecond: 1_000 });
  const stuck = Array.from({ length: 1_000 }, (_, n) => iterate(registry, n % 2 ? WORDS : "*"));
  for (const watch of stuck) await watch.next();
  await using reader = follow(registry, WORDS);
  await reader.begin();
  for (let n = 0; n < 200; n++) {
    await registry.register(instanceOf(`a${n % 10}`, { weight: n }));
    await reader.until(`weight ${n}`, () => reader.listed.get(`a${n % 10}`)?.weight === n);
  }
  assertEquals([reader.snapshots, reader.changes.length], [1, 200]);
  for (const watch of stuck) assertMatch(short(await watch.next()), /^snapshot 200: a0 a1 a2 .* a9$/);
  await registry.close();
});

Deno.test("MemoryRegistry watch, a reader that is 1 000 changes behind, is told of each; one that is more, starts afresh", async () => {
  const { clock, registry } = openRegistry();
  const watch = iterate(registry);
  await watch.next();
  for (let n = 0; n < 1_000; n++) await registry.register(instanceOf(`a${n}`));
  for (let n = 0; n < 500; n++) await registry.register(instanceOf(`elsewhere${n}`, { services: [NUMBERS] }));
  const { value } = await watch.next();
  assertEquals([value.kind, value.revision, value.changes.length], ["changes", 1_500, 1_000]);
  const next = watch.next();
  assert(await isPending(next, clock));
  await registry.register(instanceOf("a0", { weight: 3 }));
  assertEquals(short(await next), "changes 1501: +a0");
  for (let n = 0; n < 1_001; n++) await registry.register(instanceOf(`a${n}`, { weight: 2 }));
  const { value: last } = await watch.next();
  assertEquals([last.kind, last.revision, last.instances.length], ["snapshot", 2_502, 1_001]);
  await registry.close();
});

Deno.test("MemoryRegistry watch, a cursor that nothing has come after, is told so at once", async () => {
  const { clock, registry } = openRegistry();
  await registry.register(instanceOf("a"));
  const after = await registry.lookup(WORDS);
  await registry.register(instanceOf("n", { services: [NUMBERS] }));
  const watch = iterate(registry, WORDS, { after });
  assertEquals(short(await watch.next()), "changes 2:");
  const next = watch.next();
  assert(await isPending(next, clock));
  await registry.register(instanceOf("b"));
  assertEquals(short(await next), "changes 3: +b");
  await registry.close();
});

Deno.test("MemoryRegistry watch, a cursor of another registry or from before the history, starts with a snapshot", async () => {
  const { registry } = openRegistry({ historyLimit: 2 });
  const { epoch } = await registry.lookup(WORDS);
  for (const id of ["a", "b", "c"]) await registry.register(instanceOf(id));
  for (
    const after of [{ epoch, revision: 0 }, { epoch, revision: 4 }, { epoch, revision: NaN }, {
      epoch: "",
      revision: 3,
    }]
  ) {
    assertEquals(short(await iterate(registry, WORDS, { after }).next()), "snapshot 3: a b c");
  }
  assertEquals(short(await iterate(registry, WORDS, { after: { epoch, revision: 1 } }).next()), "changes 3: +b +c");
  await registry.close();
});

Deno.test("MemoryRegistry, every life of it, an epoch of its own", async () => {
  const epochs = [];
  for (let seed = 0; seed < 20; seed++) {
    epochs.push((await new MemoryRegistry({ platform: virtualPlatform(seed) }).lookup("*")).epoch);
  }
  assertEquals(new Set(epochs).size, 20);
});

Deno.test("MemoryRegistry watch, two next() at once, the second says what is wrong and the first goes on", async () => {
  const { registry } = openRegistry();
  const watch = iterate(registry);
  await watch.next();
  const first = watch.next();
  await assertRejects(() => watch.next(), TypeError, 'Cannot read the watch of "demo.Words"');
  await registry.register(instanceOf("a"));
  assertEquals(short(await first), "changes 1: +a");
  const third = watch.next();
  await registry.close();
  assertEquals(short(await third), "end");
});

Deno.test("MemoryRegistry watch, two loops over one, each from its own beginning", async () => {
  const { registry } = openRegistry();
  const events = registry.watch(WORDS);
  const one = events[Symbol.asyncIterator]();
  assertEquals(short(await one.next()), "snapshot 0:");
  await registry.register(instanceOf("a"));
  const other = events[Symbol.asyncIterator]();
  assertEquals(short(await other.next()), "snapshot 1: a");
  assertEquals(short(await one.next()), "changes 1: +a");
  assertEquals(registry.watcherCount, 2);
  await one.return?.();
  assertEquals(registry.watcherCount, 1);
  await registry.close();
});

Deno.test("MemoryRegistry watch, counted from the first next() to whatever ends it", async () => {
  const { clock, registry } = openRegistry();
  const lazy = iterate(registry);
  assertEquals(registry.watcherCount, 0);
  await lazy.next();
  assertEquals(registry.watcherCount, 1);
  await lazy.return?.();
  await lazy.return?.();
  assertEquals(registry.watcherCount, 0);

  const unread = iterate(registry);
  await unread.return?.();
  assertEquals([short(await unread.next()), registry.watcherCount], ["end", 0]);

  const aborting = new AbortController();
  const waiting = [WORDS, WORDS, "*"].map(async (service) => {
    for await (const _event of registry.watch(service, { signal: aborting.signal }));
  });
  await clock.settle();
  assertEquals(registry.watcherCount, 3);
  aborting.abort();
  await Promise.all(waiting);
  assertEquals(registry.watcherCount, 0);

  await assertRejects(
    async () => {
      for await (const _event of registry.watch(WORDS)) throw new Error("a reader that throws");
    },
    Error,
    "a reader that throws",
  );
  assertEquals(registry.watcherCount, 0);
  await registry.close();
});

Deno.test("MemoryRegistry watch, its end, takes its listener from the signal", async () => {
  const { registry } = openRegistry();
  let listeners = 0;
  const signal = Object.assign(new AbortController().signal, {
    addEventListener: () => void listeners++,
    removeEventListener: () => void listeners--,
  });
  const watch = iterate(registry, WORDS, { signal });
  await watch.next();
  assertEquals(listeners, 1);
  await watch.return?.();
  assertEquals(listeners, 0);
  await registry.close();
});

Deno.test("MemoryRegistry watch, aborted with changes untold, ends and tells no more", async () => {
  const { registry } = openRegistry();
  const aborting = new AbortController();
  const watch = iterate(registry, WORDS, { signal: aborting.signal });
  await watch.next();
  await registry.register(instanceOf("a"));
  aborting.abort();
  assertEquals(short(await watch.next()), "end");
  await registry.close();
});

Deno.test("MemoryRegistry, after close, every call says so and every watch has ended", async () => {
  const { clock, registry } = openRegistry();
  const lease = await registry.register(instanceOf("a"));
  const loops = Array.from({ length: 10 }, async () => {
    let events = 0;
    for await (const _event of registry.watch("*")) events++;
    return events;
  });
  await clock.settle();
  assertEquals(registry.watcherCount, 10);
  await registry.close();
  assertEquals(await Promise.all(loops), Array(10).fill(1));
  assertEquals([registry.watcherCount, clock.timerCount], [0, 0]);
  const calls: [string, () => Promise<unknown>][] = [
    ["register an instance", () => registry.register(instanceOf("b"))],
    ["renew a lease", () => registry.renew(lease)],
    ["deregister an instance", () => registry.deregister(lease)],
    ["look up a service", () => registry.lookup(WORDS)],
    ['watch "demo.Words"', () => iterate(registry).next()],
  ];
  for (const [what, call] of calls) {
    const error = await assertRejects(call, RpcError, `Cannot ${what}: the registry is closed`);
    assertEquals([error.code, error.executed], ["unavailable", "no"]);
  }
  await registry.close();
});

Deno.test("MemoryRegistry, closed before a watcher has acknowledged a removal, that is not taken for proof", async () => {
  const { registry } = openRegistry();
  const lease = await registry.register(instanceOf("a"));
  const watch = iterate(registry);
  await watch.next();
  await registry.deregister(lease);
  const proof = registry.settled(lease);
  await registry.close();
  const error = await assertRejects(() => proof, RpcError, "the registry was closed before they had");
  assertEquals(error.code, "unavailable");
});

Deno.test("MemoryRegistry, a signal that has aborted, rejects with cancelled and its reason", async () => {
  const { registry } = openRegistry();
  const lease = await registry.register(instanceOf("a"));
  const reason = new Error("no longer wanted");
  const signal = AbortSignal.abort(reason);
  for (
    const call of [
      () => registry.register(instanceOf("b"), { signal }),
      () => registry.renew(lease, { signal }),
      () => registry.lookup(WORDS, { signal }),
    ]
  ) {
    const error = await assertRejects(call, RpcError, "the signal has aborted");
    assertEquals([error.code, error.cause], ["cancelled", reason]);
  }
  assertEquals(registry.instanceCount, 1);
  await registry.close();
});

Deno.test("MemoryRegistry, misuse, says the name, the value and the range", async () => {
  const { registry } = openRegistry();
  for (const ttlMs of [0, -1, 0.5, NaN, Infinity, 86_400_001]) {
    await assertRejects(() => registry.register(instanceOf("a"), { ttlMs }), RangeError, `ttlMs ${ttlMs}: it must be`);
  }
  assertEquals(registry.instanceCount, 0);
  assertThrows(() => registry.watch("no name"), TypeError, '"no name"');
  const lease = await registry.register(instanceOf("b"));
  const cause = "bored" as RemovalCause;
  await assertRejects(() => registry.deregister(lease, cause), TypeError, "there is no cause bored");
  assertEquals(registry.instanceCount, 1);
  await assertRejects(() => registry.lookup(""), TypeError, '""');
  for (
    const [name, value] of [["ttlMs", 0], ["sweepMs", 0], ["sweepMs", 60_001], ["historyLimit", 0], [
      "historyLimit",
      1.5,
    ]]
  ) {
    assertThrows(() => new MemoryRegistry({ [name]: value }), RangeError, `${name} ${value}`);
  }
  const misspelt: object = { ttl: 5 };
  assertThrows(() => new MemoryRegistry(misspelt), TypeError, '"ttl"');
  await registry.close();
});

Deno.test("MemoryRegistry, a logger, told who comes, why who goes, and by whom", async () => {
  const lines: string[] = [];
  const log = (level: string) => (message: string) => lines.push(`${level} ${message}`);
  const logger = { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
  const { clock, registry } = openRegistry({ logger });
  await registry.register(instanceOf("a"), { ttlMs: 500, owner: "team", actor: "team at tcp://10.0.0.7:5000" });
  await registry.deregister(await registry.register(instanceOf("b")), "drained");
  await clock.advance(1_500);
  assertEquals(lines, [
    'info Listed instance "a" of incarnation 1 at tcp://10.0.0.7:4000 (revision 1, by "team at tcp://10.0.0.7:5000")',
    'info Listed instance "b" of incarnation 1 at tcp://10.0.0.7:4000 (revision 2)',
    'info Removed instance "b" of incarnation 1 at tcp://10.0.0.7:4000: drained (revision 3)',
    'info Removed instance "a" of incarnation 1 at tcp://10.0.0.7:4000: expired (revision 4, by "center")',
  ]);
  await registry.close();
});

Deno.test("MemoryRegistry, the runtime's own platform, keeps no timer behind", async () => {
  await using registry = new MemoryRegistry();
  const lease = await registry.register(instanceOf("a"));
  assertEquals(await registry.renew(lease), "renewed");
  assertEquals((await registry.lookup(WORDS)).instances.length, 1);
});

Deno.test("H55 MemoryRegistry, 10,000 instances come, each told once, and half of them expire at once", async () => {
  const { clock, registry } = openRegistry({ historyLimit: 30_000 });
  await using watch = follow(registry, "*");
  await watch.begin();
  const leases = [];
  for (let n = 0; n < 10_000; n++) {
    leases.push(await registry.register(instanceOf(`a${n}`)));
    if (n % 1_000 === 999) await watch.until("all so far", () => watch.listed.size === n + 1);
  }
  assertEquals([watch.snapshots, watch.changes.length], [1, 10_000]);
  await clock.advance(10_000);
  for (const lease of leases.slice(0, 5_000)) assertEquals(await registry.renew(lease), "renewed");
  await clock.advance(6_000);
  await watch.until("half", () => watch.listed.size === 5_000);
  assertEquals([watch.snapshots, registry.instanceCount], [2, 5_000]);
  await registry.close();
});

/** Random operations on a registry in virtual time, with watchers that come, read, resume and go. */
async function disturb(seed: number): Promise<void> {
  const random = seededRandom(seed);
  const pick = <T>(list: readonly T[]): T => list[below(random, list.length)];
  const platform: Platform & { clock: VirtualClock } = virtualPlatform(seed);
  const { clock } = platform;
  const registry = new MemoryRegistry({ platform, historyLimit: 1 + below(random, 40), ttlMs: 3_000 });
  const names = [WORDS, NUMBERS, "*"];
  let followers: { name: string; follower: ReturnType<typeof follow> }[] = [];
  const leases: Lease[] = [];
  const renewedAt = new Map<string, number>();

  const operations: (() => Promise<void>)[] = [
    async () => {
      const differences: Partial<Instance> = {
        incarnation: below(random, 3),
        services: pick([[WORDS], [NUMBERS], [WORDS, NUMBERS]]),
        version: pick(["1", "2"]),
      };
      const lease = await registry.register(instanceOf(pick(["a", "b", "c", "d"]), differences)).catch((error) => {
        assertEquals(error.code, "unavailable");
      });
      if (lease) leases.push(lease);
      if (lease) renewedAt.set(lease.token, clock.now());
    },
    async () => {
      const lease = leases.length > 0 ? pick(leases) : undefined;
      if (lease === undefined) return;
      const live = clock.now() < renewedAt.get(lease.token)! + lease.ttlMs;
      const { instances } = await registry.lookup("*");
      const newest = leases.findLast((other) => other.instanceId === lease.instanceId) === lease;
      const ended = deregistered.has(lease.token);
      if (live && newest && !ended) {
        assert(instances.some((each) => each.id === lease.instanceId), "evicted before its time");
      }
      const result = await registry.renew(lease);
      if (live && newest && !ended) assertEquals(result, "renewed", "forgotten before its time");
      if (result === "renewed") renewedAt.set(lease.token, clock.now());
    },
    async () => {
      if (leases.length === 0) return;
      const lease = pick(leases);
      deregistered.add(lease.token);
      await registry.deregister(lease, pick(["deregistered", "drained", "admin"]));
    },
    () => clock.advance(pick([1, 100, 700, 2_000])),
    () => {
      const name = pick(names);
      followers.push({ name, follower: follow(registry, name) });
      return Promise.resolve();
    },
    async () => {
      if (followers.length === 0) return;
      const { name, follower } = pick(followers);
      await catchUp(name, follower);
    },
    async () => {
      if (followers.length === 0) return;
      const gone = pick(followers);
      followers = followers.filter((each) => each !== gone);
      await gone.follower.close();
      const resumed = follow(registry, gone.name, gone.follower);
      followers.push({ name: gone.name, follower: resumed });
    },
  ];
  const deregistered = new Set<string>();

  const catchUp = async (name: string, follower: ReturnType<typeof follow>) => {
    const { instances } = await registry.lookup(name);
    const expected = JSON.stringify(instances);
    const listed = () => JSON.stringify([...follower.listed.values()].sort((a, b) => a.id < b.id ? -1 : 1));
    if (follower.cursor === undefined) await follower.begin();
    await follower.until(`what is listed under ${name}`, () => listed() === expected);
  };

  for (let n = 0; n < 150; n++) await pick(operations)();
  for (const { name, follower } of followers) await catchUp(name, follower);
  await registry.close();
  assertEquals([registry.watcherCount, clock.timerCount], [0, 0]);
}

Deno.test("MemoryRegistry, random operations and watchers, every watcher ends with what is listed", async () => {
  for (let seed = 1; seed <= 30; seed++) {
    try {
      await disturb(seed);
    } catch (error) {
      throw new Error(`With seed ${seed}`, { cause: error });
    }
  }
});
