/** What balancers are told about instances. */
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import {
  type Balancer,
  byZone,
  firstAvailable,
  leastLoaded,
  roundRobin,
  RpcError,
  serverStream,
  service,
  unary,
} from "@erpc/erpc";
import { testPair } from "@erpc/erpc/testing";
import type { Candidate, Surroundings } from "@erpc/erpc/extend";
import { fleetTest } from "./fleet.ts";

/** A balancer that takes turns, and keeps what it was given. */
class Probe implements Balancer {
  readonly name = "probe";
  readonly observes: boolean;
  candidates: readonly Candidate[] = [];
  surroundings!: Surroundings;
  readonly #inner = roundRobin();

  constructor(observes: boolean) {
    this.observes = observes;
  }

  build(
    candidates: readonly Candidate[],
    ...rest: Parameters<Balancer["build"]> extends [unknown, ...infer R] ? R : never
  ) {
    this.candidates = candidates;
    this.surroundings = rest[1];
    return this.#inner.build(candidates, ...rest);
  }

  get(id: string): Candidate {
    const found = this.candidates.find(({ instance }) => instance.id === id);
    if (found === undefined) throw new Error(`There is no candidate "${id}"`);
    return found;
  }
}

fleetTest(
  "a balancer is told how many calls run where, from the pick to the end, also while it dials",
  async (fleet) => {
    const probe = new Probe(false);
    await fleet.servers(2);
    const client = await fleet.client({ balancer: probe });
    const state = () => [...probe.candidates.map(({ inFlight }) => inFlight), probe.surroundings.inFlight];
    const calls = Array.from({ length: 5 }, () => client.call("t.work"));
    await Promise.resolve();
    await fleet.world.sleep(0.5);
    assertEquals(state().toSorted(), [2, 3, 5], "nobody is connected yet");
    await Promise.all(calls);
    assertEquals(state(), [0, 0, 0]);

    for (const { inFlight } of client.stats().services[0].instances) assertEquals(inFlight, 0);
    fleet.behaviours.forEach((behaviour) => behaviour.delayMs = 1_000);
    const settled = Promise.allSettled([
      client.call("t.work", 0, { timeoutMs: 100 }),
      client.call("t.work", 0, { signal: AbortSignal.abort() }),
      client.call("t.work", 0, { timeoutMs: 0 }),
      client.call("t.work", () => {}, {}), // can't be encoded
      client.call("t.work"),
    ]);
    await fleet.world.sleep(10);
    assertEquals(state()[2], 2);
    await settled;
    assertEquals(state(), [0, 0, 0]);

    const lost = Promise.allSettled([client.call("t.work"), client.call("t.work")]);
    await fleet.world.sleep(10);
    for (const name of ["s0", "s1"]) fleet.world.node(name).crash();
    await lost;
    await Promise.allSettled([client.call("t.work"), client.call("t.work", 0, { retry: false })]);
    assertEquals(state(), [0, 0, 0]);
  },
);

fleetTest("a balancer is told which of the calls are streams, until they end", async (fleet) => {
  const probe = new Probe(false);
  const server = await fleet.server("s0");
  const Ticks = service("t.Ticks", { tick: serverStream<number, number>() });
  server.handle(Ticks, {
    async *tick(count) {
      for (let n = 0; n < count; n++) {
        yield n;
        await fleet.world.sleep(10);
      }
    },
  });
  const client = await fleet.client({ balancer: probe });
  const ticks = client.service(Ticks);
  const counts = () => [probe.candidates[0].inFlight, probe.candidates[0].streams];
  const [long, short] = [ticks.tick(1e9), ticks.tick(2)];
  await Promise.all([long.next(), short.next()]);
  assertEquals(counts(), [2, 2]);
  for await (const _ of short) continue;
  assertEquals(counts(), [1, 1]);
  await long.return?.();
  assertEquals(counts(), [0, 0]);
});

fleetTest(
  "a balancer that observes is told how long replies take and how many fail; application errors don't count",
  async (fleet) => {
    const probe = new Probe(true);
    await fleet.servers(4);
    const client = await fleet.client({ balancer: probe });
    fleet.behaviours.get("s1")!.delayMs = 50;
    fleet.behaviours.get("s2")!.fails = "not_found";
    fleet.behaviours.get("s3")!.fails = "Error";
    await fleet.load(client, 100, 20_000);
    const seen = (id: string) => {
      const { latencyMs, errorShare } = probe.get(`tcp://${id}:4000`);
      return { latencyMs, errorShare };
    };
    // A millisecond there, one for the answer, and one back.
    assertAlmostEquals(seen("s0").latencyMs, 3, 1);
    assertAlmostEquals(seen("s1").latencyMs, 52, 1);
    assertEquals([seen("s0").errorShare, seen("s1").errorShare, seen("s2").errorShare], [0, 0, 0]);
    assert(seen("s3").errorShare > 0.8, `${seen("s3").errorShare}`);
    const stats = client.stats().services[0].instances.find(({ id }) => id === "tcp://s3:4000")!;
    assertEquals(stats.errorShare, seen("s3").errorShare);
    assertEquals(stats.latencyMs, seen("s3").latencyMs);
  },
);

