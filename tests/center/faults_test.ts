/** What becomes of centers, servers and clients that can't reach each other, in simulations. */
import { assert, assertEquals } from "@std/assert";
import { Center, Client, type ClientOptions, Server, type ServerOptions } from "@erpc/erpc";
import { Simulation } from "@erpc/erpc/testing";
import { ANYBODY } from "../support/anybody.ts";

const CENTERS = (names: string[]) => names.map((name) => `tcp://${name}:7700`);

/** A world with so many centers, and whatever a test adds. */
function world(seed: number) {
  const simulation = new Simulation({ seed });
  const centers: string[] = [];
  const open = new Map<string, Center>();
  const servers = new Map<string, Server>();
  return {
    simulation,
    async center(name: string): Promise<void> {
      centers.push(name);
      await simulation.node(name).start(async ({ platform, transport }) => {
        const center = new Center({ platform, transport, tokens: ANYBODY });
        await center.listen(`tcp://${name}:7700`);
        open.set(name, center);
        return center;
      });
    },
    async server(name: string, options: ServerOptions = {}): Promise<void> {
      await simulation.node(name).start(async ({ platform, transport }) => {
        const server = new Server({ platform, transport, id: name, center: CENTERS(centers), ...options });
        servers.set(name, server);
        server.handle("who.am", () => name);
        await server.listen(`tcp://${name}:4000`);
        return server;
      });
    },
    client(name: string, options: ClientOptions = {}): Promise<Client> {
      return simulation.node(name).start(({ platform, transport }) =>
        new Client({ platform, transport, center: CENTERS(centers), ...options })
      );
    },
    serverOf: (name: string) => servers.get(name)!,
    /** Who is listed by a center. */
    async listedBy(name: string): Promise<string> {
      return (await open.get(name)!.registry.lookup("who")).instances.map(({ id }) => id).join();
    },
    /** Waits until something is so, and says how long that took. */
    async until(isSo: () => boolean | Promise<boolean>, atMostMs = 120_000): Promise<number> {
      const from = simulation.now;
      while (!await isSo()) {
        assert(simulation.now - from <= atMostMs, `seed ${seed}: it has not become so in ${atMostMs} ms: ${isSo}`);
        await simulation.sleep(10);
      }
      return simulation.now - from;
    },
  };
}

const knownTo = (client: Client) => client.stats().services[0].instances.map(({ id }) => id).join();

/** Calls all the time, and keeps count of what comes back and of how many instances were known at least. */
function keepCalling(client: Client, simulation: Simulation, everyMs = 50) {
  const seen = { calls: 0, failures: [] as string[], fewest: Infinity, ended: false };
  const loop = (async () => {
    while (!seen.ended) {
      seen.calls++;
      await client.call("who.am", {}, { timeoutMs: 5_000 }).catch((error) => seen.failures.push(String(error)));
      seen.fewest = Math.min(seen.fewest, client.stats().services[0].instances.length);
      await simulation.sleep(everyMs);
    }
  })();
  return Object.assign(seen, {
    async end() {
      seen.ended = true;
      await loop;
      return seen;
    },
  });
}

Deno.test("X6 a center is killed, for ten minutes no call fails, and the client says how stale it is", async () => {
  const { simulation, center, server, client, serverOf } = world(6);
  await simulation.run(async () => {
    await center("c");
    for (const name of ["a", "b", "d"]) await server(name);
    const k = await client("k");
    const calling = keepCalling(k, simulation);
    await simulation.sleep(1_000);
    simulation.node("c").crash();
    await simulation.sleep(600_000);
    const { calls, failures, fewest } = await calling.end();
    assertEquals([failures, fewest], [[], 3]);
    assert(calls > 10_000, `${calls}`);
    const { watching, staleMs, sources } = k.stats().services[0];
    assertEquals([watching, sources[0].watching], [false, false]);
    assert(Math.abs(staleMs - 600_000) < 1_000, `${staleMs}`);
    const { state, centers } = serverOf("a").registration;
    assertEquals([state, centers[0].failures > 60], ["registering", true]);
    await simulation.stop();
  });
});

for (const silent of [false, true]) {
  Deno.test(`X7 a center ${silent ? "loses its power" : "is killed"} and restarts empty, all are back within two beats, nobody's set shrinks, no call fails`, async () => {
    for (let seed = 0; seed < 5; seed++) {
      const { simulation, center, server, client, listedBy, until } = world(seed);
      await simulation.run(async () => {
        await center("c");
        const names = Array.from({ length: 12 }, (_, i) => `s${String(i).padStart(2, "0")}`);
        for (const name of names) await server(name);
        const k = await client("k");
        const calling = keepCalling(k, simulation);
        await simulation.sleep(30_000);
        simulation.node("c").crash({ silent });
        await simulation.sleep(3_000 * seed);
        await simulation.node("c").restart();
        const tookMs = await until(async () => await listedBy("c") === names.join());
        assert(tookMs <= 10_000, `seed ${seed}: it took ${tookMs} ms`);
        // Past the warming, too.
        await simulation.sleep(60_000);
        const { failures, fewest } = await calling.end();
        assertEquals([failures, fewest], [[], names.length], `seed ${seed}`);
        assertEquals(k.stats().services[0].watching, true);
        await simulation.stop();
      });
    }
  });
}

