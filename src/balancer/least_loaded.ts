import { below } from "../core/platform.ts";
import { type Balancer, type Candidate, isAvoided, withoutAvoided } from "./balancer.ts";
import { drawer } from "./draw.ts";
import { relativeWeights, withWeight } from "./weight.ts";

/** How often chance is asked again when it gives what does not do. */
const DRAWS = 4;
/** What an unknown latency is taken for, once a call is on its way there: one is enough to find out. */
const UNKNOWN_MS = 1_000;
/** Nobody who fails calls is quicker than this. */
const MIN_MS = 0.05;
/** The share of good replies that is left to one that has none. */
const MIN_SUCCESS = 0.01;

/**
 * Of two instances that chance names, the better one. What counts is how long replies take, times how many are waited for;
 * failed calls make it worse. Latency rises at once and is forgotten slowly, so that one that was slow is asked again after
 * some time. Streams don't count.
 *
 * Where servers report their load, what other clients have running there counts too, and how late their programs run.
 * A larger weight is drawn more often, and may have more running. Weight 0 takes no calls unless every weight is 0.
 *
 * @see Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001; Finagle's peak EWMA
 */
export function leastLoaded(): Balancer {
  return {
    name: "least_loaded",
    observes: true,
    build(candidates, random) {
      const takers = withWeight(candidates);
      const weights = relativeWeights(takers);
      const drawAny = drawer(takers.length, weights, random);

      const draw = (avoid: readonly string[] | undefined, but: number) => {
        for (let n = 0; n < DRAWS; n++) {
          const place = drawAny();
          if (place !== but && !isAvoided(takers[place], avoid)) return place;
        }
        const left = withoutAvoided(takers, avoid).filter((candidate) => candidate !== takers[but]);
        return left.length === 0 ? but : takers.indexOf(left[below(random, left.length)]);
      };
      const cost = (place: number) => costOf(takers[place], weights === undefined ? 1 : weights[place]);

      return ({ avoid }) => {
        const one = draw(avoid, -1);
        const other = draw(avoid, one);
        return takers[other === one || cost(one) <= cost(other) ? one : other];
      };
    },
  };
}

/** What a call more would cost there, in milliseconds of waiting, more or less. */
function costOf({ inFlight, streams, latencyMs, errorShare, load }: Candidate, weight: number): number {
  let calls = inFlight - streams;
  let ms = latencyMs;
  if (load !== undefined) {
    // Servers do not tell streams from other calls; those of this client are known.
    calls = Math.max(calls, load.inFlight - streams);
    ms += load.lagMs;
  }
  if (errorShare > 0) ms = Math.max(ms, MIN_MS) / Math.max(1 - errorShare, MIN_SUCCESS) ** 2;
  if (ms === 0) return calls === 0 ? 0 : UNKNOWN_MS * calls / weight;
  return ms * (calls / weight + 1);
}