fleetTest("a balancer that does not observe is told nothing of it", async (fleet) => {
  const probe = new Probe(false);
  await fleet.servers(2);
  const client = await fleet.client({ balancer: probe });
  fleet.behaviours.get("s1")!.fails = "Error";
  await fleet.load(client, 100, 1_000);
  assertEquals(probe.candidates.map(({ latencyMs, errorShare }) => latencyMs + errorShare), [0, 0]);
});

fleetTest(
  "a balancer is told since when an instance is known: those that were there first, for ever",
  async (fleet) => {
    const probe = new Probe(false);
    await fleet.center();
    await fleet.servers(2);
    const client = await fleet.client({ balancer: probe, zone: "eu/a", id: "shop-7" });
    await client.call("t.work");
    assertEquals(probe.candidates.map(({ since }) => since), [-Infinity, -Infinity]);
    assertEquals([probe.surroundings.zone, probe.surroundings.clientId], ["eu/a", "shop-7"]);
    await fleet.world.sleep(5_000);
    const last = await fleet.server("s2");
    await fleet.world.sleep(100);
    await client.call("t.work");
    const { since } = probe.get("s2");
    assert(probe.surroundings.now() - since >= 90 && probe.surroundings.now() - since <= 110, `${since}`);
    await last.close();
  },
);

fleetTest("an instance that is listed again as it was, is not new, and what was seen of it holds", async (fleet) => {
  const probe = new Probe(true);
  await fleet.center();
  await fleet.servers(2);
  const client = await fleet.client({ balancer: probe });
  fleet.behaviours.get("s1")!.delayMs = 500;
  await fleet.load(client, 10, 1_000);
  const before = probe.get("s1");
  // Its beats get lost until its lease has ended.
  fleet.world.network.partition(["s1"], ["center"]);
  await fleet.world.sleep(25_000);
  await client.call("t.work");
  assertEquals(probe.candidates.length, 1);
  fleet.world.network.heal();
  await fleet.world.sleep(10_000);
  await client.call("t.work");
  assertEquals(probe.get("s1"), before);
  assertEquals(before.since, -Infinity);
  assert(before.latencyMs > 5, `${before.latencyMs}`);
});

fleetTest(
  "first available calls the first of the endpoints in the order in which they were given, and its successor when it is gone",
  async (fleet) => {
    for (const name of ["s2", "s0", "s1"]) await fleet.server(name);
    const client = await fleet.client({ balancer: firstAvailable() });
    assertEquals([...(await fleet.load(client, 100, 1_000)).answered], [["s2", 100]]);
    fleet.world.node("s2").crash();
    await fleet.world.sleep(10);
    assertEquals([...(await fleet.load(client, 100, 1_000)).answered], [["s0", 100]]);
    await fleet.world.node("s2").restart();
    await fleet.world.sleep(60_000);
    await client.call("t.work");
    await fleet.world.sleep(1_000);
    assertEquals([...(await fleet.load(client, 100, 1_000)).answered], [["s2", 100]]);
  },
);

fleetTest("a balancer that chooses nobody makes the call unavailable, and says which one it was", async (fleet) => {
  await fleet.center();
  await fleet.server("s0", { zone: "eu/b" });
  const client = await fleet.client({ zone: "eu/a", balancer: byZone(leastLoaded(), { strict: true }) });
  const error = await assertRejects(() => client.call("t.work"), RpcError);
  assertEquals([error.code, error.executed], ["unavailable", "no"]);
  assertEquals(
    error.message,
    'Cannot call service "t": balancer "by_zone(least_loaded)" chose none of its 1 instances',
  );
  const waiting = client.call("t.work", 0, { waitForReady: true, timeoutMs: 60_000 });
  await fleet.world.sleep(1_000);
  await fleet.server("s1", { zone: "eu/a" });
  assertEquals(await waiting, "s1");
});

Deno.test("a balancer of ten lines is enough", async () => {
  const newest: Balancer = {
    name: "newest",
    build(candidates) {
      const [first] = candidates.toSorted((a, b) => b.instance.version.localeCompare(a.instance.version));
      return () => first;
    },
  };
  const Echo = service("t.Echo", { echo: unary<string, string>() });
  await using pair = testPair(Echo, { echo: (text) => text }, { client: { balancer: newest } });
  assertEquals(await pair.client.echo("hi"), "hi");
});
