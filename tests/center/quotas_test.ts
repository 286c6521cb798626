/** What a center takes, and that what is there is not harmed by what it refuses. */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { Center, MemoryRegistry, RpcError } from "@erpc/erpc";
import type { Registry } from "../../src/registry/registry.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { follow } from "../../src/testing/follower.ts";
import { instanceOf } from "../registry/instances.ts";
import { until } from "../support/until.ts";
import { openCenter, outcomeOf } from "./scene.ts";

Deno.test("H55 Center, 100 000 instances with a service of their own each, as many as the quota says, and leases that are there renew", async () => {
  await using scene = await openCenter({ quotas: { instances: 500, services: 400, instancesPerConnection: 100_000 } });
  const registry = scene.registry();
  const lease = await scene.registry().register(instanceOf("there"));
  const outcomes = new Map<unknown, number>();
  // Enough at once to fill every queue on the way, and not so many that the test takes long.
  for (let batch = 0; batch < 20; batch++) {
    const found = await Promise.all(Array.from({ length: 250 }, (_, n) => {
      const instance = instanceOf(`flood-${batch}-${n}`, { services: [`flood.S${batch * 250 + n}`] });
      return outcomeOf(registry.register(instance).then(() => "registered"));
    }));
    for (const outcome of found) outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  // One service is there already.
  assertEquals([...outcomes], [["registered", 399], ["resource_exhausted", 4_601]]);
  assertEquals([scene.memory.instanceCount, scene.memory.serviceCount], [400, 400]);
  assertEquals(await scene.registry().renew(lease), "renewed");
  await scene.memory.register(instanceOf("another"));
});

Deno.test("H55 Center, instances over one connection, no more than the quota; a place is free when one leaves, and others are not concerned", async () => {
  await using scene = await openCenter({ quotas: { instancesPerConnection: 3 } });
  const registry = scene.registry();
  const leases = [];
  for (const id of ["a", "b", "c"]) leases.push(await registry.register(instanceOf(id)));
  const error = await assertRejects(() => registry.register(instanceOf("d")), RpcError, "has 3 registered");
  assertEquals(error.code, "resource_exhausted");
  assertMatch(error.message, /quotas\.instancesPerConnection/);
  await registry.register(instanceOf("a", { weight: 2 }));
  await scene.registry().register(instanceOf("other"));
  await registry.deregister(leases[1]);
  await registry.register(instanceOf("d"));
  assertEquals(await outcomeOf(registry.register(instanceOf("e"))), "resource_exhausted");
});

Deno.test("H55 Center, over another registry, counts the instances of a connection as well, until their leases are over", async () => {
  const platform = virtualPlatform(1);
  await using memory = new MemoryRegistry({ platform });
  const foreign: Registry = {
    register: (instance, options) => memory.register(instance, options),
    renew: (lease, options) => memory.renew(lease, options),
    deregister: (lease, cause) => memory.deregister(lease, cause),
    lookup: (service, options) => memory.lookup(service, options),
    watch: (service, options) => memory.watch(service, options),
    close: () => Promise.resolve(),
  };
  await using scene = await openCenter({ platform, registry: foreign, quotas: { instancesPerConnection: 3 } });
  const registry = scene.registry();
  // One that is refused takes no place.
  await memory.register(instanceOf("fenced", { incarnation: 9 }));
  assertEquals(await outcomeOf(registry.register(instanceOf("fenced"))), "unavailable");
  const leases = [];
  for (const id of ["a", "b", "c"]) leases.push(await registry.register(instanceOf(id)));
  const isFull = async () => await outcomeOf(registry.register(instanceOf("d"))) === "resource_exhausted";
  assert(await isFull());
  await registry.register(instanceOf("a", { weight: 2 }));
  // A lease that is not what was given says nothing.
  await registry.deregister({ ...leases[1], token: "made up" });
  assert(await isFull());
  await platform.clock.advance(10_000);
  assertEquals(await registry.renew(leases[1]), "renewed");
  await platform.clock.advance(10_000);
  // The leases of a and c are over, that of b is not.
  for (const id of ["d", "e"]) await registry.register(instanceOf(id));
  assertEquals(await outcomeOf(registry.register(instanceOf("f"))), "resource_exhausted");
  await registry.deregister(leases[1]);
  await registry.register(instanceOf("f"));
});

Deno.test("H55 Center, 64 KiB of metadata, refused whoever brings it", async () => {
  await using scene = await openCenter();
  const metadata = { text: "x".repeat(64 * 1024) };
  const { call } = scene.client();
  const request = { instance: instanceOf("a", { metadata }) };
  assertEquals(await outcomeOf(call.call(scene.client(), "erpc.Center/register", request)), "invalid_argument");
  await scene.registry().register(instanceOf("b"));
});

Deno.test("H60 Center, watches over one connection, no more than the quota, and one that ends makes room; others are told at once", async () => {
  await using scene = await openCenter({ quotas: { watchersPerConnection: 50 } });
  const greedy = scene.registry();
  const stop = new AbortController();
  const open = Array.from({ length: 50 }, () => greedy.watch("*", { signal: stop.signal })[Symbol.asyncIterator]());
  for (const watch of open) await watch.next();
  const error = await assertRejects(() => greedy.watch("*")[Symbol.asyncIterator]().next(), RpcError, "50 watches");
  assertEquals(error.code, "resource_exhausted");
  await using prompt = follow(scene.registry(), "demo.Words");
  await prompt.begin();
  // The greedy ones never read on.
  for (let n = 0; n < 200; n++) {
    await scene.memory.register(instanceOf(`a${n}`));
    await prompt.until(`a${n}`, () => prompt.listed.has(`a${n}`));
  }
  assertEquals(prompt.snapshots, 1);
  await open[0].return?.();
  await until(() => scene.memory.watcherCount === 50);
  const again = greedy.watch("demo.Words", { signal: stop.signal })[Symbol.asyncIterator]();
  assertEquals((await again.next()).value.kind, "snapshot");
  stop.abort();
});

Deno.test("H60 Center, a watcher that does not read, costs one event, and starts afresh when it reads again", async () => {
  await using scene = await openCenter();
  const watch = scene.registry().watch("demo.Words")[Symbol.asyncIterator]();
  assertEquals((await watch.next()).value.kind, "snapshot");
  for (let n = 0; n < 3_000; n++) await scene.memory.register(instanceOf(`a${n}`, { weight: 1 }));
  const { value } = await watch.next();
  // One event was on its way before it stopped reading; then it is told of everything at once.
  const last = value.kind === "snapshot" ? value : (await watch.next()).value;
  assertEquals([last.kind, last.instances.length], ["snapshot", 3_000]);
  await watch.return?.();
});

Deno.test("Center, 10 000 instances of 600 bytes, are more than a message holds and come whole", async () => {
  await using scene = await openCenter({}, "tcp://127.0.0.1:0");
  const metadata = { text: "漢".repeat(150) };
  const ids = Array.from({ length: 10_000 }, (_, n) => `a${String(n).padStart(5, "0")}`);
  for (const id of ids) await scene.memory.register(instanceOf(id, { metadata }), { ttlMs: 86_400_000 });
  const registry = scene.registry();
  const { instances, revision } = await registry.lookup("demo.Words");
  assert(JSON.stringify(instances).length * 1.5 > 4 * 1024 * 1024);
  assertEquals([instances.length, revision], [10_000, 10_000]);
  assertEquals(instances.map(({ id }) => id), ids);
  await using watch = follow(registry, "*");
  await watch.begin();
  assertEquals([watch.listed.size, watch.snapshots, watch.cursor?.revision], [10_000, 1, 10_000]);
  await scene.memory.register(instanceOf("b"));
  await watch.until("b", () => watch.listed.has("b"));
  assertEquals(watch.snapshots, 1);
});

Deno.test("Center, quotas that can't be used, misuse where they are made", () => {
  for (
    const [quotas, message] of [
      [{ instances: -1 }, "quotas.instances -1"],
      [{ watchersPerConnection: 1.5 }, "quotas.watchersPerConnection 1.5"],
    ] as const
  ) {
    assertThrows(() => new Center({ quotas }), RangeError, message);
  }
  assertThrows(() => new Center({ quotas: { instance: 5 } as never }), TypeError, '"instance"');
  const registry = new MemoryRegistry();
  assertThrows(() => new Center({ registry, quotas: { instances: 5 } }), TypeError, '"instances"');
  assertThrows(() => new Center({ registry, dialTls: {} }), TypeError, '"dialTls"');
});
