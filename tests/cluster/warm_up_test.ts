import { assertEquals, assertLess } from "@std/assert";
import { service, unary } from "@erpc/erpc";
import { fleetTest } from "./fleet.ts";

const Work = service("t", { work: unary<number, string>() });

fleetTest("warm-up connects with all instances before the first call", async (fleet) => {
  await fleet.center();
  await fleet.servers(3);
  const client = await fleet.client({ warmUp: true });
  const work = client.service(Work);
  await fleet.world.sleep(100);
  assertEquals(client.stats().services[0].instances.map(({ state }) => state), ["ready", "ready", "ready"]);
  const from = fleet.world.now;
  await work.work(1);
  // There, a millisecond of work, and back.
  assertLess(fleet.world.now - from, 4);
});

fleetTest("without warm-up nobody is dialled, and nothing is asked, before the first call", async (fleet) => {
  await fleet.center();
  await fleet.servers(3);
  const client = await fleet.client();
  client.service(Work);
  await fleet.world.sleep(10_000);
  assertEquals([client.stats().services, client.stats().counters.connectionsOpened], [[], 0]);
});

fleetTest("warm-up calls a new instance only once it is connected", async (fleet) => {
  await fleet.center();
  await fleet.servers(2);
  const client = await fleet.client({ warmUp: true });
  client.service(Work);
  await fleet.world.sleep(100);
  fleet.world.network.setLink("client", "s2", { latencyMs: 200 });
  const running = fleet.load(client, 100, 5_000);
  await fleet.world.sleep(1_000);
  await fleet.server("s2");
  const { failures, answered, tookMs } = await running;
  assertEquals([failures.length, answered.size], [0, 3]);
  // A call there takes 201 ms and one more; to dial it takes as long again, and longer.
  assertLess(Math.max(...tookMs), 205);
});

fleetTest("warm-up with everybody out of reach, calls are tried all the same", async (fleet) => {
  await fleet.servers(2);
  fleet.world.network.set({ refusals: 1 });
  const client = await fleet.client({ warmUp: true });
  client.service(Work);
  await fleet.world.sleep(1_000);
  const waiting = client.call("t.work", 0, { waitForReady: true, timeoutMs: 60_000 });
  await fleet.world.sleep(1_000);
  fleet.world.network.set({ refusals: 0 });
  assertEquals((await waiting).slice(0, 1), "s");
});
