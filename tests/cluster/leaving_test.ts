/** Instances that leave the list while calls run on their connections. */
import { assert, assertEquals } from "@std/assert";
import { Client, MemoryRegistry, Server } from "@erpc/erpc";
import type { Instance } from "../../src/registry/instance.ts";
import type { RemovalCause } from "../../src/registry/registry.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { instanceOf } from "../registry/instances.ts";

let scenes = 0;

/** A client of one server, which is listed by hand. The server gives as many numbers as it is told to. */
async function openScene() {
  const platform = virtualPlatform(1);
  const { clock } = platform;
  const registry = new MemoryRegistry({ platform });
  const endpoint = `memory://leaving-${++scenes}`;
  const server = new Server({ platform, limits: { idleMs: 3_600_000 } });
  const numbers: ((number: number | undefined) => void)[] = [];
  let aborted = 0;
  server.handle("t.wait", async (_, ctx) => {
    ctx.signal.addEventListener("abort", () => aborted++);
    return await new Promise((resolve) => numbers.push(resolve));
  });
  server.handle("t.quick", () => "quick");
  await server.listen(endpoint);
  const instance = (differences: Partial<Instance> = {}) =>
    instanceOf("a", { endpoints: [endpoint], services: ["t"], ...differences });
  let lease = await registry.register(instance(), { ttlMs: 86_400_000 });
  const client = new Client({ platform, registry, retry: false });
  return {
    clock,
    server,
    client,
    endpoint,
    instance,
    numbers,
    aborted: () => aborted,
    known: () => client.stats().services[0].instances.map(({ endpoint }) => endpoint),
    async leave(cause: RemovalCause) {
      await registry.deregister(lease, cause);
      await clock.settle();
    },
    async list(differences: Partial<Instance> = {}) {
      lease = await registry.register(instance(differences), { ttlMs: 86_400_000 });
      await clock.settle();
    },
    /** Starts a call that does not end, and waits until it runs. */
    async begin(): Promise<{ ended: Promise<unknown> }> {
      const before = numbers.length;
      const ended = client.call("t.wait", {}, { timeoutMs: 3_600_000 }).catch((error) => error.code);
      while (numbers.length === before) await clock.settle();
      return { ended };
    },
    async [Symbol.asyncDispose]() {
      const closed = Promise.all([client.close(), server.close(), registry.close()]);
      await clock.advance(5_000);
      await closed;
      assertEquals(clock.timerCount, 0);
    },
  };
}

for (const cause of ["deregistered", "drained", "expired", "fenced", "admin"] as const) {
  Deno.test(`an instance leaves the list (${cause}), a call that runs on its connection goes on to its end, and then the connection ends`, async () => {
    await using scene = await openScene();
    const { ended } = await scene.begin();
    await scene.leave(cause);
    assertEquals(scene.known(), []);
    assertEquals(await scene.client.call("t.quick").catch((error) => error.code), "unavailable");
    await scene.clock.advance(600_000);
    assertEquals([scene.server.stats().connections, scene.server.stats().handlers, scene.aborted()], [1, 1, 0]);
    scene.numbers[0](7);
    assertEquals(await ended, 7);
    await scene.clock.advance(1_000);
    assertEquals(scene.server.stats().connections, 0);
  });
}

Deno.test("an instance leaves the list and returns while a call runs on its old connection: that goes on, new calls take a new one", async () => {
  await using scene = await openScene();
  const { ended } = await scene.begin();
  await scene.leave("expired");
  await scene.list();
  assertEquals(await scene.client.call("t.quick"), "quick");
  assertEquals(scene.server.stats().connections, 2);
  scene.numbers[0](7);
  assertEquals(await ended, 7);
  await scene.clock.advance(1_000);
  assertEquals(scene.server.stats().connections, 1);
});

Deno.test("an instance says something else of itself, its connection is kept", async () => {
  await using scene = await openScene();
  assertEquals(await scene.client.call("t.quick"), "quick");
  for (const differences of [{ weight: 5 }, { services: ["t", "u"] }, { metadata: { a: "b" } }, { incarnation: 2 }]) {
    await scene.list(differences);
    assertEquals(await scene.client.call("t.quick"), "quick");
  }
  assertEquals(scene.client.stats().counters.connectionsOpened, 1);
});

Deno.test("an instance moves to another address, calls that run at the old one go on to their end", async () => {
  await using scene = await openScene();
  const { ended } = await scene.begin();
  await scene.list({ endpoints: [`${scene.endpoint}-elsewhere`] });
  assertEquals(scene.known(), [`${scene.endpoint}-elsewhere`]);
  assertEquals(await scene.client.call("t.quick").catch((error) => error.code), "unavailable");
  scene.numbers[0](7);
  assertEquals(await ended, 7);
});

for (const says of ["nothing", "goodbye"]) {
  Deno.test(`a client is closed while a call runs on a connection whose instance has left the list, and whose server says ${says}: the call ends`, async () => {
    await using scene = await openScene();
    const { ended } = await scene.begin();
    let drained: Promise<unknown> | undefined;
    if (says === "goodbye") {
      drained = scene.server.drain({ graceMs: 3_600_000 });
      await scene.clock.advance(2_000);
    }
    await scene.leave("drained");
    const closing = scene.client.close();
    await scene.clock.advance(1_000);
    await closing;
    assertEquals(await ended, "unavailable");
    await scene.clock.advance(1_000);
    assertEquals(scene.aborted(), 1);
    assert(says === "nothing" || await drained);
  });
}
