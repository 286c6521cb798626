/** What becomes of calls when some instances are bad, in virtual time. */
import { assert, assertEquals, assertGreater, assertLess, assertRejects, assertStringIncludes } from "@std/assert";
import { type Client, random, RpcError } from "@erpc/erpc";
import { type Fleet, fleetTest } from "./fleet.ts";

function statsOf(client: Client, name: string) {
  const found = client.stats().services[0].instances.find(({ endpoint }) => endpoint === `tcp://${name}:4000`);
  if (found === undefined) throw new Error(`There is no instance "${name}"`);
  return found;
}

const ejectedOf = (client: Client) =>
  client.stats().services[0].instances.filter(({ ejected }) => ejected).map(({ id }) => id);

/** Servers of which the first fails as it is told. */
async function scene(fleet: Fleet, fails: "Error" | "unavailable" | "not_found", count = 10): Promise<Client> {
  await fleet.servers(count);
  fleet.behaviours.get("s0")!.fails = fails;
  return await fleet.client({ retry: false });
}

for (const fails of ["Error", "unavailable"] as const) {
  fleetTest(
    `X16 one of ten instances fails every call with ${fails}, it is left out within an interval and asked again after 30 s, then after 60`,
    async (fleet) => {
      const client = await scene(fleet, fails);
      const share = async (ms: number) => (await fleet.load(client, 200, ms)).failures.length / (ms / 5);
      const before = await share(10_000);
      assert(before > 0.08 && before < 0.12, `${before} of the calls fail at first`);
      await fleet.load(client, 200, 200);
      assertEquals(ejectedOf(client), ["tcp://s0:4000"]);
      assertEquals(await share(28_000), 0);
      // It is back, and still bad: it costs its share of one more interval.
      assertGreater(await share(12_000), 0);
      await fleet.load(client, 200, 1_000);
      assertEquals([ejectedOf(client), statsOf(client, "s0").ejections], [["tcp://s0:4000"], 2]);
      assertEquals(await share(57_000), 0);
      // Over minutes the share of calls that it costs falls below one in a hundred.
      fleet.behaviours.get("s0")!.fails = undefined;
      await fleet.load(client, 200, 15_000);
      assertEquals(ejectedOf(client), []);
      assertEquals((await fleet.load(client, 200, 5_000)).answered.size, 10);
    },
    { client: { balancer: random() } },
  );
}

fleetTest(
  "X16 one of ten instances fails every call for ten minutes, fewer than one call in a hundred fails after the first interval",
  async (fleet) => {
    const client = await scene(fleet, "Error");
    await fleet.load(client, 100, 20_000);
    const { failures } = await fleet.load(client, 100, 600_000);
    assertLess(failures.length / 60_000, 0.01);
    assertGreater(failures.length, 0);
  },
);

fleetTest("errors of the application eject nobody, however many there are", async (fleet) => {
  const client = await scene(fleet, "not_found");
  const { failures } = await fleet.load(client, 200, 60_000);
  assertEquals(ejectedOf(client), []);
  assert(Math.abs(failures.length - 1_200) <= 2, `${failures.length}`);
});

fleetTest("calls that are cancelled, or never sent, eject nobody", async (fleet) => {
  await fleet.servers(5);
  const client = await fleet.client({ retry: false });
  for (let n = 0; n < 1_000; n++) {
    const cancel = new AbortController();
    fleet.behaviours.get("s0")!.delayMs = 1_000;
    const call = client.call("t.work", 0, { signal: cancel.signal }).catch(() => {});
    if (n % 5 < 2) await fleet.world.sleep(20);
    cancel.abort();
    await call;
  }
  await fleet.world.sleep(20_000);
  assertEquals(ejectedOf(client), []);
});

fleetTest("ejection: false ejects nobody", async (fleet) => {
  const client = await scene(fleet, "Error");
  const { failures } = await fleet.load(client, 200, 60_000);
  assertGreater(failures.length, 1_000);
  assertEquals([ejectedOf(client), statsOf(client, "s0").ejections], [[], 0]);
}, { client: { ejection: false } });

