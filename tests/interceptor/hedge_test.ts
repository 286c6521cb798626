import { assert, assertEquals, assertThrows } from "@std/assert";
import { Call, type CallInit, type Invoker, Reply } from "../../src/core/call.ts";
import { RpcError } from "../../src/core/error.ts";
import { RetryBudgets } from "../../src/interceptor/budget.ts";
import { hedge, type HedgeOptions } from "../../src/interceptor/hedge.ts";
import { retry } from "../../src/interceptor/retry.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";

/** How one leg goes: how long it takes, and what it fails with, if it does. */
interface Fate {
  ms: number;
  failure?: RpcError;
}

/** What was sent, and when. */
interface Sent {
  at: number;
  endpoint: string;
  attempt: number;
  hedge: boolean;
  cancelled: boolean;
  call: Call;
}

/** Hedges calls against a cluster of so many instances, whose answers are scripted in the order of sending. */
function setUp(options: HedgeOptions = {}, instances = 3, withRetry = false) {
  const platform = virtualPlatform(1);
  const budgets = new RetryBudgets(10, 0.1);
  const sent: Sent[] = [];
  const counts = { hedges: 0, wins: 0 };
  let fates: Fate[] = [];
  const cluster: Invoker = (call) => {
    const endpoints = Array.from({ length: instances }, (_, i) => `e${i}`);
    const endpoint = endpoints.find((endpoint) => !call.avoid?.includes(endpoint)) ?? endpoints[0];
    if (call.elsewhere && call.avoid?.includes(endpoint)) {
      return Promise.reject(new RpcError("cancelled", "nobody else", { executed: "no" }));
    }
    call.endpoint = endpoint;
    const fate = fates.shift() ?? { ms: 0 };
    const record: Sent = {
      at: platform.clock.now(),
      endpoint,
      attempt: call.attempt,
      hedge: call.hedge,
      cancelled: false,
      call,
    };
    sent.push(record);
    return new Promise((resolve, reject) => {
      const timer = platform.clock.timer(fate.ms, () => {
        if (fate.failure === undefined) resolve(new Reply({ message: endpoint }));
        else reject(fate.failure);
      });
      call.signal?.addEventListener("abort", () => {
        record.cancelled = true;
        timer[Symbol.dispose]();
        reject(new RpcError("cancelled", "The call was cancelled", { executed: "maybe" }));
      });
    });
  };
  const surroundings = { platform, budgets, onHedge: () => void counts.hedges++, onWin: () => void counts.wins++ };
  const inner = withRetry ? retry({}, { platform, budgets })(cluster) : cluster;
  const invoke = hedge(options, surroundings)(inner);
  const start = (script: Fate[], init: Partial<CallInit> = {}) => {
    fates = script;
    sent.length = 0;
    const call = new Call({
      procedure: "t/t",
      kind: "unary",
      idempotent: true,
      startedAt: platform.clock.now(),
      ...init,
    });
    return { call, reply: invoke(call).then((reply) => String(reply.message), (error) => error as RpcError) };
  };
  /** Runs one call to its end. */
  const run = async (script: Fate[], init: Partial<CallInit> = {}, forMs = 60_000) => {
    const { reply } = start(script, init);
    const startedAt = platform.clock.now();
    await platform.clock.advance(forMs);
    return { reply: await reply, sent: sent.map(({ at, ...rest }) => ({ ...rest, at: at - startedAt })) };
  };
  return { platform, budgets, sent, counts, start, run };
}

const failing = (options: ConstructorParameters<typeof RpcError>[2] = {}) =>
  new RpcError("unavailable", "scripted", options);

Deno.test("hedge sends a slow call once more, elsewhere; the first answer counts and the other is cancelled", async () => {
  const { run, counts, platform } = setUp({ delayMs: 50 });
  const { reply, sent } = await run([{ ms: 1_000 }, { ms: 10 }]);
  assertEquals(reply, "e1");
  assertEquals(sent.map(({ at, endpoint, attempt, hedge, cancelled }) => [at, endpoint, attempt, hedge, cancelled]), [
    [0, "e0", 0, false, true],
    [50, "e1", 1, true, false],
  ]);
  assertEquals(counts, { hedges: 1, wins: 1 });
  assertEquals(platform.clock.timerCount, 0);
});

