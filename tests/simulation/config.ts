/** What a run is made of: drawn from its seed, and changed by hand to make a failure smaller. */
import type { AdmissionOptions } from "../../src/admission/options.ts";
import type { Limits } from "../../src/core/limits.ts";
import type { EjectionOptions } from "../../src/cluster/ejector.ts";
import type { BreakerOptions } from "../../src/interceptor/breaker.ts";
import type { HedgeOptions } from "../../src/interceptor/hedge.ts";
import type { RetryOptions } from "../../src/interceptor/retry.ts";
import type { LinkOptions } from "../../src/testing/link.ts";
import { Dice } from "./dice.ts";
import type { Op } from "./workload/ops.ts";

/** What can be done to a run. The first ones are how links are; the others happen at times. */
export const FAULTS = [
  "crumbs",
  "jitter",
  "stalls",
  "buffers",
  "resets",
  "dials",
  "flips",
  "partition",
  "oneWay",
  "swizzle",
  "cut",
  "crash",
  "vanish",
  "pause",
  "wall",
  "slow",
  "drain",
  "absent",
] as const;

/** Those that came later are drawn by dice of their own: so the others are in the seeds in which they were. */
const LATER: readonly Fault[] = ["absent"];
const FIRST: readonly Fault[] = FAULTS.filter((fault) => !LATER.includes(fault));

/** One class of faults. */
export type Fault = typeof FAULTS[number];

/** What a run is made of. */
export interface Config {
  readonly seed: number;
  readonly servers: number;
  readonly clients: number;
  /** How many centers; with none, clients know the endpoints. */
  readonly centers: number;
  /** How many calls each client makes. */
  readonly ops: number;
  /** How long faults go on. */
  readonly safetyMs: number;
  readonly faults: readonly Fault[];
  readonly link: LinkOptions;
  readonly limits: { readonly server: Partial<Limits>; readonly client: Partial<Limits> };
  /** How long a registration lasts without a beat. */
  readonly ttlMs: number;
  readonly admission: AdmissionOptions | false;
  readonly retry: RetryOptions | false;
  readonly hedge: HedgeOptions | undefined;
  readonly breaker: Required<Pick<BreakerOptions, "per" | "openMs" | "probes">> & BreakerOptions | undefined;
  readonly balancer:
    | "roundRobin"
    | "random"
    | "consistentHash"
    | "leastLoaded"
    | "firstAvailable"
    | "slowStart"
    | "subset";
  readonly ejection: EjectionOptions | false;
  readonly warmUp: boolean;
  /** The largest message, in bytes of text. */
  readonly messageBytes: number;
  readonly habits: Habits;
  /** How long a call, and a wait in it, may last at most. Absent in simulations, which have the time. */
  readonly longestMs?: number;
}

/** What a run's calls have in common, so that some runs do a lot of what others hardly do. */
export interface Habits {
  /** The methods that are called, those that stand there twice more often. */
  readonly methods: readonly Op["method"][];
  /** How likely it is that a call is taken back, that its replies are left, that its messages are large, that it may take long. */
  readonly cancels: number;
  readonly leaves: number;
  readonly large: number;
  readonly patient: number;
}

const METHODS: Habits["methods"] = [
  ...["once", "once", "again", "again", "keep", "note", "down", "down", "downAgain", "up", "both", "both"] as const,
];

/** What can be said otherwise than the seed says. */
export interface Overrides {
  servers?: number;
  clients?: number;
  centers?: number;
  ops?: number;
  safetyMs?: number;
  without?: readonly Fault[];
}

