import type { Balancer, Candidate, Picker, PickRequest, Surroundings } from "../../src/balancer/balancer.ts";
import type { Random } from "../../src/core/platform.ts";
import type { Instance } from "../../src/registry/instance.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";

/** A candidate whose state a test changes. */
export type Changing = { -readonly [Name in keyof Candidate]: Candidate[Name] };

/** Candidates with these ids, each with an endpoint of its own, in the order of the list. */
export function candidatesOf(ids: readonly string[], weightOf: (id: string) => number = () => 1): Changing[] {
  return ids.map((id) => {
    const endpoint = `memory://${id}`;
    const services = ["demo.Words"];
    const instance = { id, incarnation: 1, endpoints: [endpoint], services, weight: weightOf(id) };
    return {
      instance: { ...instance, zone: "", version: "", metadata: {} },
      endpoint,
      inFlight: 0,
      streams: 0,
      latencyMs: 0,
      errorShare: 0,
      load: undefined,
      since: -Infinity,
    };
  });
}

/** The same candidate, with something else said of its instance. */
export function saying(candidate: Changing, changes: Partial<Instance>): Changing {
  return { ...candidate, instance: { ...candidate.instance, ...changes } };
}

/** What is around candidates whose calls in flight are all there are, with time standing still. */
export function around(candidates: readonly Candidate[], changes: Partial<Surroundings> = {}): Surroundings {
  return {
    now: () => 0,
    get inFlight() {
      return candidates.reduce((sum, { inFlight }) => sum + inFlight, 0);
    },
    zone: "",
    clientId: "client",
    ...changes,
  };
}

/** How often each was picked, by id. */
export function tally(picked: Iterable<Candidate | undefined>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const candidate of picked) {
    const id = candidate?.instance.id ?? "nobody";
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  return counts;
}

/** Ids `a0`, `a1`, and so on. */
export function idsOf(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `a${n}`);
}

/** A request with this key and nothing to avoid. */
export function request(hashKey?: string, avoid?: readonly string[]): PickRequest {
  return { procedure: "demo.Words/count", hashKey, avoid };
}

/** A picker for these candidates, with nothing else around it unless it is said. */
export function pickerOf(
  balancer: Balancer,
  candidates: readonly Candidate[],
  random: Random = seededRandom(1),
  changes: Partial<Surroundings> = {},
): Picker {
  return balancer.build(candidates, random, around(candidates, changes));
}
