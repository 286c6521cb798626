import { RpcError } from "./error.ts";
import { fraction, type Random } from "./platform.ts";

/** How long to wait between attempts: the first time `firstMs`, each time `factor` times longer up to `maxMs`. */
export interface Backoff {
  /** The first wait in milliseconds. */
  readonly firstMs: number;
  /** By how much each wait is longer than the one before. */
  readonly factor: number;
  /** The longest wait in milliseconds, before chance has its part. */
  readonly maxMs: number;
  /** How much of a wait is left to chance, 0 to 1; it spreads both ways, except that 1 means "anything up to it". */
  readonly jitter: number;
}

/** Redialling: 0.2 s × 1.6 ≤ 30 s, full jitter, so that many clients that lost one server do not return together. */
export const REDIAL: Backoff = Object.freeze({ firstMs: 200, factor: 1.6, maxMs: 30_000, jitter: 1 });

/** The wait before attempt number `attempt`, where the first wait is number 0. */
export function backoffMs(backoff: Backoff, attempt: number, random: Random): number {
  // Bounded before it is multiplied: zero times infinity is no duration.
  const full = Math.min(backoff.maxMs, backoff.firstMs * Math.min(backoff.factor ** attempt, Number.MAX_SAFE_INTEGER));
  if (backoff.jitter >= 1) return full * fraction(random);
  return full * (1 + backoff.jitter * (2 * fraction(random) - 1));
}

/** The wait after attempt number `attempt` failed: as long as the error asks for, or else what the back-off says. */
export function waitAfterMs(error: unknown, backoff: Backoff, attempt: number, random: Random): number {
  const asked = error instanceof RpcError ? error.retryAfterMs : undefined;
  return asked !== undefined && asked > 0 ? asked : backoffMs(backoff, attempt, random);
}
