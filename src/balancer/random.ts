import { below } from "../core/platform.ts";
import { type Balancer, withoutAvoided } from "./balancer.ts";
import { withWeight } from "./weight.ts";

/** Each call goes to any instance, all as likely. Of weights only 0 counts: it takes no calls unless every weight is 0. */
export function random(): Balancer {
  return {
    name: "random",
    build(candidates, chance) {
      const takers = withWeight(candidates);
      return (request) => {
        const left = withoutAvoided(takers, request);
        return left[below(chance, left.length)];
      };
    },
  };
}
