import type { Candidate, PickRequest } from "../../src/balancer/balancer.ts";

/** Candidates with these ids, each with an endpoint of its own, in the order of the list. */
export function candidatesOf(ids: readonly string[], weightOf: (id: string) => number = () => 1): Candidate[] {
  return ids.map((id) => {
    const endpoint = `memory://${id}`;
    const services = ["demo.Words"];
    const instance = { id, incarnation: 1, endpoints: [endpoint], services, weight: weightOf(id) };
    return { instance: { ...instance, zone: "", version: "", metadata: {} }, endpoint, inFlight: 0 };
  });
}

/** Ids `a0`, `a1`, and so on. */
export function idsOf(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `a${n}`);
}

/** A request with this key and nothing to avoid. */
export function request(hashKey?: string, avoid?: readonly string[]): PickRequest {
  return { procedure: "demo.Words/count", hashKey, avoid };
}
