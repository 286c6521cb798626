/** What one slow server does to the calls of all, in virtual time. */
import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { type Balancer, leastLoaded, random, roundRobin } from "@erpc/erpc";
import { fraction, type Random } from "../../src/core/platform.ts";
import { fleetTest, inFleet } from "./fleet.ts";

/** Times around 10 ms, as those of real services are: most below, a few far above. */
const someMs = (random: Random, factor: number) => () => factor * (5 - 5 * Math.log(1 - fraction(random)));

/** The 99th percentile of 300 calls a second over half a minute, with ten servers of which one takes `factor` times as long. */
function p99(balancer: Balancer, factor: number): Promise<number> {
  return inFleet(async (fleet) => {
    await fleet.servers(10);
    for (const [name, behaviour] of fleet.behaviours) {
      behaviour.delayMs = someMs(fleet.world.random, name === "s3" ? factor : 1);
    }
    const client = await fleet.client({ balancer, ejection: false });
    const load = await fleet.load(client, 300, 30_000);
    assertEquals([load.failures.length, load.tookMs.length, load.answered.size], [0, 9_000, 10]);
    return load.percentile(99);
  });
}

Deno.test("one of ten servers is 50 times slower, p99 under least load is within 1.5 times that of ten good ones; under others it is not", async () => {
  const figures: Record<string, number[]> = {};
  for (const balancer of [leastLoaded(), roundRobin(), random()]) {
    figures[balancer.name] = [await p99(balancer, 1), await p99(balancer, 50)];
  }
  const text = JSON.stringify(figures);
  const worse = ([good, bad]: number[]) => bad / good;
  assertLess(worse(figures.least_loaded), 1.5, text);
  assertGreater(worse(figures.round_robin), 10, text);
  assertGreater(worse(figures.random), 10, text);
});

fleetTest(
  "X15 one of ten servers answers two seconds late, few calls go there, and none of the others takes longer",
  async (fleet) => {
    await fleet.servers(10);
    fleet.behaviours.get("s3")!.delayMs = 2_001;
    const client = await fleet.client({ balancer: leastLoaded(), timeoutMs: 1_000 });
    const { failures, answered } = await fleet.load(client, 200, 30_000);
    const made = 6_000;
    const got = [...fleet.calls.values()].reduce((sum, count) => sum + count);
    assertLess(got / made, 1.1, "calls that came to servers, for each that was made");
    assertLess(fleet.calls.get("s3")! / made, 0.005);
    assertEquals(failures.length, fleet.calls.get("s3")! - (got - made));
    assertEquals(answered.size, 9);
    assertEquals(client.stats().services[0].retryTokens > 5, true, "slow replies don't use up what retries may cost");
  },
);

fleetTest(
  "X15 one of ten servers answers two seconds late and calls wait one, it is ejected whatever the balancer",
  async (fleet) => {
    await fleet.servers(10);
    fleet.behaviours.get("s3")!.delayMs = 2_001;
    const client = await fleet.client({ balancer: roundRobin(), timeoutMs: 1_000 });
    await fleet.load(client, 200, 11_000);
    const { failures } = await fleet.load(client, 200, 20_000);
    assertEquals(failures.length, 0);
    assert(client.stats().services[0].instances.find(({ id }) => id === "tcp://s3:4000")!.ejected);
    const got = [...fleet.calls.values()].reduce((sum, count) => sum + count);
    assertLess(got / 6_200, 1.1);
  },
);

fleetTest("a slow server that has recovered gets its share again within two minutes", async (fleet) => {
  await fleet.servers(10);
  fleet.behaviours.get("s3")!.delayMs = 500;
  const client = await fleet.client({ balancer: leastLoaded() });
  await fleet.load(client, 200, 20_000);
  fleet.behaviours.get("s3")!.delayMs = 1;
  await fleet.load(client, 200, 110_000);
  const { answered } = await fleet.load(client, 200, 10_000);
  assert(answered.get("s3")! > 100, `${answered.get("s3")} of 2 000`);
});
