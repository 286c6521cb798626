import { type Balancer, isAvoided } from "./balancer.ts";
import { withWeight } from "./weight.ts";

/**
 * All calls go to the first instance, and to the next one only while those before it can't be reached or are to be gone
 * round: one works, the others stand by. First is whose weight is largest; of the same weight, whose endpoint was given to
 * the client first, or whose id is lowest. Weight 0 takes no calls unless every weight is 0.
 */
export function firstAvailable(): Balancer {
  return {
    name: "first_available",
    build(candidates) {
      const takers = withWeight(candidates).toSorted((a, b) => compareWeights(b.instance.weight, a.instance.weight));
      return ({ avoid }) => takers.find((candidate) => !isAvoided(candidate, avoid)) ?? takers[0];
    },
  };
}

/** What is no number counts as 0; a difference of infinities would be none. */
function compareWeights(a: number, b: number): number {
  const [one, other] = [a || 0, b || 0];
  return one === other ? 0 : one < other ? -1 : 1;
}