/** What a seed stands for. */
export function configOf(seed: number, overrides: Overrides = {}): Config {
  const dice = Dice.for(seed, "config");
  const calm = dice.chance(0.1);
  const first = calm ? [] : dice.some(FIRST, 0.3).filter((fault) => fault !== "flips" || dice.chance(0.3));
  const later = calm ? [] : Dice.for(seed, "later faults").some(LATER, 0.3);
  const cluster = Dice.for(seed, "cluster");
  // Runs in which no call may fail: nothing happens but that servers drain, and they have room for every call.
  const drains = cluster.chance(0.1);
  const faults: readonly Fault[] = drains ? ["drain"] : [...first, ...later];
  const drawn = {
    servers: dice.magnitude(1, 8),
    clients: dice.magnitude(1, 8),
    centers: dice.chance(0.4) ? dice.between(1, 3) : 0,
    ops: dice.magnitude(8, 100),
    safetyMs: dice.between(5_000, 30_000),
  };
  const { without = [], ...said } = overrides;
  return {
    seed,
    ...drawn,
    ...said,
    faults: faults.filter((fault) => !without.includes(fault)),
    link: { latencyMs: dice.pick([0.05, 1, 5, 30]) },
    limits: {
      server: { ...limitsOf(dice), ...(drains ? { maxStreams: 256, streamStallMs: 30_000 } : {}) },
      client: { ...limitsOf(dice), ...(drains ? { streamStallMs: 30_000 } : {}) },
    },
    admission: drains ? {} : admissionOf(Dice.for(seed, "admission")),
    retry: dice.chance(0.15) ? false : dice.chance(0.5) ? {} : {
      maxAttempts: dice.between(1, 5),
      firstBackoffMs: dice.magnitude(1, 300),
      budgetTokens: dice.pick([2, 10, 1_000]),
    },
    ...guardsOf(Dice.for(seed, "guards")),
    ...(drains ? { breaker: undefined } : {}),
    balancer: dice.pick(["roundRobin", "random", "consistentHash"]),
    ...clusterOf(cluster),
    messageBytes: dice.pick([100, 2_000, 20_000, 100_000]),
    habits: habitsOf(Dice.for(seed, "habits")),
    ttlMs: Dice.for(seed, "ttl").pick([2_000, 5_000, 15_000]),
  };
}

function habitsOf(dice: Dice): Habits {
  return {
    methods: dice.chance(0.5) ? METHODS : dice.shuffled(METHODS).slice(0, dice.between(1, 3)),
    cancels: dice.pick([0.02, 0.2, 0.2, 0.7]),
    leaves: dice.pick([0.02, 0.15, 0.5]),
    large: dice.pick([0.1, 0.2, 0.8]),
    patient: dice.pick([0.1, 0.4, 0.9]),
  };
}

/** How links are while faults are on. */
export function linkOf(config: Config): LinkOptions {
  const dice = Dice.for(config.seed, "link");
  const has = (fault: Fault) => config.faults.includes(fault);
  const link: LinkOptions = { ...config.link };
  // Everything is drawn whether it is used or not: leaving out one class of faults leaves the others as they are.
  const crumbs: LinkOptions = {
    segmentBytes: dice.pick([[1, 50], [10, 2_000], [1, 65_536]] as const),
    coalesce: dice.pick([0, 0.5, 1]),
    partialWrites: dice.pick([0.1, 0.9]),
  };
  const jitter: LinkOptions = { jitterMs: dice.pick([1, 30, 100]) };
  const stalls: LinkOptions = { stalls: dice.pick([0.005, 0.05]), stallMs: dice.pick([200, 1_500, 5_000]) };
  const buffers: LinkOptions = { capacityBytes: dice.magnitude(200, 20_000) };
  const resets: LinkOptions = { resets: dice.pick([0.2, 0.8]), resetWithinBytes: dice.pick([300, 5_000, 100_000]) };
  const dials: LinkOptions = {
    refusals: dice.pick([0, 0.2]),
    lostDials: dice.pick([0, 0.2]),
    acceptErrors: dice.pick([0, 0.2]),
  };
  if (has("crumbs")) Object.assign(link, crumbs);
  if (has("jitter")) Object.assign(link, jitter);
  if (has("stalls")) Object.assign(link, stalls);
  if (has("buffers")) Object.assign(link, buffers);
  if (has("resets")) Object.assign(link, resets);
  if (has("dials")) Object.assign(link, dials);
  if (has("flips")) link.bitFlips = 0.01;
  return link;
}

function clusterOf(dice: Dice): Pick<Config, "ejection" | "warmUp"> & Partial<Pick<Config, "balancer">> {
  const other = dice.pick(["leastLoaded", "firstAvailable", "slowStart", "subset"] as const);
  const ejection = {
    intervalMs: dice.pick([300, 3_000]),
    baseMs: dice.pick([500, 5_000]),
    maxMs: 20_000,
    minInstances: dice.pick([1, 3]),
    minCalls: dice.pick([2, 5]),
    failureMinCalls: dice.pick([1, 3]),
    failureShare: dice.pick([0.2, 0.6]),
    deviations: dice.pick([0.5, 1.9]),
  };
  return {
    ...(dice.chance(0.4) ? { balancer: other } : {}),
    ejection: dice.chance(0.1) ? false : dice.chance(0.6) ? ejection : {},
    warmUp: dice.chance(0.3),
  };
}

