/** What a pick costs, and what it costs to make a picker anew when the set of instances changes. */
import {
  type Balancer,
  byZone,
  consistentHash,
  firstAvailable,
  leastLoaded,
  random,
  roundRobin,
  subset,
} from "../../mod.ts";
import { runtimePlatform } from "../../src/core/platform.ts";
import { candidatesOf, idsOf, pickerOf, request } from "../balancer/candidates.ts";
import { median } from "./load.ts";
import type { Row, Section } from "./section.ts";

const SIZES = [3, 100, 1_000];
const PICKS = 100_000;
const REQUESTS = Array.from({ length: 1_024 }, (_, n) => request(`customer:${n}`));

const balancers: readonly [string, Balancer][] = [
  ["random", random()],
  ["roundRobin", roundRobin()],
  ["leastLoaded", leastLoaded()],
  ["consistentHash", consistentHash()],
  ["firstAvailable", firstAvailable()],
  ["byZone(roundRobin)", byZone(roundRobin())],
  ["subset(random) of 20", subset(random(), { size: 20 })],
];

/** Picks. */
export const picksSection: Section = {
  name: "picks",
  roles: {},
  run({ rounds }) {
    const rows: Row[] = [];
    for (const [balancer, made] of balancers) {
      for (const instances of SIZES) {
        const candidates = candidatesOf(idsOf(instances));
        const builds: number[] = [];
        const picks: number[] = [];
        // The first round lets the compiler see what there is.
        for (let round = 0; round <= rounds; round++) {
          const begun = performance.now();
          const pick = pickerOf(made, candidates, runtimePlatform.random);
          const built = performance.now();
          for (let n = 0; n < PICKS; n++) pick(REQUESTS[n & 1_023]);
          if (round === 0) continue;
          builds.push((built - begun) * 1_000);
          picks.push((performance.now() - built) * 1e6 / PICKS);
        }
        rows.push({ balancer, instances, pickNs: median(picks), buildUs: median(builds) });
      }
    }
    return Promise.resolve({
      title: "Picks, in this process",
      columns: [
        { key: "balancer", title: "balancer" },
        { key: "instances", title: "instances" },
        { key: "pickNs", title: "ns per pick" },
        { key: "buildUs", title: "µs to build" },
      ],
      rows,
    });
  },
};
