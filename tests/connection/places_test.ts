/** Calls that find no place, because those that were taken back hold theirs; and pings where writing is slow. */
import { assertEquals, assertGreater } from "@std/assert";
import { Client, Server, type ServerOptions } from "@erpc/erpc";
import { type LinkOptions, Simulation } from "@erpc/erpc/testing";

/** A server whose handlers take 300 ms, whatever their signals say. */
function stubborn(limits: ServerOptions["limits"], link: LinkOptions = {}) {
  const world = new Simulation({ link });
  const start = async () => {
    const server = await world.node("server").start(async ({ platform, transport, sleep }) => {
      const server = new Server({ platform, transport, limits });
      server.handle("t/slow", async () => (await sleep(300), "done"));
      server.handle("t/echo", (text: string) => text.length);
      await server.listen("tcp://server:1");
      return server;
    });
    const client = await world.node("client").start(({ platform, transport }) =>
      new Client({
        endpoints: ["tcp://server:1"],
        platform,
        transport,
        retry: false,
        limits: { maxConnectionsPerInstance: 1 },
      })
    );
    return { server, client };
  };
  return { world, start };
}

Deno.test("a client whose calls are refused lets no more of them run for a moment, and keeps its connection", async () => {
  for (const maxStreams of [1, 4, 64]) {
    const { world, start } = stubborn({ maxStreams }, { latencyMs: 0.1 });
    await world.run(async () => {
      const { server, client } = await start();
      const outcomes = new Map<string, number>();
      const hammer = async () => {
        for (let n = 0; n < 200; n++) {
          const outcome = await client.call("t/slow", null, { timeoutMs: 5 }).then(() => "ok", ({ code }) => code);
          outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        }
      };
      await Promise.all(Array.from({ length: 2 * maxStreams }, hammer));
      const { counters } = server.stats();
      assertEquals({ violations: counters.violations, opened: counters.connectionsOpened }, {
        violations: 0,
        opened: 1,
      });
      assertGreater(counters.callsRefused, 0);
      await world.sleep(1_000);
      const calls = Array.from({ length: maxStreams }, () => client.call("t/slow", null, { timeoutMs: 1_000 }));
      assertEquals(new Set(await Promise.all(calls)), new Set(["done"]));
      await world.stop();
    });
  }
});

Deno.test("a connection on which writing is slow is not pinged again before the first ping was answered", async () => {
  const { world, start } = stubborn({ keepaliveMs: 1_000 }, { capacityBytes: 700, latencyMs: 30 });
  await world.run(async () => {
    const { server, client } = await start();
    const text = "x".repeat(100_000);
    assertEquals(await client.call("t/echo", text, { timeoutMs: 120_000 }), text.length);
    const { violations, connectionsOpened } = server.stats().counters;
    assertEquals({ violations, connectionsOpened }, { violations: 0, connectionsOpened: 1 });
    await world.stop();
  });
});
