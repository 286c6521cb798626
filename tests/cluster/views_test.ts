/** What a client keeps of the services that it was ever asked for. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Client, MemoryRegistry, RpcError, Server } from "@erpc/erpc";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { instanceOf } from "../registry/instances.ts";
import { until } from "../support/until.ts";

let scenes = 0;

/** A server of `t.held`, whose handler waits until it is let go, and of `t.quick`; and a client of a registry. */
async function open() {
  const stack = new AsyncDisposableStack();
  const platform = virtualPlatform(1);
  const registry = stack.use(new MemoryRegistry({ platform }));
  const server = stack.use(new Server({ platform }));
  const held = Promise.withResolvers<string>();
  let running = 0;
  server.handle("t.held", () => (running++, held.promise));
  server.handle("t.quick", () => "quick");
  await server.listen(`memory://views-${++scenes}`);
  const instance = instanceOf("a", { endpoints: [server.endpoint], services: ["t"] });
  await registry.register(instance, { ttlMs: 86_400_000 });
  const client = stack.use(new Client({ registry, platform, retry: false }));
  return {
    registry,
    client,
    clock: platform.clock,
    held,
    isRunning: () => running > 0,
    names: () => client.stats().services.map(({ name }) => name),
    /** Calls services that nobody offers, each once. */
    async callNobody(from: number, to: number) {
      for (let n = from; n < to; n++) {
        await assertRejects(() => client.call(`nobody${n}.x`), RpcError, "no instance of it is registered");
      }
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

Deno.test("Cluster, ever new services are called, follows a thousand of them, those that were called last", async () => {
  await using scene = await open();
  await scene.callNobody(0, 1_200);
  assertEquals(scene.names(), Array.from({ length: 1_000 }, (_, n) => `nobody${n + 200}`));
  await until(() => scene.registry.watcherCount === 1_000);
  await scene.callNobody(200, 201);
  await scene.callNobody(0, 1);
  const names = scene.names();
  assertEquals([names.includes("nobody200"), names.includes("nobody201"), names.at(-1)], [true, false, "nobody0"]);
});

Deno.test("Cluster, ever new services are called, keeps those whose calls run or wait, and their connections", async () => {
  await using scene = await open();
  const { client, clock, held } = scene;
  const call = client.call("t.held", {}, { timeoutMs: 3_600_000 });
  const waiting = client.call("later.x", {}, { timeoutMs: 3_600_000, waitForReady: true }).catch(({ code }) => code);
  call.catch(() => {});
  await until(scene.isRunning);
  await scene.callNobody(0, 1_100);
  await clock.advance(400_000);
  await scene.callNobody(1_100, 1_101);
  await clock.advance(400_000);
  // Whoever was wanted since they were last looked through stays as well.
  await scene.callNobody(1_101, 1_102);
  assertEquals(scene.names(), ["t", "later", "nobody1100", "nobody1101"]);
  assertEquals(client.stats().services[0].instances.map(({ state, inFlight }) => [state, inFlight]), [[
    "ready",
    1,
  ]]);
  held.resolve("let go");
  assertEquals(await call, "let go");
  const { endpoints } = (await scene.registry.lookup("t")).instances[0];
  await scene.registry.register(instanceOf("b", { endpoints, services: ["later"] }));
  assertEquals(await waiting, "unimplemented");
});

Deno.test("Cluster, a service that nobody called for minutes, is followed no longer where there are many, and found again", async () => {
  await using scene = await open();
  const { client, clock } = scene;
  assertEquals(await client.call("t.quick"), "quick");
  // Among few it stays, however long it is not called.
  for (let n = 0; n < 3; n++) {
    await clock.advance(400_000);
    await scene.callNobody(n, n + 1);
  }
  assert(scene.names().includes("t"));
  await scene.callNobody(3, 200);
  await clock.advance(400_000);
  // Those who are wanted again stay, and the others go when another one comes.
  await scene.callNobody(150, 160);
  await scene.callNobody(200, 201);
  const names = scene.names();
  assertEquals(["t", "nobody0", "nobody150"].map((name) => names.includes(name)), [false, false, true]);
  await until(() => scene.registry.watcherCount === names.length);
  assertEquals(await client.call("t.quick"), "quick");
});
