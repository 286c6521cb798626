/** The simulator's workload in earnest: processes that are killed and stopped, behind faulty proxies; the same checkers. */
import { assert, assertEquals } from "@std/assert";
import { runReal } from "./stage.ts";

Deno.test("real processes behind faulty proxies, killed and stopped, keep every invariant", async () => {
  const { problems, history, faults } = await runReal(3);
  console.log(`${history.length} records; ${JSON.stringify(faults)}`);
  assertEquals(problems, []);
  assert(history.filter((record) => record.what === "settled" && record.outcome === "ok").length > 10);
});
