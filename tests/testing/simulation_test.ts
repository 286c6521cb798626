import { assert, assertEquals, assertGreater, assertLess, assertRejects, assertThrows } from "@std/assert";
import { Client, RpcError, Server } from "@erpc/erpc";
import { type LinkOptions, type NodeContext, Simulation } from "@erpc/erpc/testing";

/** A server that says its life, and can be asked to wait. */
async function greeter({ platform, transport, incarnation, sleep }: NodeContext): Promise<Server> {
  const server = new Server({ platform, transport });
  server.handle("t/life", () => incarnation);
  server.handle("t/late", async (ms: number) => (await sleep(ms), "late"));
  await server.listen("tcp://server:4000");
  return server;
}

function caller({ platform, transport }: NodeContext): Client {
  return new Client({ endpoints: ["tcp://server:4000"], platform, transport });
}

/** A server and a client in a simulation. */
function together(
  test: (world: Simulation, client: Client) => Promise<void>,
  link: LinkOptions = {},
  seed = 1,
): Promise<Simulation> {
  const world = new Simulation({ seed, link });
  return world.run(async () => {
    await world.node("server").start(greeter);
    const client = await world.node("client").start(caller);
    await test(world, client);
    await world.stop();
    for (const node of world.nodes) assertEquals(node.usage, { timers: 0, connections: 0, listeners: 0 }, node.name);
    return world;
  });
}

const codeOf = (call: Promise<unknown>) => call.then(() => "ok", (error) => `${error.code}, ran: ${error.executed}`);

Deno.test("Simulation carries calls, takes virtual time for them, and leaves nothing behind", async () => {
  await together(async (world, client) => {
    assertEquals(await client.call("t/life"), 1);
    assertGreater(world.now, 3); // there and back, twice
    const before = world.now;
    assertEquals(await client.call("t/late", 3_600_000, { timeoutMs: 4_000_000 }), "late");
    assertLess(Math.abs(world.now - before - 3_600_000), 10);
  });
});

Deno.test("Simulation does the same again with the same seed, and something else with another", async () => {
  const link: LinkOptions = { jitterMs: 20, segmentBytes: [1, 100], partialWrites: 0.5, stalls: 0.1 };
  const run = async (seed: number) => {
    const world = await together(
      async (_, client) => {
        await Promise.all(Array.from({ length: 20 }, () => client.call("t/life")));
      },
      link,
      seed,
    );
    return [world.hash, world.events, world.now].join();
  };
  const [first, again, other] = [await run(7), await run(7), await run(8)];
  assertEquals(first, again);
  assert(first !== other);
});

Deno.test("Simulation.run rejects with what the test throws, and when nothing is going to happen any more", async () => {
  const world = new Simulation();
  await assertRejects(() => world.run(() => Promise.reject(new RangeError("mine"))), RangeError, "mine");
  await assertRejects(() => world.run(() => new Promise(() => {})), Error, "nothing is going to happen");
  await assertRejects(
    () => world.run(() => world.sleep(10_000), { limitMs: 5_000 }),
    Error,
    "5000 ms of virtual time have passed",
  );
  assertEquals(world.now, 5_000);
  world.after(1, () => {
    throw new TypeError("from a timer");
  });
  await assertRejects(() => world.advance(10), TypeError, "from a timer");
  const running = world.run(() => world.sleep(1));
  await assertRejects(() => world.advance(1), TypeError, "driven already");
  await running;
});

Deno.test("Simulation.node refuses what is no host name, and SimulatedNode what its state forbids", async () => {
  const world = new Simulation();
  for (const name of ["", "a b", "1.2.3.4", "localhost", "a:1"]) assertThrows(() => world.node(name), TypeError);
  const node = world.node("one");
  assertThrows(() => node.context, TypeError, "not up");
  assertThrows(() => node.restart(), TypeError, "never started");
  await world.run(() => node.start(() => {}));
  assertThrows(() => node.restart(), TypeError, "is up");
  await assertRejects(async () => await node.start(() => {}), TypeError, "is up");
  assertThrows(() => world.network.set({ stalls: 2 }), RangeError, "stalls");
  assertThrows(() => new Simulation({ link: { segmentBytes: [5, 4] } }), RangeError, "segmentBytes");
});

