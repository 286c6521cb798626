import { type Backoff, backoffMs } from "../core/backoff.ts";
import type { Call, Interceptor, Invoker, Reply } from "../core/call.ts";
import type { Code } from "../core/code.ts";
import { RpcError } from "../core/error.ts";
import { checkInteger, checkNumber, withDefaults } from "../core/options.ts";
import { type Platform, runtimePlatform } from "../core/platform.ts";

/** When and how often a call is tried again. */
export interface RetryOptions {
  /** The most attempts, the first included. Default 3. */
  maxAttempts?: number;
  /** The codes after which an idempotent call is tried again. Default `unavailable`. */
  codes?: readonly Code[];
  /** The first pause in milliseconds; each further one is twice as long. Default 100. */
  firstBackoffMs?: number;
  /** The longest pause in milliseconds. Default 1 000. */
  maxBackoffMs?: number;
  /** How many tokens the budget of a service has: a failure costs one; at half of them or fewer nothing is retried. Default 10. */
  budgetTokens?: number;
  /** How many tokens a success gives back. Default 0.1. */
  tokensPerSuccess?: number;
}

const DEFAULTS: Readonly<Required<RetryOptions>> = Object.freeze({
  maxAttempts: 3,
  codes: Object.freeze(["unavailable"] as Code[]),
  firstBackoffMs: 100,
  maxBackoffMs: 1_000,
  budgetTokens: 10,
  tokensPerSuccess: 0.1,
});

/** Where retrying takes place. */
export interface RetrySurroundings {
  /** Time and chance. Default: the runtime's. */
  platform?: Platform;
  /** Ends all pauses: once it has aborted nothing is tried again. */
  signal?: AbortSignal;
  /** Told of each call that is sent once more. */
  onRetry?: (call: Call) => void;
}

/** How many endpoints are gone through for one call that was never taken anywhere. */
const MAX_REPLAYS = 16;

/** What a service may spend on retries (gRPC's throttling, gRFC A6). Pure. */
export class RetryBudget {
  readonly #max: number;
  readonly #perSuccess: number;
  readonly #counted = new WeakSet<object>();
  #tokens: number;

  /** Makes a full budget. */
  constructor(tokens: number, perSuccess: number) {
    this.#max = this.#tokens = tokens;
    this.#perSuccess = perSuccess;
  }

  /** Takes note of a success. */
  success(): void {
    if (this.#tokens < this.#max) this.#tokens = Math.min(this.#max, this.#tokens + this.#perSuccess);
  }

  /** Takes note of a success, and passes it on. One function for all calls. */
  readonly passed = (reply: Reply): Reply => {
    this.success();
    return reply;
  };

  /**
   * Takes note of a failure. True when a retry is still allowed. Failures that have the same object for their cause, such as
   * all calls of one lost connection, count as one.
   */
  failure(cause?: unknown): boolean {
    if (typeof cause !== "object" || cause === null || !this.#counted.has(cause)) {
      this.#tokens = Math.max(0, this.#tokens - 1);
      if (typeof cause === "object" && cause !== null) this.#counted.add(cause);
    }
    return this.#tokens > this.#max / 2;
  }
}

/**
 * Tries again, elsewhere, what provably did not run or may safely run twice.
 *
 * A call that no server took is replayed at once at another endpoint, and that does not count. Otherwise a call is tried
 * again when its method is idempotent, or the failure says that it did not run; before its first reply message; within the
 * budget of its service; and when the pause ends before its deadline. What the server says of retrying holds.
 * Calls with `retry: false` pass through.
 *
 * @throws {RangeError} when an option is out of range
 */
export function retry(options: RetryOptions = {}, surroundings: RetrySurroundings = {}): Interceptor {
  const { platform = runtimePlatform, signal: ended, onRetry } = surroundings;
  const policy = withDefaults(DEFAULTS, options);
  checkInteger("maxAttempts", policy.maxAttempts, 1, 100);
  checkNumber("firstBackoffMs", policy.firstBackoffMs, 0, 3_600_000);
  checkNumber("maxBackoffMs", policy.maxBackoffMs, 0, 3_600_000);
  checkNumber("budgetTokens", policy.budgetTokens, 0, 1_000_000);
  checkNumber("tokensPerSuccess", policy.tokensPerSuccess, 0, 1_000_000);
  const backoff: Backoff = { firstMs: policy.firstBackoffMs, factor: 2, maxMs: policy.maxBackoffMs, jitter: 0.2 };
  const budgets = new Map<string, RetryBudget>();

  const budgetOf = (service: string) => {
    let budget = budgets.get(service);
    if (budget === undefined) {
      budgets.set(service, budget = new RetryBudget(policy.budgetTokens, policy.tokensPerSuccess));
    }
    return budget;
  };

  return (next) => {
    const again = async (call: Call, budget: RetryBudget, failure: unknown): Promise<Reply> => {
      let replays = 0;
      let attempts = 1;
      for (;;) {
        if (!(failure instanceof RpcError)) throw failure;
        call.note(failure, platform.clock.now());
        if (!call.retry || call.requestsTaken || ended?.aborted) throw failure;
        const avoid = call.avoid ?? [];
        const tried = call.endpoint;
        const fresh = tried !== undefined && !avoid.includes(tried);
        const untaken = failure.executed === "no" && failure.code === "unavailable";
        if (untaken && fresh && ++replays <= MAX_REPLAYS) {
          call = call.with({ avoid: [...avoid, tried], attempt: call.attempt });
        } else {
          const safe = call.idempotent || failure.executed === "no";
          const allowed = budget.failure(failure.cause);
          if (!safe || !allowed || !policy.codes.includes(failure.code) || attempts >= policy.maxAttempts) {
            throw failure;
          }
          if ((failure.retryAfterMs ?? 0) < 0) throw failure;
          const pauseMs = failure.retryAfterMs ?? backoffMs(backoff, attempts - 1, platform.random);
          if (platform.clock.now() + pauseMs >= call.deadline) throw failure;
          await pause(pauseMs, platform, call.signal, ended);
          if (call.signal?.aborted) throw cancelled(call.signal, failure);
          if (ended?.aborted) throw failure;
          attempts++;
          call = call.with({ avoid: fresh ? [...avoid, tried] : avoid, attempt: call.attempt + 1 });
        }
        onRetry?.(call);
        try {
          const reply = await next(call);
          budget.success();
          return reply;
        } catch (error) {
          failure = error;
        }
      }
    };
    const invoke: Invoker = (call) => {
      const budget = budgetOf(call.service);
      return next(call).then(budget.passed, (error) => again(call, budget, error));
    };
    return invoke;
  };
}

/** Waits, unless a signal aborts meanwhile. */
async function pause(ms: number, platform: Platform, ...signals: (AbortSignal | undefined)[]): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const wake = () => resolve();
  using _timer = platform.clock.timer(ms, resolve);
  for (const signal of signals) signal?.addEventListener("abort", wake);
  await promise;
  for (const signal of signals) signal?.removeEventListener("abort", wake);
}

function cancelled(signal: AbortSignal, failure: RpcError): RpcError {
  return new RpcError(
    "cancelled",
    `The call was cancelled while it waited to be tried again after: ${failure.message}`,
    {
      executed: failure.executed,
      cause: signal.reason,
    },
  );
}
