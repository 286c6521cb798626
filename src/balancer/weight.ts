import type { Instance } from "../registry/instance.ts";
import type { Candidate } from "./balancer.ts";

const MIN_WEIGHT = 1e-6;
const MAX_WEIGHT = 1e6;

/** An instance's weight, 0 or a millionth to a million, whatever it says of itself; what is not a number counts as 0. */
export function usableWeight(instance: Instance): number {
  return instance.weight > 0 ? Math.min(Math.max(instance.weight, MIN_WEIGHT), MAX_WEIGHT) : 0;
}

/** The candidates without those of weight 0, which take no calls, or all of them when none would be left. */
export function withWeight(candidates: readonly Candidate[]): readonly Candidate[] {
  const left = candidates.filter((candidate) => usableWeight(candidate.instance) > 0);
  return left.length === 0 ? candidates : left;
}

/**
 * What each candidate of {@link withWeight} has for its weight where the mean is 1; `undefined` when all have the same.
 */
export function relativeWeights(candidates: readonly Candidate[]): Float64Array | undefined {
  // Only where all are 0 are there any: then all count alike.
  const weights = Float64Array.from(candidates, ({ instance }) => usableWeight(instance) || 1);
  if (weights.every((weight) => weight === weights[0])) return undefined;
  const mean = weights.reduce((sum, weight) => sum + weight, 0) / weights.length;
  return weights.map((weight) => weight / mean);
}