Deno.test("X7 who does not come back while a center warms up is dropped when it has, and not before", async () => {
  const { simulation, center, server, client, until } = world(1);
  await simulation.run(async () => {
    await center("c");
    for (const name of ["a", "b"]) await server(name);
    const k = await client("k");
    await k.call("who.am");
    simulation.node("c").crash();
    simulation.node("b").crash({ silent: true });
    await simulation.node("c").restart();
    const restarted = simulation.now;
    await until(() => k.stats().services[0].watching);
    assertEquals(knownTo(k), "a,b");
    await until(() => knownTo(k) === "a");
    // A time to live, and a beat.
    const tookMs = simulation.now - restarted;
    assert(tookMs >= 20_000 && tookMs <= 22_000, `${tookMs}`);
    await simulation.stop();
  });
});

Deno.test("X9 a server and its center lose each other, it expires in time, goes on serving, and is back within a beat of the healing", async () => {
  for (let seed = 0; seed < 5; seed++) {
    const { simulation, center, server, client, listedBy, until, serverOf } = world(seed);
    await simulation.run(async () => {
      await center("c");
      for (const name of ["a", "b", "d", "e"]) await server(name);
      const direct = await client("k", { center: undefined, endpoints: ["tcp://a:4000"] });
      assertEquals(await direct.call("who.am"), "a");
      await simulation.sleep(30_000 + seed * 700);
      simulation.network.partition(["a"], ["c"]);
      const evictedMs = await until(async () => !(await listedBy("c")).includes("a"));
      // A time to live from the last beat that arrived, which was up to one beat before.
      assert(evictedMs >= 9_500 && evictedMs <= 17_600, `seed ${seed}: evicted after ${evictedMs} ms`);
      assertEquals(await direct.call("who.am"), "a");
      await simulation.sleep(60_000);
      assertEquals(serverOf("a").registration.state, "registering");
      simulation.network.heal();
      const backMs = await until(async () => (await listedBy("c")).includes("a"));
      assert(backMs <= 5_600, `seed ${seed}: back after ${backMs} ms`);
      assertEquals(direct.stats().counters.connectionsOpened, 1);
      await simulation.stop();
    });
  }
});

Deno.test("X11 a client and its center lose each other, calls go on, and within a second of the healing nothing is missing", async () => {
  for (const awayMs of [5_000, 30_000, 40_500, 51_000, 61_500, 72_000, 82_500, 93_000, 600_000]) {
    const { simulation, center, server, client, until } = world(awayMs);
    await simulation.run(async () => {
      await center("c");
      for (const name of ["a", "b"]) await server(name);
      const k = await client("k");
      const calling = keepCalling(k, simulation);
      await simulation.sleep(15_000);
      simulation.network.partition(["k"], ["c"]);
      await simulation.sleep(1_000);
      await server("d");
      await simulation.sleep(awayMs - 1_000);
      assertEquals(knownTo(k), "a,b");
      if (awayMs > 25_000) {
        const { watching, staleMs } = k.stats().services[0];
        assertEquals(watching, false);
        // Silence is taken for loss after 20 s.
        assert(staleMs > awayMs - 25_000 && staleMs <= awayMs, `${staleMs}`);
      }
      simulation.network.heal();
      const tookMs = await until(() => knownTo(k) === "a,b,d");
      assert(tookMs <= 1_000, `away for ${awayMs} ms, and it took ${tookMs} ms`);
      const { failures, fewest } = await calling.end();
      assertEquals([failures, fewest], [[], 2]);
      await simulation.stop();
    });
  }
});

Deno.test("X20 a server stands still for 20 s, two centers evict it, and both have it back when it goes on", async () => {
  const { simulation, center, server, listedBy, until, serverOf } = world(20);
  await simulation.run(async () => {
    for (const name of ["c", "x"]) await center(name);
    for (const name of ["a", "b", "d", "e"]) await server(name);
    await simulation.sleep(10_000);
    simulation.node("a").pause();
    await simulation.sleep(20_000);
    for (const name of ["c", "x"]) assertEquals(await listedBy(name), "b,d,e");
    simulation.node("a").resume();
    for (const name of ["c", "x"]) {
      const tookMs = await until(async () => await listedBy(name) === "a,b,d,e");
      assert(tookMs <= 5_600, `${tookMs}`);
    }
    assertEquals(serverOf("a").registration.state, "registered");
    await simulation.stop();
  });
});

