import type { Call, Interceptor, Invoker, Reply } from "../core/call.ts";
import { RpcError, strongerExecuted, withExecuted } from "../core/error.ts";
import { checkInteger, checkNames, checkNumber, type OptionNames } from "../core/options.ts";
import { type Platform, runtimePlatform } from "../core/platform.ts";
import { type RetryBudget, RetryBudgets } from "./budget.ts";
import { ByName } from "./by_name.ts";
import { LatencyHistogram } from "./latency.ts";
import type { RetrySurroundings } from "./surroundings.ts";

/** When a call is sent once more before it has been answered. */
export interface HedgeOptions {
  /** After how many of 100 replies have usually come, 50 to 99.9. Default 95. */
  percentile?: number;
  /** After how long instead, in milliseconds, 0 to 3 600 000. Default: what `percentile` comes to. */
  delayMs?: number;
  /** How many replies of a method must have come in the last minute before its percentile is gone by. Default 30. */
  minReplies?: number;
  /** How many of one call may be under way at once, the first included, 2 to 5. Default 2. */
  maxInFlight?: number;
}

const HEDGE_OPTIONS: OptionNames<HedgeOptions> = {
  percentile: true,
  delayMs: true,
  minReplies: true,
  maxInFlight: true,
};

/** For how long replies count, once or twice over. */
const WINDOW_MS = 30_000;
/** How often the percentile is looked at: it costs more than a small call. */
const LOOK_MS = 100;
/** What a budget of its own has, as that of retries has by default. */
const TOKENS = 10;
const TOKENS_PER_SUCCESS = 0.1;

/** What hedging needs beyond what retrying does. */
export interface HedgeSurroundings extends Pick<RetrySurroundings, "platform" | "signal"> {
  /** What may be spent, paid in by `retry` inside of it. Default: a budget of its own, of 10 tokens and 0.1 for each success. */
  budgets?: RetryBudgets;
  /** Runs a function once, some milliseconds from now. Default: a timer of the platform for each call. */
  after?: (ms: number, fire: () => void) => Disposable;
  /** Told of each hedge that was sent, when it is over. */
  onHedge?: (call: Call) => void;
  /** Told of each call that a hedge answered. */
  onWin?: (call: Call) => void;
}

/**
 * Sends a call once more, to another instance, when its answer takes longer than those of 95 in 100 do; the first answer
 * counts, and the others are cancelled.
 *
 * That is done for unary calls of idempotent methods, and not when a call is made to answer a call that is itself a second
 * attempt, nor with `retry: false`. A hedge costs a token of the budget that retries are paid from, and three quarters of it
 * are left to them: in the long run there is at most one hedge for ten successes. After an answer that says "do not try
 * again" none is sent.
 *
 * @throws {RangeError} when an option is out of range
 */
export function hedge(options: HedgeOptions = {}, surroundings: HedgeSurroundings = {}): Interceptor {
  const { percentile = 95, delayMs, minReplies = 30, maxInFlight = 2 } = checkNames(options, HEDGE_OPTIONS);
  checkNumber("percentile", percentile, 50, 99.9);
  if (delayMs !== undefined) checkNumber("delayMs", delayMs, 0, 3_600_000);
  checkInteger("minReplies", minReplies, 1, 1_000_000);
  checkInteger("maxInFlight", maxInFlight, 2, 5);
  const { platform = runtimePlatform, signal, onHedge, onWin } = surroundings;
  const { clock } = platform;
  const budgets = surroundings.budgets ?? new RetryBudgets(TOKENS, TOKENS_PER_SUCCESS);
  // Where nobody else pays in, this does.
  const paysIn = surroundings.budgets === undefined;
  const after = surroundings.after ?? ((ms, fire) => clock.timer(ms, fire));
  const delays = new ByName(() => new LiveDelay(percentile / 100, minReplies, clock.now()));

  return (next) => {
    const race: Race = { next, platform, after, maxInFlight, paysIn, signal, onHedge, onWin };
    const invoke: Invoker = (call) => {
      if (call.kind !== "unary" || !call.idempotent || !call.retry || call.attempt > 0) return next(call);
      const delay = delays.of(call.procedure);
      const budget = budgets.of(call.service);
      return new Hedged(call, race, delay.latency, budget).run(delayMs ?? delay.ms(clock.now()));
    };
    return invoke;
  };
}

/** After how long the calls of one method are sent once more. */
class LiveDelay {
  readonly latency: LatencyHistogram;
  readonly #share: number;
  readonly #minReplies: number;
  #ms = Infinity;
  #lookedAt = -Infinity;

  constructor(share: number, minReplies: number, now: number) {
    this.latency = new LatencyHistogram(WINDOW_MS, now);
    this.#share = share;
    this.#minReplies = minReplies;
  }

  ms(now: number): number {
    if (now - this.#lookedAt >= LOOK_MS) {
      this.#lookedAt = now;
      this.#ms = this.latency.count(now) < this.#minReplies ? Infinity : this.latency.quantile(this.#share, now);
    }
    return this.#ms;
  }
}

