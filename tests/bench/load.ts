/** Keeps a number of calls in flight and says how fast they were answered. */

/** What to do. */
export interface Load {
  /** How many calls are under way at any time. */
  readonly inFlight: number;
  /** How long, in milliseconds. */
  readonly ms: number;
}

/** What came of it. */
export interface Measured {
  /** Calls that were answered in time. */
  readonly calls: number;
  /** How long it took, in milliseconds. */
  readonly ms: number;
  /** Latencies in microseconds: of every call with one in flight, of every 17th with more. */
  readonly p50Us: number;
  readonly p99Us: number;
}

/** A clock costs a good part of a small call: with many in flight only some are timed. No divisor of usual batch sizes. */
const SAMPLE_EVERY = 17;

/** Runs a load. `call` is called again as soon as its promise resolves. */
export async function drive(call: () => Promise<unknown>, { inFlight, ms }: Load): Promise<Measured> {
  const every = inFlight === 1 ? 1 : SAMPLE_EVERY;
  const samples: number[] = [];
  let over = false;
  let calls = 0;

  const lane = async (number: number) => {
    for (let turn = number % every; !over; turn++) {
      if (turn % every !== 0) await call();
      else {
        const from = performance.now();
        await call();
        samples.push(performance.now() - from);
      }
      calls++;
    }
  };

  const from = performance.now();
  let finished: { calls: number; ms: number } | undefined;
  const timer = setTimeout(() => {
    over = true;
    // Where not even one call ends in time, the first that ends counts.
    if (calls > 0) finished = { calls, ms: performance.now() - from };
  }, ms);
  try {
    await Promise.all(Array.from({ length: inFlight }, (_, number) => lane(number)));
  } finally {
    over = true;
    clearTimeout(timer);
  }
  finished ??= { calls, ms: performance.now() - from };
  samples.sort((a, b) => a - b);
  return { ...finished, p50Us: at(samples, 0.5) * 1_000, p99Us: at(samples, 0.99) * 1_000 };
}

/** The value in the middle; of an even number, halfway between the two. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function at(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
