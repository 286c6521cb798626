import { backoffMs, REDIAL } from "../core/backoff.ts";
import type { Random } from "../core/platform.ts";

/** When a channel may dial. */
export interface Pace {
  /** How long to wait after a connection was lost that had worked, in milliseconds. */
  afterLossMs(): number;
  /** How long to wait after an attempt that failed, in milliseconds; `failures` counts those in a row before it. */
  afterFailureMs(failures: number): number;
  /** Whether to dial by itself after that, rather than when the next call comes: until it succeeds the channel is failing. */
  redials?(): boolean;
}

/** At once after a loss, and then with growing pauses. */
export function eager(random: Random): Pace {
  return {
    afterLossMs: () => 0,
    afterFailureMs: (failures) => backoffMs(REDIAL, failures, random),
  };
}