Deno.test("hedge sends nothing when the answer comes in time, and cancels the hedge when the first one wins", async () => {
  const { run, counts, platform } = setUp({ delayMs: 50 });
  assertEquals((await run([{ ms: 49 }])).sent.length, 1);
  const { reply, sent } = await run([{ ms: 60 }, { ms: 1_000 }]);
  assertEquals([reply, sent.map(({ cancelled }) => cancelled)], ["e0", [false, true]]);
  assertEquals(counts, { hedges: 1, wins: 0 });
  assertEquals(platform.clock.timerCount, 0);
});

Deno.test("hedge has at most maxInFlight under way, each on another instance", async () => {
  const { run } = setUp({ delayMs: 50, maxInFlight: 3 });
  const { reply, sent } = await run([{ ms: 9_000 }, { ms: 9_000 }, { ms: 500 }, { ms: 1 }]);
  assertEquals(reply, "e2");
  assertEquals(sent.map(({ at, endpoint }) => [at, endpoint]), [[0, "e0"], [50, "e1"], [100, "e2"]]);
});

Deno.test("hedge leaves alone what may not run twice, what streams, and what somebody tries again already", async () => {
  const rows: Partial<CallInit>[] = [
    { idempotent: false },
    { retry: false },
    { attempt: 1 },
    { kind: "serverStream" },
    { kind: "clientStream" },
    { kind: "bidi" },
    { kind: "oneway" },
    { deadline: 40 },
  ];
  for (const init of rows) {
    const { run } = setUp({ delayMs: 50 });
    assertEquals((await run([{ ms: 1_000 }], init)).sent.length, 1, JSON.stringify(init));
  }
});

Deno.test("hedge goes nowhere when there is nobody else, and costs nothing then", async () => {
  const { run, counts, budgets } = setUp({ delayMs: 50 }, 1);
  for (let i = 0; i < 20; i++) {
    const { reply, sent } = await run([{ ms: 1_000 }]);
    assertEquals([reply, sent.length], ["e0", 1]);
  }
  assertEquals([counts, budgets.tokens("t")], [{ hedges: 0, wins: 0 }, 10]);
  // A failure is that of the one which was sent, and explained without the other.
  const { call, reply } = setUp({ delayMs: 50 }, 1).start([{ ms: 100, failure: failing() }]);
  void reply;
  assertEquals(call.history, []);
});

Deno.test("hedge waits for the leg that is left when the other fails, and fails when all have", async () => {
  const late = setUp({ delayMs: 50 });
  assertEquals((await late.run([{ ms: 100, failure: failing() }, { ms: 100 }])).reply, "e1");
  assertEquals((await late.run([{ ms: 200 }, { ms: 10, failure: failing() }])).reply, "e0");

  const { platform, start } = setUp({ delayMs: 50 });
  const { call, reply } = start([{ ms: 100, failure: failing({ executed: "yes" }) }, {
    ms: 100,
    failure: failing({ executed: "no" }),
  }]);
  await platform.clock.advance(1_000);
  const error = await reply;
  assert(error instanceof RpcError);
  // What ran on the first leg is not denied by the second.
  assertEquals([error.code, error.executed], ["unavailable", "yes"]);
  assertEquals(call.history?.map(({ endpoint, hedge, endedMs }) => [endpoint, hedge, endedMs]), [
    ["e0", false, 100],
    ["e1", true, 150],
  ]);
});

Deno.test("hedge fails at once when the first leg fails before its time", async () => {
  const { run } = setUp({ delayMs: 50 });
  const { reply, sent } = await run([{ ms: 10, failure: failing() }]);
  assert(reply instanceof RpcError);
  assertEquals(sent.length, 1);
});

Deno.test("hedge sends no more after an answer that says not to try again", async () => {
  const { run } = setUp({ delayMs: 50, maxInFlight: 3 });
  const { sent } = await run([{ ms: 500 }, { ms: 10, failure: failing({ retryAfterMs: -1 }) }]);
  assertEquals(sent.length, 2);
});

