import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Call, type CallInit, Reply } from "../../src/core/call.ts";
import type { Code } from "../../src/core/code.ts";
import { type Executed, RpcError } from "../../src/core/error.ts";
import { RetryBudget, RetryBudgets } from "../../src/interceptor/budget.ts";
import { retry, type RetryOptions } from "../../src/interceptor/retry.ts";
import { fraction } from "../../src/core/platform.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";

type Outcome = "ok" | [Code, Executed, number?];

/** Runs one call against a script of outcomes, in virtual time. */
async function run(
  script: Outcome[],
  options: {
    retry?: RetryOptions;
    idempotent?: boolean;
    endpoints?: string[];
    deadlineMs?: number;
    budgets?: RetryBudgets;
    call?: Pick<CallInit, "retry" | "attempt">;
    requestsTaken?: boolean;
  } = {},
) {
  const platform = virtualPlatform(1);
  const seen: { attempt: number; avoid: readonly string[]; at: number }[] = [];
  const endpoints = options.endpoints ?? ["a", "b", "c", "d"];
  const invoke = retry(options.retry, { platform, budgets: options.budgets })((call) => {
    const outcome = script[seen.length] ?? "ok";
    seen.push({ attempt: call.attempt, avoid: call.avoid ?? [], at: platform.clock.now() });
    call.endpoint = endpoints.find((endpoint) => !call.avoid?.includes(endpoint)) ?? endpoints[0];
    if (outcome === "ok") return Promise.resolve(new Reply({ message: call.endpoint }));
    const [code, executed, retryAfterMs] = outcome;
    return Promise.reject(new RpcError(code, "scripted", { executed, retryAfterMs }));
  });
  const call = new Call({
    procedure: "t/t",
    kind: "unary",
    idempotent: options.idempotent ?? true,
    deadline: options.deadlineMs === undefined ? Infinity : platform.clock.now() + options.deadlineMs,
    ...options.call,
  });
  if (options.requestsTaken) call.requestsTaken = true;
  const result = invoke(call).then((reply) => String(reply.message), (error) => error.code);
  const started = platform.clock.now();
  await platform.clock.advance(60_000);
  return { result: await result, seen: seen.map((one) => ({ ...one, at: one.at - started })) };
}

Deno.test("retry passes a success through", async () => {
  const { result, seen } = await run(["ok"]);
  assertEquals([result, seen.length], ["a", 1]);
});

Deno.test("retry replays at once, elsewhere and without counting, what was never taken", async () => {
  const { result, seen } = await run([["unavailable", "no"], ["unavailable", "no"], ["unavailable", "no"], "ok"], {
    idempotent: false,
  });
  assertEquals(result, "d");
  assertEquals(seen, [
    { attempt: 0, avoid: [], at: 0 },
    { attempt: 0, avoid: ["a"], at: 0 },
    { attempt: 0, avoid: ["a", "b"], at: 0 },
    { attempt: 0, avoid: ["a", "b", "c"], at: 0 },
  ]);
});

Deno.test("retry gives up when nobody takes the call, after a pause between rounds", async () => {
  const { result, seen } = await run(Array(50).fill(["unavailable", "no"]), { endpoints: ["a", "b"] });
  assertEquals(result, "unavailable");
  // Two replays, one for each endpoint, and then three attempts.
  assertEquals(seen.map(({ attempt }) => attempt), [0, 0, 0, 1, 2]);
});

Deno.test("retry tries an idempotent call three times, elsewhere, with growing pauses", async () => {
  const { result, seen } = await run(Array(9).fill(["unavailable", "maybe"]));
  assertEquals(result, "unavailable");
  assertEquals(seen.map(({ attempt, avoid }) => [attempt, avoid.length]), [[0, 0], [1, 1], [2, 2]]);
  const pauses = seen.slice(1).map(({ at }, i) => at - seen[i].at);
  assertEquals(pauses.map((pause, i) => pause >= 80 * 2 ** i && pause <= 120 * 2 ** i + 1), [true, true], `${pauses}`);
});

