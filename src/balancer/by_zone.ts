import { checkBoolean, checkNumber, withDefaults } from "../core/options.ts";
import {
  avoiding,
  type Balancer,
  type Candidate,
  checkBalancer,
  isAvoided,
  type Picker,
  type PickRequest,
} from "./balancer.ts";
import { usableWeight, withWeight } from "./weight.ts";
import { nearness } from "./zone.ts";

/** How far calls go from where the client stands, and when. */
export interface ByZoneOptions {
  /** Whether calls never leave the client's own zone, even when nobody is there to answer them. Default `false`. */
  strict?: boolean;
  /**
   * Which part of the calls that it lets run at once an instance may have running before it is full, where it reports its
   * load, 0 to 1. Default 0.8.
   */
  fullAt?: number;
  /** How late an instance's program may run before it is full, in milliseconds, where it reports its load. Default 100. */
  fullLagMs?: number;
  /**
   * How many calls this client may have running on an instance of weight 1 before it is full, where it does not report
   * its load. Default 64.
   */
  maxInFlight?: number;
}

/** What a server reports that lets any number of calls run. */
const NO_LIMIT = 65_535;

/** What holds where nothing is said. */
export const DEFAULT_BY_ZONE: Readonly<Required<ByZoneOptions>> = Object.freeze({
  strict: false,
  fullAt: 0.8,
  fullLagMs: 100,
  maxInFlight: 64,
});

/**
 * Wraps a balancer so that calls stay near: in the client's own zone while somebody there has room, then in its region, then
 * anywhere. Only what the near ones have no room for goes further away; when nobody has room, calls stay at home.
 *
 * ```ts
 * import { byZone, Client, leastLoaded } from "@erpc/erpc";
 *
 * await using client = new Client({ zone: "eu-west/a", balancer: byZone(leastLoaded()) });
 * ```
 *
 * A zone is a path from the large to the small, `region/zone`; servers and clients have theirs in their option `zone`. The
 * more parts two of them have in common from the front, the nearer they are. Those who say nothing are far from everybody, and
 * a client that says nothing has no preference.
 *
 * An instance that a call is to go round is left for one further away, if all the near ones are.
 *
 * @throws {RangeError} {TypeError}
 */
export function byZone(balancer: Balancer, options?: ByZoneOptions): Balancer {
  checkBalancer(balancer);
  const { strict, fullAt, fullLagMs, maxInFlight } = withDefaults(DEFAULT_BY_ZONE, options);
  checkBoolean("strict", strict);
  checkNumber("fullAt", fullAt, 0, 1);
  checkNumber("fullLagMs", fullLagMs, 0, Infinity);
  checkNumber("maxInFlight", maxInFlight, 1, Infinity);

  const isFull = ({ instance, inFlight, load }: Candidate) => {
    if (load === undefined || load.limit === NO_LIMIT) return inFlight >= maxInFlight * (usableWeight(instance) || 1);
    return load.lagMs >= fullLagMs || Math.max(load.inFlight, inFlight) >= fullAt * load.limit;
  };
  return {
    name: `by_zone(${balancer.name})`,
    observes: balancer.observes,
    build(candidates, random, surroundings) {
      const { zone } = surroundings;
      if (strict && zone !== "") candidates = candidates.filter(({ instance }) => instance.zone === zone);
      if (candidates.length === 0) return () => undefined;
      const levels = byNearness(withWeight(candidates), zone);
      const pickers = levels.map((level) => balancer.build(level, random, surroundings));
      if (levels.length === 1) return pickers[0];
      return (request) => {
        let home: Candidate | undefined;
        for (let level = 0; level < levels.length; level++) {
          const picked = pickers[level](request);
          if (picked === undefined || isAvoided(picked, request.avoid)) continue;
          if (!isFull(picked)) return picked;
          home ??= picked;
          const other = withRoom(levels[level], pickers[level], request, isFull);
          if (other !== undefined) return other;
        }
        return home ?? pickers[0](request);
      };
    },
  };
}

/** Somebody who is not full, where whom the balancer would take is. */
function withRoom(
  level: readonly Candidate[],
  picker: Picker,
  request: PickRequest,
  isFull: (candidate: Candidate) => boolean,
): Candidate | undefined {
  const full = level.filter(isFull);
  if (full.length === level.length) return undefined;
  const picked = picker(avoiding(request, full.map(({ endpoint }) => endpoint)));
  return picked === undefined || isFull(picked) || isAvoided(picked, request.avoid) ? undefined : picked;
}

/** The candidates in groups, the nearest first. */
function byNearness(candidates: readonly Candidate[], zone: string): readonly (readonly Candidate[])[] {
  const levels = Map.groupBy(candidates, ({ instance }) => nearness(zone, instance.zone));
  return [...levels].sort(([one], [other]) => other > one ? 1 : -1).map(([, level]) => level);
}
