import { assert, assertEquals, assertInstanceOf, assertStringIncludes, assertThrows } from "@std/assert";
import { Call, type CallInit, Reply } from "../../src/core/call.ts";
import { RpcError, type RpcErrorOptions } from "../../src/core/error.ts";
import type { Code } from "../../src/core/code.ts";
import { breaker, type BreakerOptions } from "../../src/interceptor/breaker.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";

type Answer = "ok" | { code: Code; options?: RpcErrorOptions } | { ms: number } | Error;

const REFUSED = { code: "unavailable" } as const;

/** A breaker around answers that are scripted one by one. */
function setUp(options: BreakerOptions = {}) {
  const platform = virtualPlatform(1);
  let script: Answer = "ok";
  let sent = 0;
  const wrapped = breaker({ minCalls: 10, ...options }, { platform });
  const invoke = wrapped(async (call) => {
    sent++;
    const answer = script;
    if (answer === "ok") return new Reply({});
    if (answer instanceof Error) throw answer;
    if ("code" in answer) throw new RpcError(answer.code, "scripted", answer.options);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    using _timer = platform.clock.timer(answer.ms, resolve);
    call.signal?.addEventListener("abort", () => reject(new RpcError("cancelled", "cancelled")));
    await promise;
    return new Reply(call.kind === "unary" ? {} : { messages: (async function* () {})() });
  });
  const start = (init: Partial<CallInit> = {}) => {
    const call = new Call({ procedure: "t.T/t", kind: "unary", startedAt: platform.clock.now(), ...init });
    return invoke(call).then(() => "ok" as const, (error) => error as RpcError);
  };
  const calls = async (count: number, answer: Answer, init: Partial<CallInit> = {}) => {
    script = answer;
    const outcomes: ("ok" | RpcError)[] = [];
    for (let i = 0; i < count; i++) {
      const outcome = start(init);
      await platform.clock.advance(typeof answer === "object" && "ms" in answer ? answer.ms : 0);
      outcomes.push(await outcome);
    }
    return outcomes;
  };
  return {
    platform,
    calls,
    start,
    script: (answer: Answer) => script = answer,
    sent: () => sent,
    state: () => wrapped.states()[0]?.state,
    states: () => wrapped.states(),
  };
}

Deno.test("breaker opens when calls fail, refuses without sending, and closes after attempts that go well", async () => {
  const { calls, platform, sent, state, states } = setUp();
  await calls(10, REFUSED);
  assertEquals([state(), sent()], ["open", 10]);
  const [refused] = await calls(1, "ok");
  assertInstanceOf(refused, RpcError);
  assertEquals([refused.code, refused.executed, refused.retryAfterMs, sent()], ["unavailable", "no", 5_000, 10]);
  assertStringIncludes(
    refused.message,
    'The circuit breaker of "t.T/t" is open: 10 of 10 calls failed in 10000 ms; the next attempt is in 5000 ms',
  );
  await platform.clock.advance(5_000);
  assertEquals(await calls(3, "ok"), ["ok", "ok", "ok"]);
  assertEquals([state(), states()[0].refused, states()[0].opened], ["closed", 1, 1]);
});

Deno.test("breaker never counts what the application answers", async () => {
  const rows: [Answer, "open" | "closed", Partial<CallInit>?][] = [
    [REFUSED, "open"],
    [{ code: "deadline_exceeded" }, "open"],
    [{ code: "resource_exhausted", options: { executed: "no", retryAfterMs: 10 } }, "open"],
    [{ code: "resource_exhausted", options: { executed: "yes" } }, "closed"],
    [{ code: "not_found" }, "closed"],
    [{ code: "invalid_argument" }, "closed"],
    [{ code: "failed_precondition" }, "closed"],
    [{ code: "aborted" }, "closed"],
    [{ code: "internal" }, "closed"],
    [{ code: "unavailable", options: { reason: "shopIsClosed" } }, "closed"],
    [{ code: "cancelled" }, "closed"],
    [new Error("an interceptor's own"), "closed"],
    // Its caller left it no time.
    [{ code: "deadline_exceeded", options: { executed: "no" } }, "closed", { deadline: 0 }],
  ];
  for (const [answer, expected, init] of rows) {
    const { calls, state } = setUp();
    await calls(30, answer, init);
    assertEquals(state(), expected, JSON.stringify(answer));
  }
});

Deno.test("breaker counts the codes that it is told to", async () => {
  const { calls, state } = setUp({ codes: ["internal"] });
  await calls(30, REFUSED);
  assertEquals(state(), "closed");
  await calls(30, { code: "internal" });
  assertEquals(state(), "open");
});

Deno.test("X15 breaker opens when most replies are slow, streams left out", async () => {
  const { calls, state, states, sent } = setUp({ slowMs: 1_000, windowMs: 60_000 });
  await calls(30, { ms: 2_000 }, { kind: "serverStream" });
  assertEquals([state(), states()[0].slow], ["closed", 0]);
  await calls(40, { ms: 900 });
  assertEquals(state(), "closed");
  const slow = setUp({ slowMs: 1_000, windowMs: 60_000 });
  await slow.calls(100, { ms: 2_000 });
  assertEquals(slow.state(), "open");
  // 10 to see it, and one attempt each time that it was half open.
  assert(slow.sent() <= 20, `${slow.sent()} of 100 calls were sent`);
  assert(sent() === 70);
});

Deno.test("breaker keeps methods apart, or services, as it is told", async () => {
  for (const per of ["method", "service"] as const) {
    const { calls, states } = setUp({ per });
    await calls(10, REFUSED, { procedure: "t.T/one" });
    const [other] = await calls(1, "ok", { procedure: "t.T/two" });
    const [elsewhere] = await calls(1, "ok", { procedure: "t.U/one" });
    assertEquals([other === "ok", elsewhere], [per === "method", "ok"]);
    assertEquals(
      states().map(({ name }) => name),
      per === "method" ? ["t.T/one", "t.T/two", "t.U/one"] : ["t.T", "t.U"],
    );
  }
});

Deno.test("breaker is not wedged by attempts that are cancelled while it is half open", async () => {
  const { calls, platform, start, script, state } = setUp();
  await calls(10, REFUSED);
  await platform.clock.advance(5_000);
  script({ ms: 1_000_000 });
  for (let i = 0; i < 20; i++) {
    const controller = new AbortController();
    const attempts = [1, 2, 3].map(() => start({ signal: controller.signal }));
    const refused = await start();
    assertInstanceOf(refused, RpcError);
    assertStringIncludes(refused.message, "others are trying now");
    controller.abort();
    for (const attempt of attempts) assertEquals(((await attempt) as RpcError).code, "cancelled");
  }
  assertEquals(await calls(3, "ok"), ["ok", "ok", "ok"]);
  assertEquals(state(), "closed");
});

Deno.test("breaker refuses options that make no sense", () => {
  const rows: [BreakerOptions, string][] = [
    [{ failureRatio: 0 }, "failureRatio"],
    [{ failureRatio: 1.5 }, "failureRatio"],
    [{ slowRatio: NaN }, "slowRatio"],
    [{ minCalls: 0 }, "minCalls"],
    [{ probes: 0 }, "probes"],
    [{ windowMs: 1 }, "windowMs"],
    [{ openMs: 0 }, "openMs"],
    [{ openMs: 100, maxOpenMs: 50 }, "maxOpenMs"],
    [{ slowMs: -1 }, "slowMs"],
  ];
  for (const [options, name] of rows) assertThrows(() => breaker(options), RangeError, name);
  assertThrows(() => breaker({ per: "call" as never }), TypeError, "per");
});