Deno.test("a crash ends the program at once, its connections are closed, and the next life begins anew", async () => {
  await together(async (world, client) => {
    assertEquals(await client.call("t/life"), 1);
    const lost = codeOf(client.call("t/late", 60_000));
    await world.sleep(100);
    const before = world.now;
    world.node("server").crash();
    assertEquals(await lost, "unavailable, ran: maybe");
    assertLess(world.now - before, 50);
    assertEquals(await codeOf(client.call("t/life", 0, { retry: false })), "unavailable, ran: no");
    await world.node("server").restart();
    await world.sleep(1_000);
    assertEquals(await client.call("t/life"), 2);
  });
});

Deno.test("X13 a machine that is gone without a word is noticed by its silence alone", async () => {
  await together(async (world, client) => {
    assertEquals(await client.call("t/life"), 1);
    const lost = codeOf(client.call("t/late", 60_000, { timeoutMs: 60_000 }));
    await world.sleep(100);
    const before = world.now;
    world.node("server").crash({ silent: true });
    assertEquals(await lost, "unavailable, ran: maybe");
    const noticedMs = world.now - before;
    assert(noticedMs > 15_000 && noticedMs <= 21_000, `after ${noticedMs} ms`);
    // The machine is there again and knows nothing of the old connection.
    await world.node("server").restart();
    await world.sleep(5_000);
    assertEquals(await client.call("t/life", 0, { timeoutMs: 60_000, waitForReady: true }), 2);
  });
});

Deno.test("a machine that comes back resets what others still send it", async () => {
  const world = new Simulation();
  await world.run(async () => {
    const server = world.node("server");
    await server.start(async ({ transport }) => {
      const listener = await transport.listen("tcp://server:1");
      void listener.accept();
    });
    const { transport } = await world.node("client").start((context) => context);
    const conn = await transport.connect("tcp://server:1");
    await world.sleep(10);
    server.crash({ silent: true });
    await conn.write(new Uint8Array(10));
    const read = conn.read(new Uint8Array(1)).catch((error) => error.name);
    await world.sleep(60_000);
    await server.restart();
    assertEquals(await read, "ConnectionReset");
    conn.close();
  });
});

Deno.test("X20 a node that stands still answers later what came meanwhile", async () => {
  await together(async (world, client) => {
    await client.call("t/life");
    world.node("server").pause();
    const call = client.call("t/life");
    await world.sleep(4_000);
    world.node("server").resume();
    assertEquals(await call, 1);
  });
});

Deno.test("X21 the deadlines of a node that stands still pass once, when it goes on", async () => {
  await together(async (world, client) => {
    const calls = Array.from({ length: 20 }, () => codeOf(client.call("t/late", 30_000, { timeoutMs: 1_000 })));
    await world.sleep(100);
    world.node("client").pause();
    await world.sleep(20_000);
    world.node("client").resume();
    const before = world.now;
    assertEquals(new Set(await Promise.all(calls)), new Set(["deadline_exceeded, ran: maybe"]));
    assertLess(world.now - before, 20);
  });
});

Deno.test("a partition tells nobody, and what was under way arrives when it heals", async () => {
  await together(async (world, client) => {
    await client.call("t/life");
    world.network.partition(["client"], ["server"]);
    const call = client.call("t/life", 0, { timeoutMs: 8_000 });
    await world.sleep(3_000);
    world.network.heal();
    const before = world.now;
    assertEquals(await call, 1);
    assertLess(world.now - before, 20);
  });
});

