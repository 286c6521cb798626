import { type Balancer, isAvoided, withoutAvoided } from "./balancer.ts";
import { drawer } from "./draw.ts";
import { relativeWeights, withWeight } from "./weight.ts";

/** How often chance is asked again when it gives what is to be avoided, before those that are left are sought out. */
const DRAWS = 4;

/**
 * Each call goes to any instance, each as likely as its weight says: one of weight 3 gets three times the calls of one of
 * weight 1. Weight 0 takes none unless every weight is 0.
 */
export function random(): Balancer {
  return {
    name: "random",
    build(candidates, chance) {
      const takers = withWeight(candidates);
      const draw = drawer(takers.length, relativeWeights(takers), chance);
      return (request) => {
        for (let n = 0; n < DRAWS; n++) {
          const candidate = takers[draw()];
          if (!isAvoided(candidate, request.avoid)) return candidate;
        }
        const left = withoutAvoided(takers, request.avoid);
        return left[drawer(left.length, relativeWeights(left), chance)()];
      };
    },
  };
}
