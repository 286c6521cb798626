import { assert, assertEquals } from "@std/assert";
import { breaker } from "@erpc/erpc";
import { Call, Reply } from "../../src/core/call.ts";
import { RetryBudgets } from "../../src/interceptor/budget.ts";
import { ByName, MAX_NAMES } from "../../src/interceptor/by_name.ts";
import { log } from "../../src/interceptor/log.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";

Deno.test("H46 ByName, more names than it tells apart, all others share one, and those that are known stay theirs", () => {
  let made = 0;
  const byName = new ByName((name) => ({ name, number: ++made }));
  const first = byName.of("first");
  assertEquals([byName.of("first"), byName.peek("first"), byName.peek("second")], [first, first, undefined]);
  for (let n = 1; n < MAX_NAMES; n++) byName.of(`a${n}`);
  assertEquals(made, MAX_NAMES);
  for (let n = 0; n < 10_000; n++) assertEquals(byName.of(`b${n}`).name, "*");
  assertEquals([made, [...byName].length, byName.of("first")], [MAX_NAMES + 1, MAX_NAMES + 1, first]);
});

Deno.test("H46 breakers and budgets, on a server that is asked for what it does not have, remember so many names and no more", async () => {
  const breakers = breaker();
  const invoke = breakers(() => Promise.resolve(new Reply({})));
  const budgets = new RetryBudgets(10, 0.1);
  for (let n = 0; n < MAX_NAMES + 1_000; n++) {
    await invoke(new Call({ procedure: `flood.S${n}/x`, kind: "unary" }));
    budgets.of(`flood.S${n}`);
  }
  assertEquals(breakers.states().length, MAX_NAMES + 1);
  assertEquals(budgets.of("flood.S1000000"), budgets.of("flood.S1000001"));
});

Deno.test("H46 log, a procedure that a peer made up, is one line and moves no cursor", async () => {
  const lines: string[] = [];
  const line = (text: string) => lines.push(text);
  const logger = { debug: line, info: line, warn: line, error: line };
  const invoke = log({ logger, platform: virtualPlatform(1) })(() => Promise.resolve(new Reply({})));
  for (
    const procedure of ["demo.Words/count", "x/\n2026-01-01 ERROR all is lost", "x/\x1b[2J", "x/" + "ü".repeat(500)]
  ) {
    await invoke(new Call({ procedure, kind: "unary" }));
  }
  assertEquals(lines[0], "demo.Words/count: ok in 0 ms");
  // deno-lint-ignore no-control-regex
  for (const line of lines) assert(!/[\x00-\x1f]/.test(line) && line.length < 200, line);
});