/** What the hedged calls of one client share. */
interface Race {
  readonly next: Invoker;
  readonly platform: Platform;
  readonly after: (ms: number, fire: () => void) => Disposable;
  readonly maxInFlight: number;
  readonly paysIn: boolean;
  readonly signal: AbortSignal | undefined;
  readonly onHedge: ((call: Call) => void) | undefined;
  readonly onWin: ((call: Call) => void) | undefined;
}

/** One of the times that a call is under way. */
interface Leg {
  readonly call: Call;
  readonly abort: AbortController;
  readonly startedAt: number;
}

/** One call that may be under way more than once. It settles once: with the first reply, or when all legs have failed. */
class Hedged {
  readonly #call: Call;
  readonly #race: Race;
  readonly #latency: LatencyHistogram;
  readonly #budget: RetryBudget;
  readonly #legs = new Set<Leg>();
  readonly #settled = Promise.withResolvers<Reply>();
  #sent = 0;
  #over = false;
  #forbidden = false;
  #failure: RpcError | undefined;
  #timer: Disposable | undefined;
  #avoid: readonly string[];

  constructor(call: Call, race: Race, latency: LatencyHistogram, budget: RetryBudget) {
    this.#call = call;
    this.#race = race;
    this.#latency = latency;
    this.#budget = budget;
    this.#avoid = call.avoid ?? [];
  }

  run(waitMs: number): Promise<Reply> {
    const { signal } = this.#call;
    signal?.addEventListener("abort", this);
    this.#send();
    if (signal?.aborted) this.handleEvent();
    else this.#wait(waitMs);
    return this.#settled.promise;
  }

  /** The caller cancels all of it. */
  handleEvent(): void {
    for (const { abort } of this.#legs) abort.abort(this.#call.signal?.reason);
  }

  #wait(ms: number): void {
    if (ms === Infinity || this.#sent >= this.#race.maxInFlight) return;
    if (this.#race.platform.clock.now() + ms >= this.#call.deadline) return;
    this.#timer = this.#race.after(ms, () => {
      this.#timer = undefined;
      if (this.#over || this.#forbidden || this.#race.signal?.aborted || this.#call.signal?.aborted) return;
      if (!this.#budget.hedge()) return;
      this.#send();
      this.#wait(ms);
    });
  }

  #send(): void {
    const abort = new AbortController();
    const first = this.#sent++ === 0;
    for (const { call } of this.#legs) {
      if (call.endpoint !== undefined) this.#avoid = [...this.#avoid, call.endpoint];
    }
    const call = this.#call.with({
      signal: abort.signal,
      avoid: this.#avoid,
      attempt: this.#call.attempt + this.#sent - 1,
    });
    if (!first) {
      call.hedge = call.elsewhere = true;
    }
    const leg: Leg = { call, abort, startedAt: this.#race.platform.clock.now() };
    this.#legs.add(leg);
    this.#race.next(call).then((reply) => this.#won(leg, reply), (error) => this.#lost(leg, error));
  }

  #won(leg: Leg, reply: Reply): void {
    if (this.#over) return;
    this.#end();
    const { platform, paysIn, onHedge, onWin } = this.#race;
    if (paysIn) this.#budget.success();
    const now = platform.clock.now();
    this.#call.endpoint = leg.call.endpoint;
    this.#call.sentAt = leg.call.sentAt;
    for (const other of this.#legs) {
      // What was cut would have taken at least that long: leaving it out would make the tail look shorter than it is.
      this.#latency.add(now - other.startedAt, now);
      if (other.call.hedge) onHedge?.(other.call);
      if (other !== leg) other.abort.abort();
    }
    if (leg.call.hedge) onWin?.(leg.call);
    this.#settled.resolve(reply);
  }

  #lost(leg: Leg, error: unknown): void {
    this.#legs.delete(leg);
    if (this.#over) return;
    const failure = error instanceof RpcError ? error : undefined;
    // That there is nobody else to send it to is no failure of the call.
    const unsent = leg.call.hedge && failure?.executed === "no" && leg.call.endpoint === undefined;
    if (unsent) this.#budget.refund();
    else if (leg.call.hedge) this.#race.onHedge?.(leg.call);
    if (failure !== undefined && !unsent) {
      leg.call.note(failure, this.#race.platform.clock.now());
      if ((failure.retryAfterMs ?? 0) < 0) this.#forbidden = true;
      this.#failure = this.#failure === undefined
        ? failure
        : withExecuted(failure, strongerExecuted(failure.executed, this.#failure.executed));
    }
    if (this.#legs.size > 0) return;
    this.#end();
    this.#settled.reject(this.#failure ?? error);
  }

  #end(): void {
    this.#over = true;
    this.#timer?.[Symbol.dispose]();
    this.#call.signal?.removeEventListener("abort", this);
  }
}
