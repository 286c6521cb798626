/** What may be spent on sending calls more than once. Pure book-keeping: it owns no timer and reads no clock. */
import type { Reply } from "../core/call.ts";
import { ByName } from "./by_name.ts";

/** Of a full budget hedges leave this share to retries: slow replies must not use up what failures need. */
const HEDGE_FLOOR = 0.75;

/** What a service may spend on retries and hedges (gRPC's throttling, gRFC A6). Pure. */
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

  /** How many tokens are left. */
  get tokens(): number {
    return this.#tokens;
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

  /** Pays for a call that goes elsewhere at once, if a failure would still allow a retry. */
  move(): boolean {
    if (this.#tokens - 1 <= this.#max / 2) return false;
    this.#tokens--;
    return true;
  }

  /**
   * Pays for a hedge, if that leaves three quarters. In the long run there are no more hedges than successes pay for, one for
   * ten by default, however slow everything is.
   */
  hedge(): boolean {
    if (this.#tokens - 1 < this.#max * HEDGE_FLOOR) return false;
    this.#tokens--;
    return true;
  }

  /** Gives back what was paid for a hedge that went nowhere. */
  refund(): void {
    this.#tokens = Math.min(this.#max, this.#tokens + 1);
  }
}

/** The budgets of all services that one client calls. */
export class RetryBudgets {
  readonly #tokens: number;
  readonly #budgets: ByName<RetryBudget>;

  /** Makes budgets of so many tokens, of which each success gives some back. */
  constructor(tokens: number, perSuccess: number) {
    this.#tokens = tokens;
    this.#budgets = new ByName(() => new RetryBudget(tokens, perSuccess));
  }

  /** The budget of a service. */
  of(service: string): RetryBudget {
    return this.#budgets.of(service);
  }

  /** How many tokens the budget of a service has left. */
  tokens(service: string): number {
    return this.#budgets.peek(service)?.tokens ?? this.#tokens;
  }
}
