/** Leaving in good order, with proof of who knows, in virtual time. */
import { assert, assertEquals } from "@std/assert";
import {
  Center,
  type CenterOptions,
  Client,
  type ClientOptions,
  MemoryRegistry,
  type Registry,
  Server,
  type ServerOptions,
} from "@erpc/erpc";
import { Simulation } from "../../src/testing/simulation.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { systemTransport, type Transport } from "../../src/transport/transport.ts";
import { ANYBODY } from "../support/anybody.ts";
import { Words, words } from "../support/words.ts";

let scenes = 0;

function openScene() {
  const platform = virtualPlatform(1);
  const number = ++scenes;
  const addressOf = (name: string) => `memory://drain-${number}-${name}`;
  const stack = new AsyncDisposableStack();
  return {
    clock: platform.clock,
    addressOf,
    async center(name: string, options: CenterOptions = {}) {
      const center = stack.use(new Center({ platform, ...options }));
      await center.listen(addressOf(name));
      return center;
    },
    async server(name: string, centers: string[], options: ServerOptions = {}) {
      const where = centers.length > 0 ? { center: centers.map(addressOf) } : {};
      const server = stack.use(new Server({ platform, id: name, ...where, ...options }));
      server.handle("who.am", () => name);
      const listening = server.listen(addressOf(`server-${name}`));
      await platform.clock.advance(0);
      await listening;
      return server;
    },
    client(centers: string[], options: ClientOptions = {}) {
      return stack.use(new Client({ platform, center: centers.map(addressOf), ...options }));
    },
    /** Drains, and says how long that took. */
    async drained(server: Server, graceMs: number) {
      const from = platform.clock.now();
      let tookMs = Infinity;
      const draining = server.drain({ graceMs }).then((report) => {
        tookMs = platform.clock.now() - from;
        return report;
      });
      for (let ms = 0; ms < graceMs + 2_000 && tookMs === Infinity; ms += 100) await platform.clock.advance(100);
      // Saying goodbye to those that don't listen takes up to a second more.
      assert(tookMs <= graceMs + 1_000, `draining took ${tookMs} ms`);
      return { ...await draining, tookMs };
    },
    async [Symbol.asyncDispose]() {
      const closed = stack.disposeAsync();
      // What can't say goodbye any more is given a moment to.
      await platform.clock.advance(5_000);
      await closed;
    },
  };
}

/** A network in which what a side has opened can be made to stand still. */
function stoppable(): { transport: Transport; stop: () => void } {
  let stopped = false;
  return {
    stop: () => stopped = true,
    transport: {
      ...systemTransport,
      async connect(endpoint, options) {
        const inner = await systemTransport.connect(endpoint, options);
        const ended = Promise.withResolvers<never>();
        ended.promise.catch(() => {});
        return {
          local: inner.local,
          remote: inner.remote,
          async read(target) {
            const count = await Promise.race([inner.read(target), ended.promise]);
            return stopped ? await ended.promise : count;
          },
          write: (source) => stopped ? ended.promise : inner.write(source),
          closeWrite: () => inner.closeWrite(),
          close() {
            inner.close();
            ended.reject(new Error("closed"));
          },
        };
      },
    },
  };
}

Deno.test("X23 a server that drains is proven to be gone: all watchers and all clients have acknowledged it, and no call fails", async () => {
  await using scene = openScene();
  await scene.center("x");
  await scene.center("y");
  const a = await scene.server("a", ["x", "y"]);
  await scene.server("b", ["x", "y"]);
  const clients = Array.from({ length: 5 }, () => scene.client(["x", "y"]));
  const failures: unknown[] = [];
  let calls = 0;
  let ended = false;
  const callers = clients.map(async (client) => {
    while (!ended) {
      calls++;
      await client.call("who.am").catch((error) => failures.push(error));
      await new Promise((resolve) => setImmediate(resolve));
    }
  });
  for (let i = 0; i < 20; i++) await scene.clock.settle();
  const report = await scene.drained(a, 30_000);
  for (const client of clients) {
    assertEquals(client.stats().services[0].instances.map(({ id }) => id), ["b"]);
  }
  for (let i = 0; i < 20; i++) await scene.clock.settle();
  ended = true;
  await Promise.all(callers);
  assertEquals(failures, []);
  assert(calls > 100, `only ${calls} calls`);
  const { complete, cutCalls, proven, connections, told, centers, tookMs } = report;
  assertEquals([complete, cutCalls, proven], [true, 0, true]);
  assertEquals(centers.map(({ state }) => state), ["acknowledged", "acknowledged"]);
  // They had left before they were told, or have acknowledged it.
  assertEquals(told, connections);
  assertEquals(tookMs, 0, "as soon as everybody knows, and no later");
});

Deno.test("X23 a watcher that does not act on the removal is waited for until graceMs, and then the report says so", async () => {
  await using scene = openScene();
  const center = await scene.center("x");
  const a = await scene.server("a", ["x"]);
  const stuck = center.registry.watch("who")[Symbol.asyncIterator]();
  await stuck.next();
  const { proven, complete, centers, tookMs } = await scene.drained(a, 5_000);
  assertEquals([proven, complete], [false, true]);
  assertEquals(centers.map(({ state, why }) => [state, why]), [
    ["unproven", "not all who follow it have acknowledged it in time"],
  ]);
  assert(tookMs >= 5_000, `${tookMs}`);
  await stuck.return?.();
});