Deno.test("X39 one of two centers loses all servers, and expires them; the other goes down after that; no call fails", async () => {
  const { simulation, center, server, client, listedBy, until } = world(39);
  await simulation.run(async () => {
    for (const name of ["c", "x"]) await center(name);
    const names = ["a", "b", "d"];
    for (const name of names) await server(name);
    const k = await client("k");
    const calling = keepCalling(k, simulation);
    await simulation.sleep(10_000);
    simulation.network.partition(["x"], names);
    // It holds on to so many at once for five minutes, and then lets them go little by little.
    await until(async () => await listedBy("x") === "", 3_600_000);
    assertEquals([await listedBy("c"), knownTo(k)], ["a,b,d", "a,b,d"]);
    assert(k.stats().services[0].instances.every(({ doubtful }) => !doubtful));
    simulation.node("c").crash();
    await simulation.sleep(60_000);
    // Nobody can be heard who lists them, and somebody can who has missed them.
    assertEquals(k.stats().services[0].instances.map(({ doubtful }) => doubtful), [true, true, true]);
    simulation.network.heal();
    await until(() => k.stats().services[0].instances.every(({ doubtful }) => !doubtful), 10_000);
    const { failures, fewest } = await calling.end();
    assertEquals([failures, fewest], [[], 3]);
    await simulation.stop();
  });
});

Deno.test("X39 each of three centers restarts empty, one after the other, in less time than servers need to return; no call fails", async () => {
  for (let seed = 0; seed < 3; seed++) {
    const { simulation, center, server, client } = world(seed);
    await simulation.run(async () => {
      for (const name of ["c", "x", "y"]) await center(name);
      for (const name of ["a", "b", "d"]) await server(name);
      const k = await client("k");
      const calling = keepCalling(k, simulation);
      await simulation.sleep(5_000);
      for (const name of ["c", "x", "y", "x", "c"]) {
        simulation.node(name).crash();
        await simulation.sleep(700);
        await simulation.node(name).restart();
        await simulation.sleep(700);
      }
      await simulation.sleep(60_000);
      const { failures, fewest } = await calling.end();
      assertEquals([failures, fewest], [[], 3], `seed ${seed}`);
      await simulation.stop();
    });
  }
});

Deno.test("a region is lost with its center, its servers and all its paths, and nothing of another region is removed by that", async () => {
  const { simulation, center, server, client } = world(5);
  await simulation.run(async () => {
    for (const name of ["north", "south"]) await center(name);
    const own = (zone: string): ServerOptions => ({ zone, center: CENTERS([zone]) });
    for (const name of ["n1", "n2"]) await server(name, own("north"));
    for (const name of ["s1", "s2"]) await server(name, own("south"));
    const k = await client("k");
    await k.call("who.am");
    assertEquals(knownTo(k), "n1,n2,s1,s2");
    const calling = keepCalling(k, simulation);
    simulation.network.partition(["north", "n1", "n2"], ["south", "s1", "s2", "k"]);
    await simulation.sleep(120_000);
    assertEquals(knownTo(k), "n1,n2,s1,s2");
    simulation.network.heal();
    simulation.node("south").crash();
    await simulation.sleep(60_000);
    assertEquals(knownTo(k), "n1,n2,s1,s2");
    const { fewest } = await calling.end();
    assertEquals(fewest, 4);
    await simulation.stop();
  });
});

Deno.test("X41 one of ten servers restarts every two seconds for a minute, at most one call in a hundred fails, even without retries", async () => {
  for (let seed = 0; seed < 3; seed++) {
    const { simulation, center, server, client } = world(seed);
    await simulation.run(async () => {
      await center("c");
      const names = Array.from({ length: 10 }, (_, i) => `s${i}`);
      for (const name of names) await server(name);
      const k = await client("k");
      await k.call("who.am");
      let [calls, failed, ended] = [0, 0, false];
      const callers = Array.from({ length: 10 }, async () => {
        while (!ended) {
          calls++;
          await k.call("who.am", {}, { retry: false, timeoutMs: 5_000 }).catch(() => failed++);
          await simulation.sleep(10);
        }
      });
      for (let round = 0; round < 30; round++) {
        await simulation.sleep(2_000);
        simulation.node("s0").crash();
        await simulation.node("s0").restart();
      }
      ended = true;
      await Promise.all(callers);
      assert(calls > 20_000, `${calls}`);
      assert(failed <= calls / 100, `seed ${seed}: ${failed} of ${calls} calls failed`);
      await simulation.stop();
    });
  }
});
