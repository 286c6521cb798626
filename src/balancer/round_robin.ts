import { below } from "../core/platform.ts";
import type { Balancer } from "./balancer.ts";
import { withWeight } from "./weight.ts";

/**
 * The instances take turns, from a place left to chance, so that clients that start together do not all begin with the same
 * one. After any number of picks with none to go round, no instance has had two more than another.
 *
 * Of weights only 0 counts: it takes no calls unless every weight is 0.
 */
export function roundRobin(): Balancer {
  return {
    name: "round_robin",
    build(candidates, chance) {
      const takers = withWeight(candidates);
      let next = below(chance, takers.length);
      return ({ avoid }) => {
        for (let skipped = 0; skipped < takers.length; skipped++) {
          const candidate = takers[next];
          next = (next + 1) % takers.length;
          if (avoid === undefined || !avoid.includes(candidate.endpoint)) return candidate;
        }
        // All are to be gone round, so none is: `next` has come back to whose turn it was.
        const candidate = takers[next];
        next = (next + 1) % takers.length;
        return candidate;
      };
    },
  };
}
