import { assert, assertEquals } from "@std/assert";
import { LatencyHistogram } from "../../src/interceptor/latency.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";

const seed = Number(Deno.env.get("ERPC_SEED") ?? crypto.getRandomValues(new Uint32Array(1))[0]);

Deno.test("LatencyHistogram is at most a bucket above the real quantile, for times of all sizes", () => {
  const random = seededRandom(seed);
  for (const scale of [0.01, 0.5, 20, 3_000, 100_000]) {
    const histogram = new LatencyHistogram(1_000, 0);
    const times = Array.from({ length: 2_000 }, () => scale * (0.1 + (random.u32() / 2 ** 32) ** 4 * 100) / 10);
    for (const time of times) histogram.add(time, 0);
    times.sort((a, b) => a - b);
    for (const share of [0.5, 0.9, 0.95, 0.999, 1]) {
      const real = Math.max(0.05, times[Math.ceil(share * times.length) - 1]);
      const told = histogram.quantile(share, 0);
      assert(told >= real * 0.999 && told <= real * 1.0906, `ERPC_SEED=${seed} ${scale} ${share}: ${told} for ${real}`);
    }
  }
});

Deno.test("LatencyHistogram knows nothing at first, and forgets what is older than two windows", () => {
  const histogram = new LatencyHistogram(1_000, 0);
  assertEquals([histogram.count(0), histogram.quantile(0.5, 0)], [0, Infinity]);
  histogram.add(5, 0);
  assertEquals(histogram.count(999), 1);
  assertEquals(histogram.count(1_500), 1);
  histogram.add(50, 1_600);
  assertEquals(histogram.count(1_600), 2);
  assertEquals(histogram.count(2_500), 1);
  assert(histogram.quantile(0.5, 2_500) >= 50);
  assertEquals(histogram.count(9_000), 0);
  histogram.add(NaN, 9_000);
  histogram.add(Infinity, 9_000);
  histogram.add(-1, 9_000);
  assertEquals(histogram.count(9_000), 3);
});