Deno.test("retry leaves alone what may have run, other codes, and what is told not to", async () => {
  const rows: [Outcome, Parameters<typeof run>[1]][] = [
    [["unavailable", "maybe"], { idempotent: false }],
    [["unavailable", "yes"], { idempotent: false }],
    [["internal", "maybe"], {}],
    [["deadline_exceeded", "maybe"], {}],
    [["resource_exhausted", "no"], {}],
    [["unavailable", "maybe", -1], {}],
    [["unavailable", "maybe"], { call: { retry: false } }],
    [["unavailable", "no"], { call: { retry: false } }],
    [["unavailable", "no"], { requestsTaken: true }],
    [["unavailable", "maybe"], { retry: { maxAttempts: 1 } }],
    [["unavailable", "maybe", 500], { deadlineMs: 400 }],
  ];
  for (const [outcome, options] of rows) {
    const { result, seen } = await run([outcome, "ok"], options);
    assertEquals([result, seen.length], [outcome[0], 1], JSON.stringify([outcome, options]));
  }
});

Deno.test("retry waits as long as the server says", async () => {
  const { result, seen } = await run([["unavailable", "maybe", 3_000], "ok"]);
  assertEquals(result, "b");
  assert(seen[1].at >= 3_000 && seen[1].at <= 3_600, `${seen[1].at}`);
});

Deno.test("retry stops waiting when the call is cancelled", async () => {
  const platform = virtualPlatform(1);
  const controller = new AbortController();
  const invoke = retry({}, { platform })(() => Promise.reject(new RpcError("unavailable", "scripted")));
  const pending = invoke(new Call({ procedure: "t/t", kind: "unary", idempotent: true, signal: controller.signal }));
  const failure = assertRejects(() => pending, RpcError, "cancelled");
  await platform.clock.advance(1);
  controller.abort();
  assertEquals((await failure).code, "cancelled");
});

Deno.test("retry does not wait for a call that was cancelled while its failure was on its way", async () => {
  const platform = virtualPlatform(1);
  const stop = new AbortController();
  const invoke = retry({}, { platform })(() => {
    stop.abort();
    return Promise.reject(new RpcError("unavailable", "later", { executed: "no", retryAfterMs: 60_000 }));
  });
  const call = new Call({ procedure: "t/t", kind: "unary", idempotent: true, signal: stop.signal });
  const outcome = invoke(call).catch((error) => error.code);
  for (let turn = 0; turn < 50; turn++) await undefined;
  assertEquals([platform.clock.timerCount, await Promise.race([outcome, "still waiting"])], [0, "cancelled"]);
});

Deno.test("RetryBudget allows nothing at half of its tokens or fewer, and fills with successes", () => {
  const budget = new RetryBudget(10, 0.1);
  assertEquals([1, 2, 3, 4, 5, 6].map(() => budget.failure()), [true, true, true, true, false, false]);
  for (let i = 0; i < 21; i++) budget.success();
  assertEquals(budget.failure(), true);
  assertEquals(budget.failure(), false);
});

Deno.test("retry comes back to a server that has too much to do when that says so, idempotent or not", async () => {
  const busy: Outcome = ["resource_exhausted", "no", 200];
  const { result, seen } = await run([busy, busy, "ok"], { idempotent: false });
  assertEquals([result, seen.length], ["c", 3]);
  assertEquals(seen.map(({ attempt }) => attempt), [0, 0, 1]);
  assertEquals(seen[1].at, 0, "elsewhere at once, the first time");
  assert(seen[2].at >= 200 && seen[2].at <= 240, `${seen[2].at}`);
  const rows: [Outcome, Parameters<typeof run>[1]][] = [
    [["resource_exhausted", "no"], {}], // a limit that it would meet again
    [["resource_exhausted", "no", -1], {}],
    [["resource_exhausted", "yes", 200], {}], // what the application has not enough of
    [busy, { retry: { budgetTokens: 1 } }],
    [busy, { retry: { maxAttempts: 1 } }],
    [busy, { call: { attempt: 1 } }],
  ];
  for (const [outcome, options] of rows) {
    const { seen } = await run([outcome, "ok"], options);
    assertEquals(seen.length, 1, JSON.stringify([outcome, options]));
  }
  assertEquals((await run([busy, busy, "ok"], { deadlineMs: 100 })).seen.length, 2);
});

