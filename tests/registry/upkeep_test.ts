/** What a registry in memory does by itself, as time passes. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { RpcError } from "../../src/core/error.ts";
import type { Clock } from "../../src/core/platform.ts";
import { MemoryRegistry, type MemoryRegistryOptions } from "../../src/registry/memory_registry.ts";
import type { Lease, WatchEvent, WatchOptions } from "../../src/registry/registry.ts";
import { follow } from "../../src/testing/follower.ts";
import { type VirtualClock, virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { instanceOf } from "./instances.ts";

const WORDS = "demo.Words";
const NUMBERS = "demo.Numbers";

function openRegistry(options: MemoryRegistryOptions = {}): { clock: VirtualClock; registry: MemoryRegistry } {
  const platform = virtualPlatform(1);
  return { clock: platform.clock, registry: new MemoryRegistry({ platform, ...options }) };
}

function iterate(registry: MemoryRegistry, service = WORDS, options?: WatchOptions): AsyncIterator<WatchEvent> {
  return registry.watch(service, options)[Symbol.asyncIterator]();
}

function short(event: IteratorResult<WatchEvent>): string {
  if (event.done) return "end";
  const { kind, revision } = event.value;
  if (event.value.kind === "snapshot") {
    const { instances, warming } = event.value;
    return [`${kind} ${revision}${warming ? " warming" : ""}:`, ...instances.map(({ id }) => id)].join(" ");
  }
  const parts = event.value.changes.map((c) =>
    c.kind === "put" ? `+${c.instance.id}${c.suspect ? "?" : ""}` : `-${c.instanceId} ${c.cause}`
  );
  return [`${kind} ${revision}${event.value.warmed ? " warmed" : ""}:`, ...parts].join(" ");
}

Deno.test("X7 MemoryRegistry, it has just started, says so until a time, and then tells everybody that it is over", async () => {
  const { clock, registry } = openRegistry();
  registry.warm(20_000);
  const watch = iterate(registry);
  assertEquals(short(await watch.next()), "snapshot 0 warming:");
  const next = watch.next();
  await registry.register(instanceOf("a"), { ttlMs: 60_000 });
  assertEquals(short(await next), "changes 1: +a");
  const { epoch } = await registry.lookup(WORDS);
  const quiet = iterate(registry, NUMBERS);
  assertEquals(short(await quiet.next()), "snapshot 1 warming:");
  const [words, numbers] = [watch.next(), quiet.next()];
  await clock.advance(19_999);
  assertEquals((await registry.lookup(WORDS)).warming, true);
  await clock.advance(1);
  assertEquals([short(await words), short(await numbers)], ["changes 1 warmed:", "changes 1 warmed:"]);
  assertEquals((await registry.lookup(WORDS)).warming, false);
  assertEquals(short(await iterate(registry).next()), "snapshot 1: a");
  // Whoever was away meanwhile learns of it too, and whoever came later has no need to.
  const back = iterate(registry, WORDS, { after: { epoch, revision: 1 } });
  assertEquals(short(await back.next()), "changes 1 warmed:");
  await registry.register(instanceOf("b"), { ttlMs: 60_000 });
  assertEquals(short(await back.next()), "changes 2: +b");
  assertEquals(short(await iterate(registry, WORDS, { after: { epoch, revision: 2 } }).next()), "changes 2:");
  await registry.close();
  assertEquals(clock.timerCount, 0);
});

Deno.test("MemoryRegistry, closed while it warms, keeps no timer", async () => {
  const { clock, registry } = openRegistry();
  registry.warm(20_000);
  assertEquals(clock.timerCount, 1);
  await registry.close();
  assertEquals(clock.timerCount, 0);
});

Deno.test("X22 MemoryRegistry, the process stands still for 20 s, nobody is evicted whatever comes first afterwards", async () => {
  const platform = virtualPlatform(1);
  let lostMs = 0;
  const clock: Clock = {
    now: () => platform.clock.now() + lostMs,
    wall: () => platform.clock.wall() + lostMs,
    timer: (ms, fire) => platform.clock.timer(ms, fire),
  };
  const registry = new MemoryRegistry({ platform: { ...platform, clock } });
  await using watch = follow(registry, WORDS);
  await watch.begin();
  const leases: Lease[] = [];
  for (let n = 0; n < 10; n++) leases.push(await registry.register(instanceOf(`a${n}`)));
  for (let second = 0; second < 8; second++) {
    await platform.clock.advance(1_000);
    for (const lease of leases.slice(second, second + 3)) await registry.renew(lease);
  }
  lostMs += 20_000;
  // The sweep that was due meanwhile comes before any renewal.
  await platform.clock.advance(1_000);
  await platform.clock.advance(1_000);
  for (const lease of leases) assertEquals(await registry.renew(lease), "renewed");
  await watch.until("all", () => watch.listed.size === 10);
  assertEquals((await registry.lookup(WORDS)).revision, 10);
  // And a lease ends as ever afterwards.
  for (const lease of leases.slice(1)) await registry.deregister(lease);
  await platform.clock.advance(16_001);
  assertEquals(registry.instanceCount, 0);
  await registry.close();
});

Deno.test("MemoryRegistry, renewals that have arrived when the sweep is due, are heard first", async () => {
  const platform = virtualPlatform(1);
  let arrives: () => void = () => {};
  // What waits in a socket is read in the turn after that of the timers.
  const turn = async () => {
    await platform.turn();
    arrives();
  };
  const registry = new MemoryRegistry({ platform: { ...platform, turn } });
  const lease = await registry.register(instanceOf("a"), { ttlMs: 1_000 });
  const { promise, resolve } = Promise.withResolvers<unknown>();
  arrives = () => resolve(registry.renew(lease));
  await platform.clock.advance(1_000);
  assertEquals([await promise, registry.instanceCount], ["renewed", 1]);
  await registry.close();
});

Deno.test("MemoryRegistry, an instance answers a dial, stays listed as a suspect until it renews", async () => {
  const answers: string[] = [];
  const { clock, registry } = openRegistry({
    dial: (instance) => {
      answers.push(instance.id);
      return Promise.resolve(instance.id === "lives");
    },
  });
  const watch = iterate(registry);
  await watch.next();
  const lives = await registry.register(instanceOf("lives"));
  await registry.register(instanceOf("dead"));
  assertEquals(short(await watch.next()), "changes 2: +lives +dead");
  const next = watch.next();
  await clock.advance(16_000);
  assertEquals(short(await next), "changes 4: +lives? -dead expired");
  assertEquals(answers, ["lives", "dead"]);
  const { suspects, instances } = await registry.lookup(WORDS);
  assertEquals([suspects, instances.map(({ id }) => id)], [["lives"], ["lives"]]);
  assertEquals(short(await iterate(registry).next()), "snapshot 4: lives");
  assertEquals(await registry.renew(lives), "renewed");
  assertEquals(short(await watch.next()), "changes 5: +lives");
  await registry.close();
});

Deno.test("MemoryRegistry, a dial fails in any way, is no answer; one that hangs is let go when the registry closes", async () => {
  const { clock, registry } = openRegistry({
    dial: ({ id }, signal) => {
      if (id === "throws") throw new Error("no");
      if (id === "rejects") return Promise.reject(new Error("no"));
      return new Promise((resolve) => signal.addEventListener("abort", () => resolve(true)));
    },
  });
  const watch = follow(registry, WORDS);
  await watch.begin();
  for (const id of ["throws", "rejects", "hangs", "other1", "other2", "other3", "other4"]) {
    const lease = await registry.register(instanceOf(id), { ttlMs: id.startsWith("other") ? 60_000 : 15_000 });
    assert(lease);
  }
  await clock.advance(16_000);
  await watch.until("two removals", () => watch.removals.length === 2);
  assertEquals(watch.removals.sort(), [["rejects", "expired"], ["throws", "expired"]]);
  await watch.close();
  await registry.close();
  assertEquals(clock.timerCount, 0);
});

Deno.test("MemoryRegistry, very many are to be dialled, so many at once and no more", async () => {
  let running = 0;
  let most = 0;
  const waiting: (() => void)[] = [];
  const { clock, registry } = openRegistry({
    preserveMs: 0,
    dial: async () => {
      most = Math.max(most, ++running);
      await new Promise<void>((resolve) => waiting.push(resolve));
      running--;
      return false;
    },
  });
  for (let n = 0; n < 1_000; n++) await registry.register(instanceOf(`a${n}`));
  await clock.advance(15_000);
  while (registry.instanceCount > 0) {
    for (const answer of waiting.splice(0)) answer();
    await clock.advance(1);
  }
  assertEquals(most, 256);
  await registry.close();
});

Deno.test("H55 MemoryRegistry, a thousand register again each second for a moment, who is dead leaves in time all the same", async () => {
  const { clock, registry } = openRegistry({
    dial: () => new Promise((resolve) => void clock.timer(1_000, () => resolve(false))),
  });
  // Enough who are well, or it would be taken for an outage.
  const leases = [];
  for (let n = 0; n < 1_500; n++) leases.push(await registry.register(instanceOf(`well-${n}`)));
  await registry.register(instanceOf("dead", { services: ["demo.Dead"] }));
  for (let second = 1; second <= 30; second++) {
    for (const lease of leases) await registry.renew(lease);
    for (let n = 0; n < 1_000; n++) await registry.register(instanceOf(`flood-${n}`), { ttlMs: 1 });
    await clock.advance(1_000);
    const { instances } = await registry.lookup("demo.Dead");
    assertEquals(instances.length, second < 15 ? 1 : second > 17 ? 0 : instances.length, `after ${second} s`);
  }
  const closed = registry.close();
  await clock.advance(1_000);
  await closed;
});

Deno.test("H62 MemoryRegistry watch, one instance flaps a thousand times a second, ten events in a second, revisions rise, and the end is right", async () => {
  const { clock, registry } = openRegistry();
  await using watch = follow(registry, WORDS);
  await watch.begin();
  await registry.register(instanceOf("steady"), { ttlMs: 60_000 });
  let lease: Lease | undefined;
  const told: number[] = [];
  let stop = false;
  const reading = watch.until("the end", () => {
    told.push(watch.changes.length);
    return stop && watch.listed.get("flap")?.version === "last";
  });
  for (let ms = 0; ms < 3_000; ms++) {
    if (lease === undefined) lease = await registry.register(instanceOf("flap", { incarnation: ms }));
    else {
      await registry.deregister(lease);
      lease = undefined;
    }
    await clock.advance(1);
  }
  const flaps = watch.changes.filter((c) => (c.kind === "put" ? c.instance.id : c.instanceId) === "flap").length;
  assert(flaps >= 12 && flaps <= 30, `${flaps} changes were told in 3 s`);
  stop = true;
  await registry.register(instanceOf("flap", { incarnation: 9_000, version: "last" }));
  await clock.advance(1_000);
  await reading;
  assertEquals(watch.snapshots, 1);
  await registry.close();
  assertEquals(clock.timerCount, 0);
});

Deno.test("H62 MemoryRegistry, an instance that flaps leaves for good, its removal is proven once it was told", async () => {
  const { clock, registry } = openRegistry({ changesPerSecond: 2 });
  const watch = iterate(registry);
  await watch.next();
  const lease = await registry.register(instanceOf("a"));
  await watch.next();
  const told = watch.next();
  await registry.deregister(lease, "drained");
  let proven = false;
  const proof = registry.settled(lease).then(() => proven = true);
  await clock.advance(500);
  assertEquals(proven, false);
  await clock.advance(500);
  assertEquals(short(await told), "changes 2: -a drained");
  await clock.settle();
  assertEquals(proven, false);
  const last = watch.next();
  await proof;
  await registry.close();
  await last;
});

Deno.test("X41 MemoryRegistry, a process that starts anew every 2 s, is one instance, and tells twice as often as it starts at most", async () => {
  const { clock, registry } = openRegistry();
  await using watch = follow(registry, WORDS);
  await watch.begin();
  for (let start = 0; start < 30; start++) {
    await registry.register(instanceOf("loop", { incarnation: clock.wall() }));
    await clock.advance(2_000);
    assertEquals((await registry.lookup(WORDS)).instances.length, 1);
  }
  await watch.until("the last", () => watch.listed.get("loop")?.incarnation === clock.wall() - 2_000);
  assertEquals([watch.changes.length, watch.removals], [30, []]);
  await registry.close();
});

Deno.test("H60 MemoryRegistry, more watchers than it takes, the next is refused, and a place is free when one ends", async () => {
  const { registry } = openRegistry({ quotas: { watchers: 2 } });
  const watches = [iterate(registry), iterate(registry, "*")];
  for (const watch of watches) await watch.next();
  const error = await assertRejects(() => iterate(registry).next(), RpcError, "the registry takes 2 watchers");
  assertEquals(error.code, "resource_exhausted");
  await watches[0].return?.();
  await iterate(registry).next();
  await registry.close();
});

Deno.test("MemoryRegistry, what happened, to whom, when, why and by whom, as far as it is remembered", async () => {
  const { clock, registry } = openRegistry({ historyLimit: 5, dial: () => Promise.resolve(true) });
  const lease = await registry.register(instanceOf("a"), { owner: "red", actor: "red at tcp://10.0.0.7:1" });
  await registry.register(instanceOf("a", { weight: 2 }), { owner: "red" });
  await clock.advance(15_000);
  assertEquals(await registry.renew(lease), "unknown");
  registry.evict("a", "admin", "ann");
  assertEquals(registry.evict("a", "admin", "ann"), false);
  const lines = [...registry.history()].map(({ revision, at, kind, instanceId, instance, cause, actor }) => {
    return [revision, at - 1_700_000_000_000, kind, instanceId, instance.weight, cause, actor];
  });
  assertEquals(lines, [
    [1, 0, "listed", "a", 1, undefined, "red at tcp://10.0.0.7:1"],
    [2, 0, "changed", "a", 2, undefined, "red"],
    [3, 15_000, "doubted", "a", 2, undefined, "center"],
    [4, 15_000, "removed", "a", 2, "admin", "ann"],
  ]);
  assertEquals(registry.lookupAt(WORDS, 1).instances.map(({ weight }) => weight), [1]);
  assertEquals(registry.lookupAt(WORDS, 3).suspects, ["a"]);
  assertEquals([registry.lookupAt(WORDS, 4).instances, registry.lookupAt(NUMBERS, 2).instances], [[], []]);
  assertEquals([...registry.history(2)].length, 2);
  for (let n = 0; n < 10; n++) await registry.register(instanceOf(`b${n}`));
  assertEquals([...registry.history()].map(({ revision }) => revision), [10, 11, 12, 13, 14]);
  assertThrows(() => registry.lookupAt(WORDS, 8), RangeError, "revision 8: the history goes from 9 to 14");
  await registry.close();
});

Deno.test("MemoryRegistry, what is known of an instance, its age, what is left of its lease, its load and whose it is", async () => {
  const { clock, registry } = openRegistry();
  const lease = await registry.register(instanceOf("a"), { owner: "red" });
  await clock.advance(4_000);
  await registry.renew(lease, { load: 7 });
  await clock.advance(1_500);
  await registry.register(instanceOf("b", { services: [NUMBERS] }));
  assertEquals(registry.inspect(WORDS), [
    {
      instance: instanceOf("a"),
      suspect: false,
      ageMs: 5_500,
      ttlMs: 15_000,
      leftMs: 13_500,
      load: 7,
      owner: "red",
    },
  ]);
  assertEquals(registry.inspect("*").map(({ instance }) => instance.id), ["a", "b"]);
  assertEquals([registry.ownerOf("a"), registry.ownerOf("b"), registry.ownerOf("c")], ["red", "", undefined]);
  await registry.close();
});

Deno.test("MemoryRegistry, goes on where an earlier life ended, not in the middle of its own", async () => {
  const { registry } = openRegistry();
  registry.restore({ epoch: "first", revision: 500 });
  assertEquals(registry.cursor, { epoch: "first", revision: 500 });
  const watch = iterate(registry, WORDS, { after: { epoch: "first", revision: 499 } });
  assertEquals(short(await watch.next()), "snapshot 500:");
  await registry.register(instanceOf("a"));
  assertEquals(short(await watch.next()), "changes 501: +a");
  assertThrows(() => registry.restore({ epoch: "x", revision: 1 }), TypeError, "Cannot restore a registry");
  await registry.close();
});
