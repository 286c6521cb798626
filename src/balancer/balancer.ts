import type { Random } from "../core/platform.ts";
import type { Instance } from "../registry/instance.ts";

/** An instance that may be picked, and what the client knows about it. */
export interface Candidate {
  /** What the registry says of it. */
  readonly instance: Instance;
  /** The endpoint that is dialled. */
  readonly endpoint: string;
  /** How many calls this client has running there. */
  readonly inFlight: number;
}

/** What a picker may go by. */
export interface PickRequest {
  /** The full name of what is called. */
  readonly procedure: string;
  /** The call's `hashKey`. */
  readonly hashKey: string | undefined;
  /** Endpoints to go round while others are left. */
  readonly avoid: readonly string[] | undefined;
}

/** Chooses among the candidates that it was built for. Called for every call, so it must be quick and must not wait. */
export type Picker = (request: PickRequest) => Candidate | undefined;

/**
 * A way to choose among instances. A user's own is an object with two members:
 *
 * ```ts
 * const first: Balancer = {
 *   name: "first",
 *   build: (candidates) => () => candidates[0],
 * };
 * ```
 *
 * A balancer is a value without state: each service of each client builds a picker of its own, anew whenever the set of
 * candidates changes. `balancerContract` of `@erpc/erpc/testing` checks one.
 */
export interface Balancer {
  /** The name in logs and statistics. */
  readonly name: string;
  /** Makes a picker for these candidates, of which there is at least one, in the order of their instance ids. */
  build(candidates: readonly Candidate[], random: Random): Picker;
}

/** The candidates without those to go round, or all of them when none would be left. */
export function withoutAvoided(candidates: readonly Candidate[], request: PickRequest): readonly Candidate[] {
  const avoid = request.avoid;
  if (avoid === undefined || avoid.length === 0) return candidates;
  const left = candidates.filter((candidate) => !avoid.includes(candidate.endpoint));
  return left.length === 0 ? candidates : left;
}