Deno.test("retry only replays what is made to answer a call that is tried again itself", async () => {
  const call = { attempt: 1 };
  const replayed = await run([["unavailable", "no"], ["unavailable", "no"], "ok"], { call });
  assertEquals([replayed.result, replayed.seen.map(({ attempt }) => attempt)], ["c", [1, 1, 1]]);
  for (const executed of ["maybe", "no"] as const) {
    const { result, seen } = await run(Array(9).fill(["unavailable", executed]), { call, endpoints: ["a"] });
    assertEquals(result, "unavailable");
    // At "no", once more for the endpoint that had not been avoided.
    assertEquals(seen.length, executed === "no" ? 2 : 1);
  }
});

Deno.test("retry says of executed the most that any attempt said", async () => {
  const platform = virtualPlatform(1);
  const outcomes: Executed[] = ["maybe", "no", "no"];
  let runs = 0;
  const invoke = retry({}, { platform })((call) => {
    call.endpoint = "a";
    const executed = outcomes[runs++];
    return Promise.reject(new RpcError("unavailable", `the ${executed} one`, { executed, retryAfterMs: 1 }));
  });
  const failed = assertRejects(() => invoke(new Call({ procedure: "t/t", kind: "unary", idempotent: true })), RpcError);
  await platform.clock.advance(10_000);
  const error = await failed;
  assertEquals([runs, error.executed, error.message], [3, "maybe", "the no one"]);
});

Deno.test("retry takes from the budget for failures that more calls would make worse, and for no others", async () => {
  const rows: [Outcome, number][] = [
    ["ok", 10],
    [["unavailable", "maybe"], 9],
    [["resource_exhausted", "no", 5], 9],
    [["internal", "maybe", -1], 9],
    [["not_found", "yes"], 10],
    [["internal", "yes"], 10],
    [["deadline_exceeded", "maybe"], 10],
    [["cancelled", "maybe"], 10],
    [["resource_exhausted", "yes"], 10],
  ];
  for (const [outcome, expected] of rows) {
    const budgets = new RetryBudgets(10, 0.1);
    await run([outcome, "ok"], { retry: { maxAttempts: 1 }, budgets });
    assertEquals(budgets.tokens("t"), expected, JSON.stringify(outcome));
  }
});

Deno.test("retry moves a call that was refused only as long as the budget pays for it", async () => {
  const busy: Outcome = ["resource_exhausted", "no", 1];
  const budgets = new RetryBudgets(10, 0.1);
  const counts: number[] = [];
  for (let i = 0; i < 10; i++) {
    counts.push((await run(Array(9).fill(busy), { budgets, retry: { maxAttempts: 2 } })).seen.length);
  }
  // Moved and tried again as long as there are more than half of ten tokens; then a failure is a failure.
  assertEquals(counts.reduce((sum, count) => sum + count), 10 + 3, counts.join(" "));
  assertEquals(budgets.tokens("t") < 5, true);
});

