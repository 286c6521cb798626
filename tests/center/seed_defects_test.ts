/** What the framework that this one comes from got wrong in its center. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Center, Client, RpcError, Server } from "@erpc/erpc";
import { CenterContract } from "../../src/center/contract.ts";
import type { Clock, Platform } from "../../src/core/platform.ts";
import { MemoryRegistry } from "../../src/registry/memory_registry.ts";
import type { Lease, Registry } from "../../src/registry/registry.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { instanceOf } from "../registry/instances.ts";
import { until } from "../support/until.ts";
import { openCenter, outcomeOf } from "./scene.ts";

const DAY_MS = 86_400_000;

Deno.test("seed defect: a renewal after a restart crashes the center: it answers unknown, whatever it is asked about, and lists who registers again", async () => {
  const leases: Lease[] = [];
  {
    await using before = await openCenter();
    for (let n = 0; n < 100; n++) leases.push(await before.registry().register(instanceOf(`a${n}`)));
  }
  await using scene = await openCenter();
  const registry = scene.registry();
  const odd = [{ ...leases[0], instanceId: "__proto__" }, { ...leases[0], token: "" }, {
    ...leases[0],
    incarnation: -1,
  }];
  for (const lease of [...leases, ...odd]) assertEquals(await registry.renew(lease), "unknown");
  await Promise.all(leases.map((lease) => registry.deregister(lease)));
  await registry.settled(leases[0]);
  const again = await registry.register(instanceOf("a0"));
  assertEquals([await registry.renew(again), scene.memory.instanceCount], ["renewed", 1]);
});

/** A platform whose wall clock is wrong by so much. */
function skewed(platform: Platform, skewMs: () => number): Platform {
  const { clock } = platform;
  const wrong: Clock = {
    now: () => clock.now(),
    wall: () => clock.wall() + skewMs(),
    timer: (ms, fire) => clock.timer(ms, fire),
  };
  return { ...platform, clock: wrong };
}

Deno.test("seed defect: the sender's clock compared with the center's: a server that is ten years off, either way, stays for as long as it renews and a time to live more", async () => {
  for (const years of [-10, 10]) {
    const platform = virtualPlatform(1);
    const { clock } = platform;
    await using center = new Center({ platform });
    await center.listen(`memory://skew-${years}`);
    const server = new Server({
      platform: skewed(platform, () => years * 365 * DAY_MS),
      id: "a",
      center: center.endpoint,
    });
    server.handle("demo.hello", () => "hello");
    await server.listen(`memory://skew-server-${years}`);
    const memory = center.registry as MemoryRegistry;
    for (let minute = 0; minute < 10; minute++) {
      await clock.advance(60_000);
      assertEquals([memory.instanceCount, memory.cursor.revision], [1, 1]);
    }
    const [{ leftMs }] = memory.inspect("demo");
    assert(leftMs > 9_000 && leftMs <= 15_000, `${leftMs}`);
    await server.close();
  }
});

Deno.test("X18 Center, its wall clock and that of a server jump by hours and years, and to and fro, nobody is evicted and nobody stays too long", async () => {
  const platform = virtualPlatform(1);
  const { clock } = platform;
  const jumps = { center: 0, server: 0 };
  await using center = new Center({ platform: skewed(platform, () => jumps.center) });
  await center.listen("memory://jump");
  const server = new Server({ platform: skewed(platform, () => jumps.server), id: "a", center: center.endpoint });
  server.handle("demo.hello", () => "hello");
  await server.listen("memory://jump-server");
  const memory = center.registry as MemoryRegistry;
  const silent = () => memory.register(instanceOf("silent", { endpoints: ["memory://jump-nobody"] }));
  let revision = memory.cursor.revision;
  for (const jump of [3_600_000, -3_600_000, 3_650 * DAY_MS, -3_650 * DAY_MS, 4, -4, 262_000, -262_000]) {
    for (const side of ["center", "server"] as const) {
      jumps[side] += jump;
      await silent();
      await clock.advance(14_900);
      assertEquals(memory.cursor.revision, ++revision, "somebody was evicted");
      await clock.advance(1_200);
      assertEquals(memory.cursor.revision, ++revision, "the silent one stayed");
    }
  }
  // A strobe, as often as once in a hundredth of a second.
  for (let n = 0; n < 500; n++) {
    jumps.center = n % 2 ? 262_000 : -262_000;
    jumps.server = n % 3 ? 4 : -DAY_MS;
    await clock.advance(37);
  }
  assertEquals([memory.cursor.revision, memory.instanceCount], [revision, 1]);
  await server.close();
});

Deno.test("seed defect: an empty list panics: nobody offers a service, and a watcher, a look-up and a call are told so", async () => {
  await using scene = await openCenter();
  const registry = scene.registry();
  assertEquals((await registry.lookup("demo.Nobody")).instances, []);
  assertEquals((await registry.lookup("*")).instances, []);
  const watch = registry.watch("demo.Nobody")[Symbol.asyncIterator]();
  assertEquals((await watch.next()).value.instances, []);
  await watch.return?.();
  await using client = new Client({ center: scene.center.endpoint });
  const error = await assertRejects(() => client.call("demo.hello"), RpcError, "no instance");
  assertEquals(error.code, "unavailable");
  const listings = await Array.fromAsync(scene.client().stream("erpc.CenterAdmin/list", {}));
  assertEquals(listings.length, 1);
});

