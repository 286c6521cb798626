import { checkInteger, checkNames } from "../core/options.ts";
import { type Balancer, type Candidate, checkBalancer } from "./balancer.ts";
import { murmur3, murmur3Pair } from "./hash.ts";
import { usableWeight, withWeight } from "./weight.ts";

/** How many of the instances one client calls. */
export interface SubsetOptions {
  /** How many at most, 1 or more. */
  size: number;
}

/**
 * Wraps a balancer so that this client calls only some of the instances: where many clients call many servers, not everybody
 * needs a connection with everybody.
 *
 * ```ts
 * import { Client, leastLoaded, subset } from "@erpc/erpc";
 *
 * await using client = new Client({ balancer: subset(leastLoaded(), { size: 20 }) });
 * ```
 *
 * Which ones follows from the client's `id` and theirs alone (rendezvous hashing): it is the same after a restart, with every
 * registry, and with any number of centers, none of which has to remember it. When an instance leaves, each of those who
 * called it takes one other in its place, and nothing else moves. A larger weight is in more subsets. With 1 000 clients
 * of 20 out of 200 servers the busiest server has some 1.3 times the mean number of clients; more clients make that smaller, and
 * a balancer that goes by reported load, such as `leastLoaded`, evens it out.
 *
 * Inside `byZone` each of its groups has a subset of its own, so near ones don't have to make room for far ones.
 *
 * @throws {RangeError} when `size` is out of range
 */
export function subset(balancer: Balancer, options: SubsetOptions): Balancer {
  const { size } = checkNames(options, { size: true });
  checkBalancer(balancer);
  checkInteger("size", size, 1);
  return {
    name: `subset(${balancer.name})`,
    observes: balancer.observes,
    build: (candidates, random, surroundings) =>
      balancer.build(chosen(candidates, size, surroundings.clientId), random, surroundings),
  };
}

/** The `size` candidates that a client has the highest scores for, in their order. */
function chosen(candidates: readonly Candidate[], size: number, clientId: string): readonly Candidate[] {
  const takers = withWeight(candidates);
  if (takers.length <= size) return takers;
  const [one, other] = [murmur3(clientId), murmur3(clientId, 1)];
  const scored = takers.map((candidate) => {
    const { instance } = candidate;
    const hash = murmur3Pair(murmur3(instance.id), other, one);
    // The smallest of exponential draws: as likely as the weights say.
    return { candidate, score: -Math.log((hash + 0.5) / 2 ** 32) / (usableWeight(instance) || 1) };
  });
  const last = scored.toSorted((a, b) => a.score - b.score)[size - 1].score;
  return scored.filter(({ score }) => score <= last).slice(0, size).map(({ candidate }) => candidate);
}