Deno.test("a link that is blocked one way lets the other way through", async () => {
  const world = new Simulation();
  await world.run(async () => {
    const accepted = Promise.withResolvers<number>();
    await world.node("server").start(async ({ transport }) => {
      const listener = await transport.listen("tcp://server:1");
      void listener.accept().then(async (conn) => {
        let heard = 0;
        while (heard < 10) heard += await conn.read(new Uint8Array(100)) ?? 0;
        accepted.resolve(heard);
        await conn.write(new Uint8Array(3));
      });
    });
    const { transport } = await world.node("client").start((context) => context);
    const conn = await transport.connect("tcp://server:1");
    world.network.block("server", "client");
    await conn.write(new Uint8Array(10));
    assertEquals(await accepted.promise, 10);
    let answered = false;
    const reading = conn.read(new Uint8Array(10)).then((count) => (answered = true, count));
    await world.sleep(60_000);
    assertEquals(answered, false);
    world.network.unblock("server", "client");
    assertEquals(await reading, 3);
  });
});

Deno.test("dialling is refused, gets no answer, or fails to be accepted, as the link says", async () => {
  await together(async (world, client) => {
    world.network.set({ refusals: 1 });
    assertEquals(await codeOf(client.call("t/life", 0, { retry: false })), "unavailable, ran: no");
    world.network.set({ refusals: 0, lostDials: 1 });
    await world.sleep(1_000);
    const before = world.now;
    assertEquals(await codeOf(client.call("t/life", 0, { retry: false })), "unavailable, ran: no");
    assert(world.now - before >= 5_000); // limits.connectMs
    world.network.set({ lostDials: 0, acceptErrors: 0.5 });
    await world.sleep(1_000);
    assertEquals(await client.call("t/life"), 1);
  });
});

Deno.test("a connection is reset at a byte, and everything on it fails at once", async () => {
  await together(async (_, client) => {
    const outcomes = new Set<string>();
    for (let i = 0; i < 60; i++) outcomes.add(await codeOf(client.call("t/late", 0, { retry: false })));
    assert(outcomes.has("ok"), [...outcomes].join());
    assert(outcomes.has("unavailable, ran: maybe"), [...outcomes].join());
  }, { resets: 1, resetWithinBytes: 2_000 });
});

Deno.test("wall clocks jump and are apart, monotonic clocks are not moved by that", async () => {
  const world = new Simulation();
  await world.run(async () => {
    const node = world.node("one");
    const { platform } = await node.start((context) => context);
    const before = [platform.clock.now(), platform.clock.wall()];
    node.jumpWallClock(-3_600_000);
    await world.sleep(1_000);
    assertEquals(Math.round(platform.clock.now() - before[0]), 1_000);
    assertEquals(Math.round(platform.clock.wall() - before[1]), 1_000 - 3_600_000);
    const other = await world.node("other").start((context) => context);
    assert(other.platform.clock.wall() !== platform.clock.wall());
  });
});

Deno.test("a slow node does one thing after the other", async () => {
  await together(async (world, client) => {
    await client.call("t/life");
    world.node("server").slowDown(50);
    const before = world.now;
    for (let i = 0; i < 10; i++) await client.call("t/life");
    assert(world.now - before >= 450);
  });
});

Deno.test("RpcError of a call in a simulation has the same explanation as elsewhere", async () => {
  await together(async (world, client) => {
    world.node("server").crash();
    const error = await assertRejects(() => client.call("t/life", 0, { retry: false }), RpcError);
    assertEquals(error.explain?.attempts.length, 1);
    await world.node("server").restart();
  });
});

Deno.test("a node that is stopped twice at once is stopped when its program has been closed", async () => {
  const world = new Simulation();
  await world.run(async () => {
    const node = world.node("one");
    let closed = false;
    await node.start(({ sleep }) => ({
      async [Symbol.asyncDispose]() {
        await sleep(1_000);
        closed = true;
      },
    }));
    await Promise.race([node.stop(), node.stop()]);
    assertEquals([closed, node.isUp, world.now], [true, false, 1_000]);
  });
});
