import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Call, Reply } from "../../src/core/call.ts";
import type { Code } from "../../src/core/code.ts";
import { type Executed, RpcError } from "../../src/core/error.ts";
import { retry, RetryBudget, type RetryOptions } from "../../src/interceptor/retry.ts";
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
    call?: Partial<Call>;
  } = {},
) {
  const platform = virtualPlatform(1);
  const seen: { attempt: number; avoid: readonly string[]; at: number }[] = [];
  const endpoints = options.endpoints ?? ["a", "b", "c", "d"];
  const invoke = retry(options.retry, { platform })((call) => {
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
  });
  Object.assign(call, options.call);
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
    [["unavailable", "no"], { call: { requestsTaken: true } }],
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
  assertEquals([result, seen[1].at], ["b", 3_000]);
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

Deno.test("RetryBudget allows nothing at half of its tokens or fewer, and fills with successes", () => {
  const budget = new RetryBudget(10, 0.1);
  assertEquals([1, 2, 3, 4, 5, 6].map(() => budget.failure()), [true, true, true, true, false, false]);
  for (let i = 0; i < 21; i++) budget.success();
  assertEquals(budget.failure(), true);
  assertEquals(budget.failure(), false);
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