/** What grpc-go's TestRetryThrottling expects: the outcome of each call, the number of the last attempt, tokens left. */
Deno.test("H54 retry throttling, the golden vector of grpc-go's TestRetryThrottling", async () => {
  const platform = virtualPlatform(1);
  const budgets = new RetryBudgets(10, 0.5);
  const good = new Set([0, 3, 6, 10, 11, 12, 13, 14, 16, 18]);
  let attempt = -1;
  const policy = { maxAttempts: 4, firstBackoffMs: 10, maxBackoffMs: 10 };
  const invoke = retry(policy, { platform, budgets })(() =>
    good.has(++attempt)
      ? Promise.resolve(new Reply({}))
      : Promise.reject(new RpcError("unavailable", "retryable", { executed: "yes" }))
  );
  const expected: [outcome: string, lastAttempt: number, tokens: number][] = [
    ["ok", 0, 10],
    ["ok", 3, 8.5],
    ["ok", 6, 7],
    ["unavailable", 8, 5],
    ["unavailable", 9, 4],
    ["ok", 10, 4.5],
    ["ok", 11, 5],
    ["ok", 12, 5.5],
    ["ok", 13, 6],
    ["ok", 14, 6.5],
    ["ok", 16, 6],
    ["unavailable", 17, 5],
  ];
  const seen: typeof expected = [];
  for (const _ of expected) {
    const call = new Call({ procedure: "t/t", kind: "unary", idempotent: true });
    const outcome = invoke(call).then(() => "ok", (error) => error.code);
    await platform.clock.advance(1_000);
    seen.push([await outcome, attempt, budgets.tokens("t")]);
  }
  assertEquals(seen, expected);
});

Deno.test("RetryBudget lets hedges spend a quarter, and no more than one for ten successes after that", () => {
  const budget = new RetryBudget(10, 0.1);
  let hedges = 0;
  for (let i = 0; i < 1_000; i++) {
    if (budget.hedge()) hedges++;
    budget.success();
  }
  assert(hedges > 90 && hedges <= 102, `${hedges}`);
  // What is left to retries is what failures need.
  assertEquals([1, 2].map(() => budget.failure()), [true, true]);
});

const seed = Number(Deno.env.get("ERPC_SEED") ?? crypto.getRandomValues(new Uint32Array(1))[0]);

Deno.test("retry keeps to its budget at every moment, whatever happens (invariant 17)", async () => {
  for (let run = 0; run < 30; run++) {
    const random = seededRandom(seed + run);
    const platform = virtualPlatform(seed + run);
    const [tokens, ratio] = [[10, 0.1], [4, 0.5], [1, 0.1], [0, 1]][run % 4];
    const sick = fraction(random);
    const slowMs = fraction(random) * 500;
    let [calls, attempts] = [0, 0];
    const invoke = retry({ maxAttempts: 5, budgetTokens: tokens, tokensPerSuccess: ratio }, { platform })(async () => {
      attempts++;
      const most = calls * (1 + ratio) + tokens / 2;
      assert(attempts <= most, `ERPC_SEED=${seed}, run ${run}: ${attempts} attempts of ${calls} calls, ${most} may be`);
      const { promise, resolve } = Promise.withResolvers<void>();
      using _timer = platform.clock.timer(fraction(random) * slowMs, resolve);
      await promise;
      if (fraction(random) < sick) throw new RpcError("unavailable", "sick");
      return new Reply({});
    });
    const outcomes: Promise<unknown>[] = [];
    for (let i = 0; i < 150; i++) {
      calls++;
      outcomes.push(invoke(new Call({ procedure: "t/t", kind: "unary", idempotent: true })).catch((error) => error));
      await platform.clock.advance(fraction(random) * 30);
    }
    await platform.clock.advance(60_000);
    for (const outcome of await Promise.all(outcomes)) {
      assert(outcome instanceof Reply || outcome instanceof RpcError, `ERPC_SEED=${seed}, run ${run}: ${outcome}`);
    }
  }
});

Deno.test("retry refuses options that make no sense", () => {
  assertThrows(() => retry({ maxAttempts: 0 }), RangeError, "maxAttempts");
  assertThrows(() => retry({ budgetTokens: NaN }), RangeError, "budgetTokens");
  assertThrows(() => retry({ nonsense: 1 } as never), TypeError, "nonsense");
});

Deno.test("RetryBudget counts the calls of one lost connection as one failure", () => {
  const budget = new RetryBudget(10, 0.1);
  const cause = new Error("the connection was lost");
  for (let i = 0; i < 100; i++) assertEquals(budget.failure(cause), true);
  assertEquals([1, 2, 3, 4].map(() => budget.failure(new Error())), [true, true, true, false]);
});