fleetTest(
  "X17 every instance fails, one is left out, the others are called, and their errors are told",
  async (fleet) => {
    const client = await scene(fleet, "unavailable");
    for (const behaviour of fleet.behaviours.values()) behaviour.fails = "unavailable";
    await fleet.load(client, 200, 11_000);
    assertEquals(ejectedOf(client).length, 1);
    const { failures, answered } = await fleet.load(client, 200, 5_000);
    assertEquals([failures.length, answered.size], [1_000, 0]);
    assert(failures.every(({ message, executed }) => message === "as it was told" && executed === "yes"));
    assertStringIncludes(Deno.inspect(failures[0], { colors: false }), "10 instances known (1 ejected)");
    assertEquals(failures[0].explain?.ejected, 1);
  },
);

fleetTest("X17 more than half are bad or out of reach, nobody who can be reached is left out", async (fleet) => {
  const client = await scene(fleet, "Error");
  await fleet.load(client, 200, 11_000);
  assertEquals(ejectedOf(client), ["tcp://s0:4000"]);
  for (const name of ["s5", "s6", "s7", "s8", "s9"]) fleet.world.node(name).crash();
  await fleet.load(client, 200, 1_000);
  const { answered, failures } = await fleet.load(client, 200, 1_000);
  assertEquals([...answered.keys()].sort(), ["s1", "s2", "s3", "s4"]);
  assert(
    failures.length > 30 && failures.length < 50,
    `${failures.length}: a fifth of the calls goes to the one that is ejected`,
  );
  assertEquals(failures[0].explain?.unreachable, 5);
  assertStringIncludes(Deno.inspect(failures[0], { colors: false }), "10 instances known (1 ejected, 5 unreachable)");
});

fleetTest("X17 only one that is ejected can be reached, it is called, whatever panicBelow says", async (fleet) => {
  const client = await scene(fleet, "Error", 5);
  await fleet.load(client, 100, 11_000);
  assertEquals(ejectedOf(client), ["tcp://s0:4000"]);
  for (const name of ["s1", "s2", "s3", "s4"]) fleet.world.node(name).crash();
  await fleet.load(client, 100, 1_000);
  fleet.behaviours.get("s0")!.fails = undefined;
  assertEquals([...(await fleet.load(client, 100, 1_000)).answered], [["s0", 100]]);
}, { client: { ejection: { panicBelow: 0 } } });

fleetTest("X17 every instance is out of reach, calls say why", async (fleet) => {
  await fleet.servers(3);
  const client = await fleet.client();
  await client.call("t.work");
  for (const name of ["s0", "s1", "s2"]) fleet.world.node(name).crash();
  await fleet.world.sleep(10);
  const error = await assertRejects(() => client.call("t.work"), RpcError, "Cannot connect to tcp://s");
  assertEquals([error.code, error.executed], ["unavailable", "no"]);
  assertEquals(new Set(error.explain!.attempts.map(({ endpoint }) => endpoint)).size, 3);
});

fleetTest("X4 an instance that can't be reached is not called, and found again without a call", async (fleet) => {
  await fleet.servers(3);
  const client = await fleet.client({ retry: false });
  await fleet.load(client, 100, 1_000);
  fleet.world.node("s1").crash({ silent: true });
  // Those that were on their way to it, and those that meet it while nobody has noticed.
  await fleet.load(client, 100, 30_000);
  assertEquals(statsOf(client, "s1").state, "failing");
  const before = await fleet.load(client, 100, 60_000);
  assertEquals([before.failures.length, [...before.answered.keys()].sort()], [0, ["s0", "s2"]]);
  assert(before.percentile(100) < 10, `a call took ${before.percentile(100)} ms`);
  await fleet.world.node("s1").restart();
  const after = await fleet.load(client, 100, 40_000);
  assertEquals([after.failures.length, after.answered.size], [0, 3]);
  assert(after.percentile(100) < 10, `a call took ${after.percentile(100)} ms`);
});

fleetTest("an instance that was dialled in vain and registers again is dialled at once", async (fleet) => {
  await fleet.center();
  await fleet.servers(2);
  const client = await fleet.client({ retry: false });
  await client.call("t.work");
  await client.call("t.work");
  fleet.world.node("s1").crash();
  await fleet.load(client, 20, 10_000);
  await fleet.world.node("s1").restart();
  await fleet.world.sleep(20);
  assertEquals(client.stats().services[0].instances.map(({ state }) => state), ["ready", "ready"]);
});
