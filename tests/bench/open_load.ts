/**
 * Calls at fixed times, whether others are answered or not: what users do. A load that waits for answers before it goes on
 * offers less the slower they come, and never shows what overload does.
 */

/** What to offer. */
export interface OpenLoad {
  /** Calls in a second. */
  readonly perSecond: number;
  /** How long, in milliseconds. */
  readonly ms: number;
  /** How long each of them may take, from when it should have been sent. */
  readonly timeoutMs: number;
}

/** What came of it. Latencies count from when a call should have been sent. */
export interface OpenMeasured {
  /** Calls in a second that ended well and in time. */
  readonly goodput: number;
  /** Of those, in milliseconds. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Calls that were refused, of all. */
  readonly refusedShare: number;
  /** How long it took to be told so, in milliseconds. */
  readonly refusedP99Ms: number;
}

/** Offers a load. `call` resolves when the call ended well, and rejects with an error that has a `code`. */
export async function offer(
  call: (timeoutMs: number) => Promise<unknown>,
  { perSecond, ms, timeoutMs }: OpenLoad,
): Promise<OpenMeasured> {
  const good: number[] = [], refused: number[] = [];
  const pending: Promise<void>[] = [];
  const gapMs = 1_000 / perSecond;
  const total = Math.floor(ms / gapMs);
  const from = performance.now();
  while (pending.length < total) {
    // All that should have been sent by now: who is late makes up for it.
    for (const due = (performance.now() - from) / gapMs; pending.length <= due && pending.length < total;) {
      const sentAt = from + pending.length * gapMs;
      const ended = () => {
        const tookMs = performance.now() - sentAt;
        if (tookMs <= timeoutMs) good.push(tookMs);
      };
      const failed = (error: { code?: string }) => {
        if (error.code === "resource_exhausted") refused.push(performance.now() - sentAt);
      };
      pending.push(call(timeoutMs).then(ended, failed));
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(pending);
  return {
    goodput: good.length / ms * 1_000,
    p50Ms: at(good, 0.5),
    p99Ms: at(good, 0.99),
    refusedShare: refused.length / total,
    refusedP99Ms: at(refused, 0.99),
  };
}

function at(values: number[], share: number): number {
  values.sort((a, b) => a - b);
  return values[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0;
}
