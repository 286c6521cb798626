import { checkInteger, checkNumber, withDefaults } from "../core/options.ts";
import { fraction, type Random } from "../core/platform.ts";

/** How bytes go from one node to another in a simulation. Chances are 0 (never) to 1 (always). */
export interface LinkOptions {
  /** The least time that anything takes, in milliseconds. Default 1. */
  latencyMs?: number;
  /** How much longer it takes on average, in milliseconds: exponential, at most eight times as much. Default 0. */
  jitterMs?: number;
  /** The fewest and the most bytes that arrive at once; sizes of each magnitude are as likely. Default 65 536 and 65 536. */
  segmentBytes?: readonly [fewest: number, most: number];
  /** How likely it is that a read gives several segments that are there, rather than the first. Default 1. */
  coalesce?: number;
  /** How likely it is that a write takes only some of the bytes for which there is room. Default 0. */
  partialWrites?: number;
  /** How many bytes a connection holds that were written and not read; then writing waits. Default 262 144. */
  capacityBytes?: number;
  /** How likely it is that a write gets stuck on its way for a while, and all behind it. Default 0. */
  stalls?: number;
  /** How long that lasts on average, in milliseconds: exponential, at most eight times as much. Default 1 000. */
  stallMs?: number;
  /** How likely it is that a connection is reset, in this direction, at a byte by chance. Default 0. */
  resets?: number;
  /** Among how many first bytes that byte is. Default 100 000. */
  resetWithinBytes?: number;
  /** How likely it is that dialling is refused. Default 0. */
  refusals?: number;
  /** How likely it is that dialling gets no answer. Default 0. */
  lostDials?: number;
  /** How likely it is that accepting a connection fails first. Default 0. */
  acceptErrors?: number;
  /** How likely it is that a segment arrives with one bit changed. TCP lets that happen, if hardly ever. Default 0. */
  bitFlips?: number;
}

/** A calm local network: no faults. */
export const DEFAULT_LINK: Readonly<Required<LinkOptions>> = Object.freeze({
  latencyMs: 1,
  jitterMs: 0,
  segmentBytes: Object.freeze([65_536, 65_536] as const),
  coalesce: 1,
  partialWrites: 0,
  capacityBytes: 256 * 1024,
  stalls: 0,
  stallMs: 1_000,
  resets: 0,
  resetWithinBytes: 100_000,
  refusals: 0,
  lostDials: 0,
  acceptErrors: 0,
  bitFlips: 0,
});

const CHANCES = ["coalesce", "partialWrites", "stalls", "resets", "refusals", "lostDials", "acceptErrors", "bitFlips"];
const DAY_MS = 24 * 60 * 60_000;
/** How much longer than its mean an exponential time can be: so that there is a bound to hold others to. */
const LONGEST = 8;

/** The defaults with what is given instead. @throws {RangeError} {TypeError} */
export function checkLink(base: Required<LinkOptions>, given: LinkOptions | undefined): Required<LinkOptions> {
  const link = withDefaults(base, given) as Required<LinkOptions>;
  for (const name of CHANCES) checkNumber(name, link[name as "stalls"], 0, 1);
  for (const name of ["latencyMs", "jitterMs", "stallMs"] as const) checkNumber(name, link[name], 0, DAY_MS);
  checkInteger("capacityBytes", link.capacityBytes, 1, 2 ** 31 - 1);
  checkInteger("resetWithinBytes", link.resetWithinBytes, 1, 2 ** 31 - 1);
  const [fewest, most] = link.segmentBytes;
  checkInteger("segmentBytes[0]", fewest, 1, 2 ** 31 - 1);
  checkInteger("segmentBytes[1]", most, fewest, 2 ** 31 - 1);
  return link;
}

/** One direction between two nodes. */
export class Link {
  /** Whether nothing gets through, neither bytes nor ends nor answers: a black hole. */
  blocked = false;
  /** How bytes go now. */
  options: Required<LinkOptions>;
  readonly #random: Random;
  /** What waits for the link to let something through again. */
  #waiting = new Set<() => void>();

  constructor(options: Required<LinkOptions>, random: Random) {
    this.options = options;
    this.#random = random;
  }

  /** How long something takes, by chance. */
  delayMs(): number {
    const { latencyMs, jitterMs } = this.options;
    return jitterMs === 0 ? latencyMs : latencyMs + exponential(this.#random, jitterMs);
  }

  /** Whether something that is so likely happens. */
  happens(chance: number): boolean {
    return chance > 0 && (chance >= 1 || fraction(this.#random) < chance);
  }

  /** How many bytes the next segment has at most. */
  segmentBytes(): number {
    const [fewest, most] = this.options.segmentBytes;
    return fewest === most ? most : Math.round(fewest * (most / fewest) ** fraction(this.#random));
  }

  /** How long a write is stuck. */
  stallMs(): number {
    const { stalls, stallMs } = this.options;
    return this.happens(stalls) ? exponential(this.#random, stallMs) : 0;
  }

  /** Runs something once the link lets through what it holds back now. */
  whenFree(run: () => void): void {
    this.#waiting.add(run);
  }

  /** Lets everything through, also what was held back. */
  unblock(): void {
    if (!this.blocked) return;
    this.blocked = false;
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const run of waiting) run();
  }
}

function exponential(random: Random, mean: number): number {
  return Math.min(LONGEST, -Math.log(1 - fraction(random))) * mean;
}
