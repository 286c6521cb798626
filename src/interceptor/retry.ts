import { type Backoff, backoffMs } from "../core/backoff.ts";
import type { Call, Interceptor, Invoker, Reply } from "../core/call.ts";
import { checkCodes, type Code } from "../core/code.ts";
import { type Executed, hasFoundNobody, RpcError, strongerExecuted, withExecuted } from "../core/error.ts";
import { checkInteger, checkNumber, withDefaults } from "../core/options.ts";
import { fraction, type Platform, runtimePlatform } from "../core/platform.ts";
import { type RetryBudget, RetryBudgets } from "./budget.ts";
import type { RetrySurroundings } from "./surroundings.ts";

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

/** How many endpoints are gone through for one call that was never taken anywhere. */
const MAX_REPLAYS = 16;
/** By what share of it a wait that a server asked for may be longer, so that those refused together do not return together. */
const PUSHBACK_SPREAD = 0.2;

/** The options with the defaults for what they leave open. @throws {RangeError} {TypeError} */
export function checkRetry(options: RetryOptions): Required<RetryOptions> {
  const policy = withDefaults(DEFAULTS, options);
  checkInteger("maxAttempts", policy.maxAttempts, 1, 100);
  checkCodes("codes", policy.codes);
  checkNumber("firstBackoffMs", policy.firstBackoffMs, 0, 3_600_000);
  checkNumber("maxBackoffMs", policy.maxBackoffMs, 0, 3_600_000);
  checkNumber("budgetTokens", policy.budgetTokens, 0, 1_000_000);
  checkNumber("tokensPerSuccess", policy.tokensPerSuccess, 0, 1_000_000);
  return policy as Required<RetryOptions>;
}

/**
 * Whether a server refused a call because it has too much to do, and said when to come back. Without a time to come back
 * `resource_exhausted` is a limit that another attempt would meet again.
 */
export function isShed({ code, executed, retryAfterMs }: RpcError): boolean {
  return code === "resource_exhausted" && executed === "no" && retryAfterMs !== undefined && retryAfterMs >= 0;
}

/**
 * Tries again, elsewhere, what provably did not run or may safely run twice.
 *
 * A call that no server took is replayed at once at another endpoint, and that does not count; so is, once and within the
 * budget, one that a server refused because it has too much to do. Otherwise a call is tried again when its method is
 * idempotent, or the failure says that it did not run; after one of `codes`, or when a server that has too much to do said
 * when to come back; before its first reply message; within the budget of its service; and when the pause ends before its
 * deadline. A pause that the server asked for is kept, and made up to a fifth longer; "do not try
 * again" is kept too, and where nobody is there to be called nothing is tried again. Calls with `retry: false` pass through.
 *
 * A call that was made in order to answer a call which is itself a second attempt, here or further back, is replayed and
 * never tried again: with three attempts on each of k hops the last sees at most 2k + 1 of them instead of 3 to the k-th, before
 * any budget is empty.
 *
 * A call of a method with `dedupe` counts as one that may safely run twice, as long as the server is sure to remember it. When
 * it may have run it goes to the same instance again and nowhere else, and fails when that is gone or has started anew.
 *
 * What fails in the end says of `executed` the most that any of its attempts said.
 *
 * @throws {RangeError} when an option is out of range
 */
export function retry(options: RetryOptions = {}, surroundings: RetrySurroundings = {}): Interceptor {
  return new Retrying(options, surroundings).interceptor;
}

