/** Some seeds as a test, each run twice: the slice of the simulator that runs with all other tests. */
import { assertEquals } from "@std/assert";
import { configOf } from "./config.ts";
import { describeFailure } from "./report.ts";
import { run } from "./run.ts";
import { shrink } from "./shrink.ts";

/** Runs seeds one after the other; fails with the first failure, made smaller, and the command that shows it again. */
export async function runSlice(first: number, count: number): Promise<void> {
  const started = performance.now();
  let virtualMs = 0;
  for (let seed = first; seed < first + count; seed++) {
    const outcome = await run(configOf(seed));
    if (outcome.problems.length > 0) {
      const small = await shrink(outcome, {});
      throw new Error(describeFailure(small.outcome, small.overrides, ""));
    }
    const again = await run(configOf(seed));
    assertEquals(again.hash, outcome.hash, `seed ${seed} does not come out the same a second time`);
    virtualMs += 2 * outcome.virtualMs;
  }
  const seconds = (performance.now() - started) / 1_000;
  console.log(
    `${count} seeds from ${first}, each twice: ${(count / seconds).toFixed(1)} seeds/s, ` +
      `${Math.round(virtualMs / 1_000 / seconds)} : 1 virtual to real`,
  );
}
