/** What servers report of their load, and what becomes of it. */
import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { byZone, leastLoaded, roundRobin } from "@erpc/erpc";
import { fleetTest } from "./fleet.ts";

fleetTest("least load counts what other clients have running, as far as the server has said so", async (fleet) => {
  await fleet.servers(2);
  for (const behaviour of fleet.behaviours.values()) behaviour.delayMs = 20;
  const other = await fleet.client({ endpoints: ["tcp://s0:4000"] }, "other");
  const client = await fleet.client({ balancer: leastLoaded() });
  // Both are as quick as before: only their reports differ.
  const alone = await fleet.load(client, 50, 10_000);
  assertGreater(alone.answered.get("s0")!, 150);
  const many = Array.from({ length: 40 }, async () => {
    for (let n = 0; n < 450; n++) await other.call("t.work");
  });
  const { answered, failures } = await fleet.load(client, 50, 10_000);
  assertEquals(failures.length, 0);
  assertGreater(answered.get("s1")!, 400);
  assertLess(answered.get("s0")!, 100);
  const seen = client.stats().services[0].instances.find(({ endpoint }) => endpoint === "tcp://s1:4000")?.load;
  assert(seen !== undefined && seen.inFlight <= 3 && seen.lagMs === 0, JSON.stringify(seen));
  await Promise.all(many);
});

fleetTest("a report is forgotten when it is two seconds old", async (fleet) => {
  await fleet.servers(1);
  const client = await fleet.client();
  await client.call("t.work");
  const load = () => client.stats().services[0].instances[0].load;
  assert(load() !== undefined);
  await fleet.world.sleep(1_900);
  assert(load() !== undefined);
  await fleet.world.sleep(200);
  assertEquals(load(), undefined);
});

fleetTest(
  "by zone spills before a server at home is full, as it says itself, and no call is refused",
  async (fleet) => {
    await fleet.center();
    const limit = 10;
    await fleet.server("home", { zone: "eu/a", admission: { limit } });
    await fleet.server("next", { zone: "eu/b", admission: { limit } });
    await fleet.server("far", { zone: "us/a", admission: { limit } });
    for (const behaviour of fleet.behaviours.values()) behaviour.delayMs = 20;
    const client = await fleet.client({ zone: "eu/a", balancer: byZone(roundRobin()), retry: false });
    // A call takes 22 ms: so many a second are 6.6 and 13.2 at a time, where 8 are four fifths.
    const calm = await fleet.load(client, 300, 5_000);
    assertEquals([calm.failures.length, [...calm.answered]], [0, [["home", 1_500]]]);
    const busy = await fleet.load(client, 600, 5_000);
    assertEquals(busy.failures.length, 0);
    const { home = 0, next = 0, far = 0 } = Object.fromEntries(busy.answered);
    assert(home > 1_500 && next > 800 && far === 0, JSON.stringify({ home, next, far }));
  },
);
