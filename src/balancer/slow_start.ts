import { checkNumber, withDefaults } from "../core/options.ts";
import { fraction } from "../core/platform.ts";
import { avoiding, type Balancer, checkBalancer, isAvoided } from "./balancer.ts";

/** How slowly new instances get their share. */
export interface SlowStartOptions {
  /** How long until a new instance has its whole share, in milliseconds, more than 0. Default 30 000. */
  windowMs?: number;
  /** Which part of its share it begins with, 0 to 1. Default 0.1. */
  firstShare?: number;
}

/** What holds where nothing is said. */
export const DEFAULT_SLOW_START: Readonly<Required<SlowStartOptions>> = Object.freeze({
  windowMs: 30_000,
  firstShare: 0.1,
});

/**
 * Wraps a balancer so that new instances get their share of the calls little by little: programs are slow while they are
 * young. New is what this client has just heard of, by its own clock; the instances that it began with are not.
 *
 * ```ts
 * import { roundRobin, slowStart } from "@erpc/erpc";
 *
 * const balancer = slowStart(roundRobin(), { windowMs: 10_000 });
 * ```
 *
 * A call that a new instance does not get yet goes where it would go without that one: with `consistentHash` its keys come
 * over one by one.
 *
 * @throws {RangeError} {TypeError}
 */
export function slowStart(balancer: Balancer, options?: SlowStartOptions): Balancer {
  checkBalancer(balancer);
  const { windowMs, firstShare } = withDefaults(DEFAULT_SLOW_START, options);
  checkNumber("windowMs", windowMs, Number.MIN_VALUE, Number.MAX_SAFE_INTEGER);
  checkNumber("firstShare", firstShare, 0, 1);
  return {
    name: `slow_start(${balancer.name})`,
    observes: balancer.observes,
    build(candidates, random, surroundings) {
      const picker = balancer.build(candidates, random, surroundings);
      let until = Math.max(...candidates.map(({ since }) => since)) + windowMs;
      return (request) => {
        const picked = picker(request);
        if (until === -Infinity || picked === undefined || picked.since === -Infinity) return picked;
        const now = surroundings.now();
        // Nobody is new any more, and nobody becomes so: then there is another picker.
        if (now >= until) until = -Infinity;
        const share = firstShare + (1 - firstShare) * (now - picked.since) / windowMs;
        if (share >= 1 || fraction(random) < share) return picked;
        const other = picker(avoiding(request, [picked.endpoint]));
        return other === undefined || isAvoided(other, request.avoid) ? picked : other;
      };
    },
  };
}
