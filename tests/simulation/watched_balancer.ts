/** A balancer that puts down what it is given and what it picks. */
import type { Balancer, Candidate } from "../../src/balancer/balancer.ts";
import type { ClientStats } from "../../src/client/stats.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";
import type { Recorder } from "./history.ts";

/** Keys whose owners are put down. */
const KEYS = Array.from({ length: 64 }, (_, n) => `probe ${n}`);

/** A balancer, and what its client says of itself at each pick. */
export function watched(balancer: Balancer, record: Recorder, stats: () => ClientStats): Balancer {
  let pickers = 0;
  return {
    ...balancer,
    build(candidates, random, surroundings) {
      const picker = ++pickers;
      const pick = balancer.build(candidates, random, surroundings);
      record({
        what: "picker",
        picker,
        balancer: balancer.name,
        candidates: candidates.map(({ endpoint }) => endpoint),
        ...(balancer.name === "consistent_hash" ? { owners: ownersOf(balancer, candidates) } : {}),
      });
      return (request) => {
        const picked = pick(request);
        if (picked === undefined) return undefined;
        const { endpoint } = picked;
        const instances = stats().services.find(({ name }) => request.procedure.startsWith(`${name}/`))?.instances ??
          [];
        record({
          what: "pick",
          picker,
          endpoint,
          round: request.avoid !== undefined && request.avoid.length > 0,
          known: instances.length,
          ejected: instances.filter(({ ejected }) => ejected).length,
          well: instances.filter(({ ejected, state, doubtful }) => !ejected && !doubtful && state !== "failing").length,
          isKnown: instances.some((one) => one.endpoint === endpoint),
          isEjected: instances.some((one) => one.endpoint === endpoint && one.ejected),
        });
        return picked;
      };
    },
  };
}

/** Who has each key, while nobody has any calls running. */
function ownersOf(balancer: Balancer, candidates: readonly Candidate[]): string[] {
  const idle = candidates.map(({ instance, endpoint }): Candidate => ({
    instance,
    endpoint,
    inFlight: 0,
    streams: 0,
    latencyMs: 0,
    errorShare: 0,
    load: undefined,
    since: -Infinity,
  }));
  const nobody = { now: () => 0, inFlight: 0, zone: "", clientId: "" };
  const pick = balancer.build(idle, seededRandom(1), nobody);
  return KEYS.map((hashKey) => pick({ procedure: "sim.Work/once", hashKey, avoid: undefined })!.endpoint);
}