Deno.test("hedge cancels every leg when the caller cancels", async () => {
  const { platform, start, sent } = setUp({ delayMs: 50 });
  const controller = new AbortController();
  const { reply } = start([{ ms: 1_000 }, { ms: 1_000 }], { signal: controller.signal });
  await platform.clock.advance(100);
  controller.abort();
  const error = await reply;
  assert(error instanceof RpcError);
  assertEquals([error.code, sent.map(({ cancelled }) => cancelled)], ["cancelled", [true, true]]);
  assertEquals(platform.clock.timerCount, 0);
  const aborted = start([{ ms: 1_000 }], { signal: AbortSignal.abort() });
  await platform.clock.settle();
  assertEquals(((await aborted.reply) as RpcError).code, "cancelled");
});

Deno.test("hedge goes by the live percentile once enough replies have come", async () => {
  const { run } = setUp({ minReplies: 20 });
  for (let i = 0; i < 20; i++) {
    assertEquals((await run([{ ms: 10 + i }], {}, 200)).sent.length, 1);
  }
  const { sent } = await run([{ ms: 5_000 }, { ms: 1 }]);
  assertEquals(sent.length, 2);
  // The 95th of 100 is at 28 ms or so, and may be told a bucket too high.
  assert(sent[1].at >= 28 && sent[1].at <= 31, `${sent[1].at}`);
});

Deno.test("X15 hedge adds at most a tenth to the load when every reply is 2 s late, and leaves the budget to retries", async () => {
  // A fixed delay does not learn that everything is slow: there the budget alone holds.
  for (const options of [{}, { delayMs: 50 }]) await slowDown(options);
});

async function slowDown(options: HedgeOptions) {
  const { platform, budgets, start, counts } = setUp(options);
  const calls = async (count: number, ms: number) => {
    const replies: Promise<unknown>[] = [];
    for (let i = 0; i < count; i++) {
      replies.push(start(Array(4).fill({ ms })).reply);
      await platform.clock.advance(10);
    }
    await platform.clock.advance(10_000);
    assertEquals((await Promise.all(replies)).filter((reply) => typeof reply !== "string"), []);
  };
  await calls(200, 5);
  assertEquals(counts.hedges, 0);
  await calls(3_000, 2_005);
  assert(counts.hedges > 0 && counts.hedges <= 300, `${counts.hedges} hedges of 3000 calls`);
  assert(budgets.tokens("t") > 5, `${budgets.tokens("t")} tokens`);
}

Deno.test("hedge around retry: each leg is replayed, the hedge is not tried again", async () => {
  const { run } = setUp({ delayMs: 50 }, 4, true);
  const refused = failing({ executed: "no" });
  const { reply, sent } = await run([
    { ms: 0, failure: refused },
    { ms: 9_000 },
    { ms: 0, failure: refused },
    { ms: 10, failure: failing({ executed: "maybe" }) },
  ]);
  assertEquals(reply, "e1");
  assertEquals(sent.map(({ endpoint, attempt, hedge }) => [endpoint, attempt, hedge]), [
    ["e0", 0, false],
    ["e1", 0, false],
    ["e0", 1, true],
    ["e2", 1, true],
  ]);
});

Deno.test("hedge with a budget of its own fills it with what goes well", async () => {
  const platform = virtualPlatform(1);
  let hedges = 0;
  const invoke = hedge({ delayMs: 50 }, { platform, onHedge: () => void hedges++ })((call) => {
    call.endpoint = "a";
    const { promise, resolve } = Promise.withResolvers<Reply>();
    const timer = platform.clock.timer(100, () => resolve(new Reply({})));
    call.signal?.addEventListener("abort", () => timer[Symbol.dispose]());
    return promise;
  });
  for (let i = 0; i < 100; i++) {
    const reply = invoke(new Call({ procedure: "t/t", kind: "unary", idempotent: true }));
    await platform.clock.advance(100);
    await reply;
  }
  assert(hedges >= 10 && hedges <= 13, `${hedges}`);
});

Deno.test("hedge refuses options that make no sense", () => {
  assertThrows(() => hedge({ percentile: 10 }), RangeError, "percentile");
  assertThrows(() => hedge({ delayMs: -1 }), RangeError, "delayMs");
  assertThrows(() => hedge({ maxInFlight: 1 }), RangeError, "maxInFlight");
  assertThrows(() => hedge({ minReplies: 0 }), RangeError, "minReplies");
});
