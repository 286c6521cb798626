/**
 * Who is left out for a while because it fails calls that others do not. Pure book-keeping, as gRPC does it: it is told the
 * time, owns no timer, and draws no lots.
 *
 * @see gRFC A50, outlier detection
 */
import { checkInteger, checkNumber, withDefaults } from "../core/options.ts";

/** When an instance that fails calls is left out, and for how long. What handlers say in codes of their own is no failure. */
export interface EjectionOptions {
  /** How often it is decided, in milliseconds. Default 10 000. */
  intervalMs?: number;
  /** How long the first ejection lasts, in milliseconds; the n-th in a row lasts n times that. Default 30 000. */
  baseMs?: number;
  /** How long an ejection lasts at most, in milliseconds. Default 300 000. */
  maxMs?: number;
  /** Which share of the instances may be ejected at a time, 0 to 1; but always one. Default 0.1. */
  maxShare?: number;
  /** When less than this share of the instances is left, nobody is left out, 0 to 1. Default 0.5. */
  panicBelow?: number;
  /** How many instances must have had calls enough in an interval, 1 or more. Default 5. */
  minInstances?: number;
  /** How many calls an instance must have had in an interval to be compared with others, 1 or more. Default 100. */
  minCalls?: number;
  /** So many standard deviations below the mean of all, an instance's share of good calls is too small. Default 1.9. */
  deviations?: number;
  /** Whoever fails more than this share of its calls is ejected without comparison, 0 to 1. Default 0.85. */
  failureShare?: number;
  /** How many calls an instance must have had in an interval for that, 1 or more. Default 50. */
  failureMinCalls?: number;
}

/** What holds where nothing is said. */
export const DEFAULT_EJECTION: Readonly<Required<EjectionOptions>> = Object.freeze({
  intervalMs: 10_000,
  baseMs: 30_000,
  maxMs: 300_000,
  maxShare: 0.1,
  panicBelow: 0.5,
  minInstances: 5,
  minCalls: 100,
  deviations: 1.9,
  failureShare: 0.85,
  failureMinCalls: 50,
});

/** The defaults with what is given instead. @throws {RangeError} {TypeError} */
export function checkEjection(given: EjectionOptions | undefined): Readonly<Required<EjectionOptions>> {
  const options = withDefaults(DEFAULT_EJECTION, given);
  for (const name of ["intervalMs", "baseMs", "maxMs"] as const) checkInteger(`ejection.${name}`, options[name], 1);
  for (const name of ["minInstances", "minCalls", "failureMinCalls"] as const) {
    checkInteger(`ejection.${name}`, options[name], 1);
  }
  for (const name of ["maxShare", "panicBelow", "failureShare"] as const) {
    checkNumber(`ejection.${name}`, options[name], 0, 1);
  }
  checkNumber("ejection.deviations", options.deviations, 0, 1_000);
  return Object.freeze(options);
}

/** How one instance has done of late. */
export class Standing {
  /** Calls since the last decision that were answered, also with an error of the application. */
  good = 0;
  /** Calls since the last decision that failed through the instance's fault. */
  bad = 0;
  /** When it was ejected, on the clock of whoever decides; `undefined` while it is not. */
  ejectedAt: number | undefined = undefined;
  /** How many times in a row it was ejected; falls again while it is not. */
  times = 0;
}

/** What was decided. */
export interface Decision<S extends Standing> {
  readonly ejected: readonly S[];
  readonly returned: readonly S[];
}

/** Decides about all instances of one service, and begins to count anew. */
export function decide<S extends Standing>(
  standings: readonly S[],
  options: Readonly<Required<EjectionOptions>>,
  now: number,
): Decision<S> {
  const { baseMs, maxMs, maxShare } = options;
  const ejected: S[] = [];
  let places = Math.max(1, Math.floor(standings.length * maxShare));
  for (const { ejectedAt } of standings) if (ejectedAt !== undefined) places--;
  for (const standing of culprits(standings, options)) {
    if (standing.ejectedAt !== undefined) continue;
    if (places-- <= 0) break;
    standing.ejectedAt = now;
    standing.times++;
    ejected.push(standing);
  }

  const returned: S[] = [];
  for (const standing of standings) {
    standing.good = standing.bad = 0;
    if (standing.ejectedAt === undefined) {
      if (standing.times > 0) standing.times--;
    } else if (now >= standing.ejectedAt + Math.min(baseMs * standing.times, Math.max(baseMs, maxMs))) {
      standing.ejectedAt = undefined;
      returned.push(standing);
    }
  }
  return { ejected, returned };
}

/** Whoever is worse than it should be, the worst first. */
function culprits<S extends Standing>(standings: readonly S[], options: Required<EjectionOptions>): Iterable<S> {
  const found = new Set<S>();
  const { minInstances, minCalls, deviations, failureShare, failureMinCalls } = options;
  const compared = standings.filter(({ good, bad }) => good + bad >= minCalls);
  if (compared.length >= minInstances) {
    const mean = compared.reduce((sum, one) => sum + goodShare(one), 0) / compared.length;
    const variance = compared.reduce((sum, one) => sum + (goodShare(one) - mean) ** 2, 0) / compared.length;
    const least = mean - deviations * Math.sqrt(variance);
    for (const standing of compared) if (goodShare(standing) < least) found.add(standing);
  }
  const judged = standings.filter(({ good, bad }) => good + bad >= failureMinCalls);
  if (judged.length >= minInstances) {
    for (const standing of judged) if (1 - goodShare(standing) > failureShare) found.add(standing);
  }
  return [...found].sort((a, b) => goodShare(a) - goodShare(b));
}

function goodShare({ good, bad }: Standing): number {
  return good / (good + bad);
}
