/**
 * What a pick costs under every balancer, from instances as a client has them: with calls in flight, latency and load to look at.
 * And what it costs to begin anew when the set of instances has changed.
 *
 *     deno bench -A tests/bench/balancer_bench.ts
 */
import { byZone, consistentHash, firstAvailable, leastLoaded, random, roundRobin, slowStart, subset } from "@erpc/erpc";
import type { Balancer, Candidate } from "@erpc/erpc/extend";
import { Channel } from "../../src/channel/channel.ts";
import { Member } from "../../src/cluster/member.ts";
import { Traffic } from "../../src/cluster/traffic.ts";
import { Call } from "../../src/core/call.ts";
import { runtimePlatform } from "../../src/core/platform.ts";
import type { Random } from "../../src/core/platform.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";
import { systemTransport } from "../../src/transport/transport.ts";
import { request } from "../balancer/candidates.ts";
import { makeSettings } from "../support/settings.ts";

const REQUESTS = Array.from({ length: 1024 }, (_, n) => request(`customer:${n}`));
const ZONE = "eu/a";

const settings = makeSettings();

/** Instances in three zones, of which each has answered a few calls and has a few running. */
function scene(size: number, weightOf: (random: Random) => number): { members: Candidate[]; traffic: Traffic } {
  const chance = seededRandom(size);
  const traffic = new Traffic(ZONE, "client", true, settings.timers);
  const members = Array.from({ length: size }, (_, n) => {
    const endpoint = `tcp://10.0.${n >> 8}.${n & 255}:4000`;
    const instance = {
      id: `instance-${n}`,
      incarnation: 1,
      endpoints: [endpoint],
      services: ["t"],
      zone: [ZONE, "eu/b", "us/a"][n % 3],
      weight: weightOf(chance),
      version: "",
      metadata: {},
    };
    const channel = new Channel([endpoint], settings, systemTransport);
    const member = new Member({ instance, suspect: false, doubtful: false }, channel, traffic, -Infinity);
    for (let call = 0; call < 3; call++) {
      const answered = new Call({ procedure: "t/work", kind: "unary" });
      answered.sentAt = settings.platform.clock.now() - chance.u32() % 20;
      member.inFlight++;
      traffic.inFlight++;
      member.onSettled(answered, undefined);
    }
    member.inFlight = chance.u32() % 8;
    traffic.inFlight += member.inFlight;
    return member;
  });
  return { members, traffic };
}

const balancers: readonly Balancer[] = [
  random(),
  roundRobin(),
  leastLoaded(),
  consistentHash(),
  firstAvailable(),
  byZone(leastLoaded()),
  slowStart(roundRobin()),
  subset(leastLoaded(), { size: 20 }),
];

for (const size of [3, 100, 1000]) {
  for (
    const [kind, weightOf] of [["", () => 1], [", of different weights", (chance) => 1 + chance.u32() % 9]] as [
      string,
      (random: Random) => number,
    ][]
  ) {
    const { members, traffic } = scene(size, weightOf);
    for (const balancer of balancers) {
      const pick = balancer.build(members, runtimePlatform.random, traffic);
      let n = 0;
      Deno.bench(`pick, ${balancer.name}`, { group: `pick from ${size}${kind}` }, () => {
        pick(REQUESTS[n++ & 1023]);
      });
    }
  }
}

const { members, traffic } = scene(1000, () => 1);
for (const balancer of balancers) {
  Deno.bench(`build, ${balancer.name}`, { group: "build for 1000" }, () => {
    balancer.build(members, runtimePlatform.random, traffic);
  });
}