Deno.test("seed defect: an unknown procedure leaves the caller waiting: the center answers at once that there is none", async () => {
  await using scene = await openCenter();
  const client = scene.client();
  for (const procedure of ["erpc.Center/nothing", "erpc.Nothing/watch", "erpc.Center/toString", "a/b"]) {
    const error = await assertRejects(() => client.call(procedure), RpcError, "There is no");
    assertEquals([error.code, error.executed], ["unimplemented", "no"]);
    assertEquals(await outcomeOf(Array.fromAsync(client.stream(procedure))), "unimplemented");
  }
});

Deno.test("seed defect: a time-out leaks: a thousand callers give up waiting, and nothing of them is left", async () => {
  await using scene = await openCenter();
  const lease = await scene.registry().register(instanceOf("a"));
  const stuck = scene.memory.watch("demo.Words")[Symbol.asyncIterator]();
  await stuck.next();
  await scene.memory.deregister(lease);
  const client = scene.client();
  const { settled } = client.service(CenterContract);
  // The center's own timers, before.
  const timers = scene.clock.timerCount;
  const waiting = Array.from({ length: 1_000 }, () => outcomeOf(settled({ lease }, { timeoutMs: 50 })));
  await scene.clock.advance(100);
  assertEquals(new Set(await Promise.all(waiting)), new Set(["deadline_exceeded"]));
  await scene.clock.advance(1_000);
  assertEquals(await outcomeOf(settled({ lease }, { timeoutMs: 0 })), "deadline_exceeded");
  assert(scene.clock.timerCount <= timers + 2, `${scene.clock.timerCount} timers after ${timers}`);
  await stuck.return?.();
});

Deno.test("seed defect: a handler's failure ends the process: a registry that fails in every way is an error for the caller alone", async () => {
  const fail = (how: number): never => {
    if (how === 0) throw new Error("broken");
    throw how === 1 ? null : { then: 5 };
  };
  let how = 0;
  const registry: Registry = {
    register: () => fail(how),
    renew: () => Promise.reject(new Error("broken")),
    deregister: () => fail(how),
    settled: () => fail(how),
    lookup: () => fail(how),
    watch: () => ({ [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new Error("broken")) }) }),
    close: () => Promise.resolve(),
  };
  await using scene = await openCenter({ registry });
  const remote = scene.registry();
  const lease: Lease = { instanceId: "a", incarnation: 1, token: "t", ttlMs: 1 };
  for (how = 0; how < 3; how++) {
    const outcomes = await Promise.all(
      [
        remote.register(instanceOf("a")),
        remote.renew(lease),
        remote.deregister(lease),
        remote.settled(lease),
        remote.lookup("demo.Words"),
        remote.watch("demo.Words")[Symbol.asyncIterator]().next(),
      ].map(outcomeOf),
    );
    assertEquals(outcomes, Array(6).fill("internal"));
  }
  assertEquals(await scene.client().call("erpc.Health/check", {}), { status: "serving" });
});

Deno.test("seed defect: a cancelled client is polled for ever: watchers that leave in any way leave nothing behind", async () => {
  await using scene = await openCenter({}, "tcp://127.0.0.1:0");
  await scene.memory.register(instanceOf("a"), { ttlMs: DAY_MS });
  for (let round = 0; round < 5; round++) {
    const registries = Array.from({ length: 20 }, () => scene.registry());
    const aborting = new AbortController();
    const watches = registries.map((registry, n) =>
      registry.watch("*", n % 2 ? { signal: aborting.signal } : {})[Symbol.asyncIterator]()
    );
    await Promise.all(watches.map((watch) => watch.next()));
    const waiting = watches.map((watch) => outcomeOf(watch.next()));
    assertEquals(scene.memory.watcherCount, 20);
    aborting.abort();
    for (const watch of watches.slice(0, 8)) await watch.return?.();
    // The others are gone without a word.
    await Promise.all(registries.map((registry) => registry.close()));
    await Promise.all(waiting);
    await until(() => scene.memory.watcherCount === 0);
  }
});

Deno.test("X37 Center, 1 000 clients with a watch each, one change is told to all of them, and nothing is left when they go", async () => {
  const platform = virtualPlatform(1);
  await using memory = new MemoryRegistry({ platform });
  await using scene = await openCenter({ registry: memory, platform });
  const registries = Array.from({ length: 1_000 }, () => scene.registry());
  const watches = registries.map((registry) => registry.watch("demo.Words")[Symbol.asyncIterator]());
  await Promise.all(watches.map((watch) => watch.next()));
  assertEquals(memory.watcherCount, 1_000);
  for (let n = 0; n < 3; n++) {
    const told = watches.map((watch) => watch.next());
    await memory.register(instanceOf(`a${n}`));
    for (const { value } of await Promise.all(told)) {
      assertEquals(value.changes.map((c: { instance: { id: string } }) => c.instance.id), [`a${n}`]);
    }
  }
  await Promise.all(registries.map((registry) => registry.close()));
  await until(() => memory.watcherCount === 0);
});