Deno.test("X23 a client that stands still is waited for until graceMs, and then the report says so", async () => {
  await using scene = openScene();
  const a = await scene.server("a", []);
  const still = stoppable();
  const client = scene.client([], { center: undefined, endpoints: [a.endpoint], transport: still.transport });
  assertEquals(await client.call("who.am"), "a");
  still.stop();
  const { proven, complete, connections, told, tookMs } = await scene.drained(a, 3_000);
  assertEquals([proven, complete, connections, told], [false, true, 1, 0]);
  assert(tookMs >= 3_000, `${tookMs}`);
});

Deno.test("X23 calls that run are let end, those that do not end are cut after graceMs", async () => {
  await using scene = openScene();
  const a = await scene.server("a", ["x"]);
  const release = Promise.withResolvers<string>();
  a.handle("slow.short", () => release.promise);
  a.handle("slow.long", () => new Promise(() => {}));
  const client = scene.client([], { center: undefined, endpoints: [a.endpoint] });
  const short = client.call("slow.short", {}, { timeoutMs: 60_000 });
  const long = client.call("slow.long", {}, { timeoutMs: 60_000, retry: false }).catch((error) => error.code);
  await scene.clock.advance(0);
  const draining = scene.drained(a, 4_000);
  await scene.clock.settle();
  release.resolve("ended");
  assertEquals(await short, "ended");
  const { complete, cutCalls } = await draining;
  assertEquals([complete, cutCalls, await long], [false, 1, "unavailable"]);
});

Deno.test("a center that is away, or stands still, does not hold up a drain for longer than graceMs, and is not proof", async () => {
  await using scene = openScene();
  await scene.center("x");
  const y = await scene.center("y");
  await scene.center("z");
  const still = stoppable();
  const transport: Transport = {
    ...systemTransport,
    connect: (endpoint, options) =>
      (endpoint === scene.addressOf("z") ? still.transport : systemTransport).connect(endpoint, options),
  };
  const a = await scene.server("a", ["x", "y", "z", "never"], { transport });
  await y.close();
  still.stop();
  const { proven, complete, centers } = await scene.drained(a, 3_000);
  assertEquals([proven, complete], [false, true]);
  assertEquals(centers.map(({ state }) => state), ["acknowledged", "unproven", "unproven", "unlisted"]);
  assertEquals(centers.map(({ name }) => name), ["x", "y", "z", "never"].map(scene.addressOf));
  assert(/nobody listens/.test(centers[1].why!), centers[1].why);
});

Deno.test("a registry that can't tell who has acknowledged what is not proof", async () => {
  await using scene = openScene();
  const registry: Registry = Object.assign(new MemoryRegistry() as Registry, { settled: undefined });
  const a = await scene.server("a", [], { registry });
  const { proven, centers } = await scene.drained(a, 3_000);
  assertEquals([proven, centers.map(({ why }) => why)], [false, ["the registry can't tell"]]);
  await registry.close();
});

Deno.test("a second drain ends the first at once, also while that waits for watchers", async () => {
  await using scene = openScene();
  const center = await scene.center("x");
  const a = await scene.server("a", ["x"]);
  const stuck = center.registry.watch("who")[Symbol.asyncIterator]();
  await stuck.next();
  const first = a.drain({ graceMs: 3_600_000 });
  await scene.clock.advance(500);
  const second = a.drain();
  await scene.clock.advance(0);
  assertEquals([(await first).proven, (await second).proven], [false, false]);
  await stuck.return?.();
});

Deno.test("closing a server does not wait for a center that stands still", async () => {
  await using scene = openScene();
  await scene.center("x");
  const still = stoppable();
  const a = await scene.server("a", ["x"], { transport: { ...still.transport } });
  still.stop();
  let closed = false;
  const closing = a.close().then(() => closed = true);
  await scene.clock.advance(2_100);
  assertEquals(closed, true);
  await closing;
});

Deno.test("X23 the last answers before a server is gone arrive, also while the client still sends and leaves by itself", async () => {
  for (let messages = 1; messages <= 20; messages++) {
    const simulation = new Simulation({ seed: messages, link: { latencyMs: 5 } });
    await simulation.run(async () => {
      await simulation.node("center").start(async ({ platform, transport }) => {
        const center = new Center({ platform, transport, tokens: ANYBODY });
        await center.listen("tcp://center:7700");
        return center;
      });
      const server = await simulation.node("server").start(async ({ platform, transport, sleep }) => {
        const server = new Server({ platform, transport, id: "server", center: "tcp://center:7700" });
        server.handle(Words, {
          ...words,
          async *search() {
            await sleep(500);
            for (let line = 0; line < messages; line++) {
              await sleep(6);
              yield { line, text: "x".repeat(150) };
            }
          },
        });
        await server.listen("tcp://server:4000");
        return server;
      });
      // What it has read it gives back at once: something is on its way to the server whenever that closes.
      const limits = { streamWindowBytes: 1024 };
      const client = await simulation.node("client").start(({ platform, transport }) =>
        new Client({ platform, transport, limits, center: "tcp://center:7700", retry: false })
      );
      const reading = Array.fromAsync(client.service(Words).search({ pattern: "" }));
      await simulation.sleep(200);
      const report = await server.drain({ graceMs: 10_000 });
      await simulation.node("server").stop();
      assertEquals((await reading).length, messages);
      assertEquals([report.proven, report.cutCalls], [true, 0]);
      await simulation.stop();
    });
  }
});
