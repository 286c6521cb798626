import type { Call, Interceptor, Invoker } from "../core/call.ts";
import { checkCodes, type Code } from "../core/code.ts";
import { RpcError } from "../core/error.ts";
import { checkInteger, checkNumber, withDefaults } from "../core/options.ts";
import { type Platform, runtimePlatform } from "../core/platform.ts";
import { ByName } from "./by_name.ts";
import { Circuit, type CircuitState, type Outcome } from "./circuit.ts";
import { isShed } from "./retry.ts";

/** When calls are refused here, because nothing good has come of those before them. */
export interface BreakerOptions {
  /** Whether each method has a breaker of its own, or all of a service share one. Default `method`. */
  per?: "method" | "service";
  /** For how long calls count, in milliseconds, 100 to 3 600 000. Default 10 000. */
  windowMs?: number;
  /** How many calls must have ended in that time before anything is concluded, 1 to 1 000 000. Default 20. */
  minCalls?: number;
  /** Which share of them must have failed, over 0 to 1. Default 0.5. */
  failureRatio?: number;
  /** The codes that count as failures. Default: `unavailable` and `deadline_exceeded`. */
  codes?: readonly Code[];
  /** From what time on a call is slow, in milliseconds; `Infinity` never. Streams are not. Default `Infinity`. */
  slowMs?: number;
  /** Which share of the calls must have been slow, over 0 to 1. Default 0.8. */
  slowRatio?: number;
  /** How long calls are refused at first, in milliseconds, 1 to 3 600 000; each time in a row that is twice as long. Default 5 000. */
  openMs?: number;
  /** How long at most, in milliseconds, `openMs` to 3 600 000. Default 60 000. */
  maxOpenMs?: number;
  /** How many calls are let through at once after that, and must go well, 1 to 1 000. Default 3. */
  probes?: number;
}

const DEFAULTS: Readonly<Required<BreakerOptions>> = Object.freeze({
  per: "method",
  windowMs: 10_000,
  minCalls: 20,
  failureRatio: 0.5,
  codes: Object.freeze(["unavailable", "deadline_exceeded"] as Code[]),
  slowMs: Infinity,
  slowRatio: 0.8,
  openMs: 5_000,
  maxOpenMs: 60_000,
  probes: 3,
});

/** Where breakers work. */
export interface BreakerSurroundings {
  /** Time. Default: the runtime's. */
  platform?: Platform;
  /** Told of each call that is refused. */
  onRefused?: (call: Call) => void;
  /** Told when a breaker changes its state. */
  onState?: (state: BreakerState) => void;
}

/** How one breaker stands. */
export interface BreakerState extends CircuitState {
  /** The service or the procedure that it is for; `*` for all that came when there were 4 096 of them. */
  readonly name: string;
}

/** An interceptor with circuit breakers in it. */
export type Breaker = Interceptor & {
  /** How each breaker stands that has seen a call. */
  states(): readonly BreakerState[];
};

/**
 * Refuses calls of a method, or of a service, while nothing good would come of them.
 *
 * It counts how the calls of the last `windowMs` ended. When half of at least `minCalls` failed, or most were slow, it opens: for
 * `openMs` calls fail at once, with `unavailable`, `executed: "no"` and the time to the next attempt as `retryAfterMs`. Then
 * it lets `probes` calls through at a time; when as many have gone well it closes, and with the first that does not it opens
 * for twice as long. A probe that is cancelled, or never ends, makes room for another.
 *
 * What counts is how a call ends after all retries. Answers of the application never count as failures: codes other than
 * `codes`, errors that a contract declares, and `resource_exhausted` unless the server says that it has too much to do. Nor
 * do calls that were cancelled, or had no time from the start. A stream counts with its first reply.
 *
 * @throws {RangeError} when an option is out of range
 */
export function breaker(options: BreakerOptions = {}, surroundings: BreakerSurroundings = {}): Breaker {
  const policy = checkBreaker(options);
  const { platform = runtimePlatform, onRefused, onState } = surroundings;
  const { clock } = platform;
  const circuits = new ByName((name) => {
    const circuit = new Circuit(policy, clock.now());
    if (onState !== undefined) circuit.onState = (state) => onState({ name, ...state });
    return circuit;
  });

  const wrap: Interceptor = (next) => {
    const invoke: Invoker = (call) => {
      const circuit = circuits.of(policy.per === "service" ? call.service : call.procedure);
      const startedAt = clock.now();
      const ticket = circuit.admit(startedAt);
      if (ticket === undefined) {
        onRefused?.(call);
        return Promise.reject(refusal(call, circuit, policy, startedAt));
      }
      return next(call).then((reply) => {
        const now = clock.now();
        const slow = reply.messages === undefined && now - startedAt > policy.slowMs;
        circuit.settle(ticket, slow ? "slow" : "success", now);
        return reply;
      }, (error) => {
        circuit.settle(ticket, outcomeOf(error, call, policy.codes), clock.now());
        throw error;
      });
    };
    return invoke;
  };
  const states = () => [...circuits].map(([name, circuit]) => ({ name, ...circuit.state(clock.now()) }));
  return Object.assign(wrap, { states });
}

/** The options with the defaults for what they leave open. @throws {RangeError} {TypeError} */
function checkBreaker(options: BreakerOptions): Required<BreakerOptions> {
  const policy = withDefaults(DEFAULTS, options) as Required<BreakerOptions>;
  if (policy.per !== "method" && policy.per !== "service") {
    throw new TypeError(`Cannot use per ${JSON.stringify(policy.per)}: it must be "method" or "service"`);
  }
  checkNumber("windowMs", policy.windowMs, 100, 3_600_000);
  checkInteger("minCalls", policy.minCalls, 1, 1_000_000);
  checkNumber("failureRatio", policy.failureRatio, Number.MIN_VALUE, 1);
  checkCodes("codes", policy.codes);
  checkNumber("slowMs", policy.slowMs, 0, Infinity);
  checkNumber("slowRatio", policy.slowRatio, Number.MIN_VALUE, 1);
  checkNumber("openMs", policy.openMs, 1, 3_600_000);
  checkNumber("maxOpenMs", policy.maxOpenMs, policy.openMs, 3_600_000);
  checkInteger("probes", policy.probes, 1, 1_000);
  return policy;
}

/** What a failure says about the service, rather than about the call. */
function outcomeOf(error: unknown, call: Call, codes: readonly Code[]): Outcome {
  if (!(error instanceof RpcError) || error.code === "cancelled") return "unknown";
  if (error.reason !== undefined) return "success";
  if (error.code === "deadline_exceeded" && call.deadline <= call.startedAt) return "unknown";
  return codes.includes(error.code) || isShed(error) ? "failure" : "success";
}

function refusal(call: Call, circuit: Circuit, { per }: Required<BreakerOptions>, now: number): RpcError {
  const { state, reason, retryInMs } = circuit.state(now);
  const whose = per === "service" ? call.service : call.procedure;
  const until = state === "open" ? `the next attempt is in ${Math.ceil(retryInMs)} ms` : "others are trying now";
  const error = new RpcError("unavailable", `The circuit breaker of "${whose}" is open: ${reason}; ${until}`, {
    executed: "no",
    retryAfterMs: retryInMs,
  });
  call.note(error, now, "breaker");
  return error;
}