/** What {@link retry} knows: for whoever has no promise to wrap, since it tells of the first attempt's end itself. */
export class Retrying {
  /** The same as an interceptor. */
  readonly interceptor: Interceptor = (next) => (call) =>
    next(call).then(this.#budgets.of(call.service).passed, (error) => this.goOn(call, error, next));
  readonly #policy: Required<RetryOptions>;
  readonly #backoff: Backoff;
  readonly #budgets: RetryBudgets;
  readonly #surroundings: RetrySurroundings;
  readonly #platform: Platform;

  /** @throws {RangeError} {TypeError} when an option can't be used */
  constructor(options: RetryOptions, surroundings: RetrySurroundings) {
    const policy = this.#policy = checkRetry(options);
    this.#backoff = { firstMs: policy.firstBackoffMs, factor: 2, maxMs: policy.maxBackoffMs, jitter: 0.2 };
    this.#budgets = surroundings.budgets ?? new RetryBudgets(policy.budgetTokens, policy.tokensPerSuccess);
    this.#surroundings = surroundings;
    this.#platform = surroundings.platform ?? runtimePlatform;
  }

  /** The first attempt of a call has ended well. */
  passed({ service }: Call): void {
    this.#budgets.of(service).success();
  }

  /** Goes on with a call whose first attempt has failed. Resolves as a later one does, or rejects with what it ends with. */
  async goOn(first: Call, error: unknown, next: Invoker): Promise<Reply> {
    const { signal: ended, onRetry } = this.#surroundings;
    const budget = this.#budgets.of(first.service);
    let call = first;
    // Somebody before this client tries again already.
    const maxAttempts = call.attempt > 0 ? 1 : this.#policy.maxAttempts;
    let replays = 0;
    let elsewhere = false;
    let attempts = 1;
    let executed: Executed = "no";
    for (;;) {
      if (!(error instanceof RpcError)) throw error;
      call.note(error, this.#platform.clock.now());
      const last = error;
      const untaken = last.executed === "no" && last.code === "unavailable" && last.retryAfterMs === undefined;
      executed = strongerExecuted(executed, last.executed);
      const failure = withExecuted(last, executed);
      if (!call.retry || call.requestsTaken || ended?.aborted) throw failure;
      const avoid = call.avoid ?? [];
      const tried = call.endpoint;
      const fresh = tried !== undefined && !avoid.includes(tried);
      // What may have run is remembered where it was sent, and nowhere else.
      const bound = call.bound ?? (call.idempotent || last.executed === "no" ? undefined : call.servedBy);
      const movable = fresh && bound === undefined;
      // One server that has too much to do says nothing about the others; but when all have, this must not be for nothing.
      const moved = untaken
        ? movable && ++replays <= MAX_REPLAYS
        : movable && isShed(last) && attempts < maxAttempts && !elsewhere && budget.move();
      if (moved) {
        elsewhere ||= !untaken;
        call = call.with({ avoid: [...avoid, tried!] });
      } else {
        const pauseMs = this.#pauseBefore(call, budget, last, attempts < maxAttempts, attempts);
        if (pauseMs === undefined) throw failure;
        await pause(pauseMs, this.#platform, call.signal, ended);
        if (call.signal?.aborted) throw cancelled(call.signal, failure);
        if (ended?.aborted) throw failure;
        attempts++;
        call = call.with({ avoid: fresh ? [...avoid, tried] : avoid, attempt: call.attempt + 1 });
        call.bound = bound;
      }
      onRetry?.(call);
      try {
        const reply = next(call);
        // Whoever stands around this sees where it is now.
        first.endpoint = call.endpoint;
        first.sentAt = call.sentAt;
        return budget.passed(await reply);
      } catch (caught) {
        error = caught;
      }
    }
  }

  /** How long to wait before the next attempt; `undefined` when there is none. Takes note of the failure. */
  #pauseBefore(
    call: Call,
    budget: RetryBudget,
    failure: RpcError,
    attemptsLeft: boolean,
    attempts: number,
  ): number | undefined {
    if (hasFoundNobody(failure)) return undefined;
    const { codes } = this.#policy;
    const { code, executed, retryAfterMs } = failure;
    const { random, clock } = this.#platform;
    const told = retryAfterMs !== undefined && retryAfterMs < 0;
    // What the application answers, and what only took too long, says nothing about whether more calls would hurt.
    if (!told && !codes.includes(code) && !isShed(failure)) return undefined;
    const allowed = budget.failure(failure.cause);
    const safe = call.idempotent || executed === "no" || call.dedupe !== undefined;
    if (!safe || told || !attemptsLeft) return undefined;
    if (!allowed) {
      this.#surroundings.onThrottled?.(call);
      return undefined;
    }
    const pauseMs = retryAfterMs === undefined
      ? backoffMs(this.#backoff, attempts - 1, random)
      : retryAfterMs * (1 + PUSHBACK_SPREAD * fraction(random));
    const until = call.dedupe === undefined ? call.deadline : Math.min(call.deadline, call.dedupe.until);
    return clock.now() + pauseMs < until ? pauseMs : undefined;
  }
}

/** Waits, unless a signal aborts meanwhile. */
async function pause(ms: number, platform: Platform, ...signals: (AbortSignal | undefined)[]): Promise<void> {
  // One that aborted while the failure was on its way here says nothing any more.
  if (signals.some((signal) => signal?.aborted)) return;
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
