import type { LoadReport } from "../core/load.ts";
import type { Random } from "../core/platform.ts";
import type { Instance } from "../registry/instance.ts";

/** An instance that may be picked, and what the client knows about it. It changes while calls come and go. */
export interface Candidate {
  /** What the registry says of it. */
  readonly instance: Instance;
  /** The endpoint that is dialled. */
  readonly endpoint: string;
  /** How many calls of this service this client has running there, streams included. */
  readonly inFlight: number;
  /** How many of them are streams, which may go on for ever and say little about load. */
  readonly streams: number;
  /**
   * How long its replies take, in milliseconds; 0 while nobody knows. It rises at once when one takes longer, and falls
   * slowly. Measured only where the balancer {@link Balancer.observes}; streams are left out.
   */
  readonly latencyMs: number;
  /** Which share of its calls it failed of late, 0 to 1. Measured only where the balancer {@link Balancer.observes}. */
  readonly errorShare: number;
  /**
   * What it last said about its load, with this client's own calls as they are now; `undefined` when it never did, or not within the
   * last two seconds. The same object each time.
   */
  readonly load: LoadReport | undefined;
  /** When this client first heard of it, on the clock of the {@link Surroundings}; `-Infinity` for those it began with. */
  readonly since: number;
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

/**
 * Chooses among the candidates that it was built for, or gives `undefined` when none of them will do. Called for every call,
 * so it must be quick and must not wait.
 */
export type Picker = (request: PickRequest) => Candidate | undefined;

/** What a picker may know beside its candidates. */
export interface Surroundings {
  /** The time on the client's clock, in milliseconds. Only differences mean anything. */
  now(): number;
  /** How many calls of this service the client has running anywhere, also on instances that are leaving. */
  readonly inFlight: number;
  /** Where the client stands; an empty text when nobody said. */
  readonly zone: string;
  /** The client's `id`, or what chance gave it instead. */
  readonly clientId: string;
}

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
  /** Whether it goes by `latencyMs` and `errorShare`, which are measured for it then. Default `false`. */
  readonly observes?: boolean;
  /**
   * Makes a picker for these candidates, of which there is at least one, in the order of their instance ids, or in which their
   * endpoints were given to the client.
   */
  build(candidates: readonly Candidate[], random: Random, surroundings: Surroundings): Picker;
}

/** Checks the shape of a balancer that a user handed in. @throws {TypeError} */
export function checkBalancer(balancer: Balancer): Balancer {
  if (typeof balancer?.build === "function" && typeof balancer.name === "string") return balancer;
  const given = typeof balancer === "function" ? "a function" : JSON.stringify(balancer);
  throw new TypeError(`Cannot use ${given} as balancer: it needs name and build, such as random() has`);
}

/** The candidates without those to go round, or all of them when none would be left. */
export function withoutAvoided(
  candidates: readonly Candidate[],
  avoid: readonly string[] | undefined,
): readonly Candidate[] {
  if (avoid === undefined || avoid.length === 0) return candidates;
  const left = candidates.filter((candidate) => !avoid.includes(candidate.endpoint));
  return left.length === 0 ? candidates : left;
}

/** Whether a candidate is one to go round. */
export function isAvoided(candidate: Candidate, avoid: readonly string[] | undefined): boolean {
  return avoid !== undefined && avoid.includes(candidate.endpoint);
}

/** A request with more endpoints to go round. */
export function avoiding({ procedure, hashKey, avoid = [] }: PickRequest, more: readonly string[]): PickRequest {
  return { procedure, hashKey, avoid: [...avoid, ...more] };
}
