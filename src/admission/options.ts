import { checkDuration, checkInteger, checkNumber, withDefaults } from "../core/options.ts";

/** How a server keeps from taking more than it can do. */
export interface AdmissionOptions {
  /**
   * How many calls may run at once. A number where you know what stands behind your handlers, such as the size of a pool;
   * `"adaptive"` to have it found out: it rises while calls take no longer for it, and falls when they do. `"none"` goes by the
   * lateness of the event loop alone. A stream holds its place until its handler has ended. Default `"none"`.
   */
  limit?: number | "adaptive" | "none";
  /** Where an adaptive limit begins. Default 20. */
  startLimit?: number;
  /** The least that an adaptive limit can be. Default 4. */
  minLimit?: number;
  /** The most that an adaptive limit can be. Default 1 000. */
  maxLimit?: number;
  /** How many times as long calls may take under an adaptive limit as they do alone, 1 to 10. Default 1.5. */
  tolerance?: number;
  /** Which part of a change an adaptive limit makes at a time, 0.01 to 1. Default 0.2. */
  smoothing?: number;
  /** How late the event loop may be before calls have to wait, in milliseconds. Default 10. */
  maxLagMs?: number;
  /** The most calls that wait, 1 to 1 000 000. Default 10 000. */
  maxWaiting?: number;
  /**
   * The most bytes of messages that wait, 0 to 2^31 − 1. What comes beyond is refused where there is a `limit`, and else does
   * not wait. Default 16 MiB.
   */
  maxWaitingBytes?: number;
  /**
   * The longest that a call waits, in milliseconds; never more than half of the time that it has left. With 5, and
   * `targetMs: 5`, calls that are taken are fast whatever is offered, and bursts are refused that would have had their turn
   * later. Default 5 000.
   */
  maxWaitMs?: number;
  /**
   * The longest that a call waits once the queue has not been empty for `intervalMs`, in milliseconds. Small values keep calls
   * that are taken fast, and refuse the others soon; `Infinity` lets them wait. Default 5 where there is a `limit`, else `Infinity`.
   */
  targetMs?: number;
  /** How long the queue may be without ever getting empty before `targetMs` holds, in milliseconds. Default 100. */
  intervalMs?: number;
}

/** The options with everything in them. */
export type AdmissionPolicy = Readonly<Required<AdmissionOptions>>;

/** What holds where nothing is said, except for `targetMs`, which depends on `limit`. */
export const DEFAULT_ADMISSION: AdmissionPolicy = Object.freeze({
  limit: "none",
  startLimit: 20,
  minLimit: 4,
  maxLimit: 1_000,
  tolerance: 1.5,
  smoothing: 0.2,
  maxLagMs: 10,
  maxWaiting: 10_000,
  maxWaitingBytes: 16 * 1024 * 1024,
  maxWaitMs: 5_000,
  targetMs: Infinity,
  intervalMs: 100,
});

/** The most that any limit can be. */
const MOST = 1_000_000;
/** What `targetMs` is where there is a limit (Controlled Delay, as at Facebook: "Fail at Scale", ACM Queue 2015). */
const TARGET_MS = 5;

/** The defaults with what is given instead. @throws {RangeError} {TypeError} */
export function checkAdmission(given: AdmissionOptions | undefined): AdmissionPolicy {
  const policy = withDefaults(DEFAULT_ADMISSION, given);
  const { limit } = policy;
  if (typeof limit === "number") checkInteger("admission.limit", limit, 1, MOST);
  else if (limit !== "adaptive" && limit !== "none") {
    throw new RangeError(
      `Cannot use admission.limit ${
        JSON.stringify(limit)
      }: it must be a number from 1 to ${MOST}, "adaptive" or "none"`,
    );
  }
  checkInteger("admission.minLimit", policy.minLimit, 1, MOST);
  checkInteger("admission.maxLimit", policy.maxLimit, policy.minLimit, MOST);
  checkInteger("admission.startLimit", policy.startLimit, policy.minLimit, policy.maxLimit);
  checkNumber("admission.tolerance", policy.tolerance, 1, 10);
  checkNumber("admission.smoothing", policy.smoothing, 0.01, 1);
  checkInteger("admission.maxWaiting", policy.maxWaiting, 1, MOST);
  checkInteger("admission.maxWaitingBytes", policy.maxWaitingBytes, 0, 2 ** 31 - 1);
  if (given?.targetMs === undefined && limit !== "none") policy.targetMs = TARGET_MS;
  for (const name of ["maxLagMs", "maxWaitMs", "intervalMs"] as const) checkPositive(name, policy[name]);
  if (policy.targetMs !== Infinity) checkPositive("targetMs", policy.targetMs);
  return Object.freeze(policy);
}

function checkPositive(name: string, ms: number): void {
  checkDuration(`admission.${name}`, ms);
  checkNumber(`admission.${name}`, ms, 1, 3_600_000);
}
