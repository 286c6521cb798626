/** What a pick costs, and what it costs to make a ring. */
import { consistentHash } from "../../src/balancer/consistent_hash.ts";
import { random } from "../../src/balancer/random.ts";
import { roundRobin } from "../../src/balancer/round_robin.ts";
import { runtimePlatform } from "../../src/core/platform.ts";
import { candidatesOf, idsOf, pickerOf, request } from "../balancer/candidates.ts";

const THOUSAND = candidatesOf(idsOf(1000));
const REQUESTS = Array.from({ length: 1024 }, (_, n) => request(`customer:${n}`));

for (const size of [3, 100, 1000]) {
  const candidates = candidatesOf(idsOf(size));
  for (const balancer of [random(), roundRobin(), consistentHash()]) {
    const pick = pickerOf(balancer, candidates, runtimePlatform.random);
    let n = 0;
    Deno.bench(`pick, ${balancer.name}`, { group: `pick from ${size}` }, () => {
      pick(REQUESTS[n++ & 1023]);
    });
  }
}

Deno.bench("build, consistent_hash", { group: "ring of 1000" }, () => {
  pickerOf(consistentHash(), THOUSAND, runtimePlatform.random);
});