function guardsOf(dice: Dice): Pick<Config, "hedge" | "breaker"> {
  const per = dice.pick(["method", "service"] as const);
  const hedge = dice.chance(0.5)
    ? dice.pick([{ minReplies: 2 }, { delayMs: 5 }, { delayMs: 200, maxInFlight: 3 }])
    : {};
  const breaker = {
    per,
    minCalls: dice.pick([2, 10]),
    windowMs: dice.pick([1_000, 10_000]),
    slowMs: dice.pick([Infinity, 500]),
    openMs: dice.pick([100, 3_000]),
    maxOpenMs: 10_000,
    // The calls at the end come all at once, and each must be let through.
    probes: per === "service" ? 4 : dice.pick([1, 2]),
  };
  return {
    hedge: dice.chance(0.3) ? hedge : undefined,
    breaker: dice.chance(0.3) ? breaker : undefined,
  };
}

function admissionOf(dice: Dice): AdmissionOptions | false {
  const queue = {
    maxWaiting: dice.pick([1, 3, 100]),
    maxWaitingBytes: dice.pick([0, 5_000, 1_048_576]),
    maxWaitMs: dice.pick([50, 5_000]),
    targetMs: dice.pick([5, 100, Infinity]),
  };
  const limit = dice.pick([1, 2, 8, "adaptive"] as const);
  const adaptive = { limit, startLimit: 2, minLimit: 1, maxLimit: 16, ...queue };
  return dice.chance(0.4) ? {} : dice.chance(0.15) ? false : limit === "adaptive" ? adaptive : { limit, ...queue };
}

function limitsOf(dice: Dice): Partial<Limits> {
  return {
    maxStreams: dice.pick([1, 2, 5, 256, 256]),
    maxQueuedCalls: dice.pick([3, 1_024, 1_024]),
    streamWindowBytes: dice.pick([1_024, 5_000, 65_536, 262_144]),
    connectionWindowBytes: dice.pick([1_024, 20_000, 1_048_576]),
    maxAssemblyBytes: dice.pick([20_000, 16 * 1024 * 1024]),
    sendFrameBytes: dice.pick([200, 1_000, 65_536, 65_536]),
    maxFrameBytes: dice.pick([16 * 1024, 1_048_576]),
    maxMessageBytes: dice.pick([10_000, 4 * 1024 * 1024, 4 * 1024 * 1024]),
    sendBufferBytes: dice.pick([2_000, 4 * 1024 * 1024]),
    keepaliveMs: dice.pick([1_000, 5_000, 15_000]),
    idleKeepaliveMs: dice.pick([2_000, 60_000]),
    pingTimeoutMs: dice.pick([1_000, 5_000]),
    connectMs: dice.pick([1_000, 5_000]),
    handshakeMs: dice.pick([1_000, 5_000]),
    idleMs: dice.pick([3_000, 1_800_000]),
    streamStallMs: dice.pick([3_000, 30_000]),
    writeStallMs: dice.pick([2_000, 10_000]),
    frameStallMs: dice.pick([2_000, 10_000]),
  };
}

/** A config in a few lines. */
export function describeConfig(config: Config): string {
  const { seed, servers, clients, centers, ops, safetyMs, faults, retry, hedge, breaker, messageBytes } = config;
  const { balancer, ejection, warmUp } = config;
  return [
    `seed ${seed}: ${servers} servers, ${clients} clients with ${ops} calls each, ${centers} centers, ${safetyMs} ms`,
    `leases last ${config.ttlMs} ms`,
    `faults: ${faults.length === 0 ? "none" : faults.join(", ")}`,
    `link: ${JSON.stringify(linkOf(config))}`,
    `limits of servers: ${JSON.stringify(config.limits.server)}`,
    `limits of clients: ${JSON.stringify(config.limits.client)}`,
    `admission: ${JSON.stringify(config.admission)}`,
    `hedge: ${JSON.stringify(hedge)}, breaker: ${JSON.stringify(breaker)}`,
    `habits: ${JSON.stringify(config.habits)}`,
    `balancer: ${balancer}, ejection: ${JSON.stringify(ejection)}, warm-up: ${warmUp}`,
    `retry: ${JSON.stringify(retry)}, messages up to ${messageBytes} bytes`,
  ].join("\n");
}
