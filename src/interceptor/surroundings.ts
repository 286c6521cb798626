import type { Call } from "../core/call.ts";
import type { Platform } from "../core/platform.ts";
import type { RetryBudgets } from "./budget.ts";

/** Where calls are sent more than once: what retries and hedges of one client share. */
export interface RetrySurroundings {
  /** Time and chance. Default: the runtime's. */
  platform?: Platform;
  /** Ends all pauses: once it has aborted nothing is tried again. */
  signal?: AbortSignal;
  /** What may be spent. Default: budgets of its own, as the options say. */
  budgets?: RetryBudgets;
  /** Told of each call that is sent once more. */
  onRetry?: (call: Call) => void;
  /** Told of each call that would have been sent once more if the budget had allowed it. */
  onThrottled?: (call: Call) => void;
}
