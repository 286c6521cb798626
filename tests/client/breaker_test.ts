/** Circuit breakers in a real client, before real servers. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { Client, type ClientOptions, RpcError, Server, service, unary } from "@erpc/erpc";
import { explain } from "../../src/core/explanation.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";

const Shop = service("test.Shop", { price: unary<Record<string, never>, number>({ idempotent: true }) });

/** Servers whose answers take so long as `ms` says at the time. */
async function start(name: string, count: number, options: ClientOptions) {
  const platform = virtualPlatform(1);
  const stack = new AsyncDisposableStack();
  const state = { ms: 5, fails: false, runs: 0 };
  const endpoints: string[] = [];
  for (let i = 0; i < count; i++) {
    const server = stack.use(new Server({ platform }));
    server.handle(Shop, {
      async price(_, ctx) {
        state.runs++;
        if (state.fails) throw new RpcError("unavailable", "closed");
        const { promise, resolve } = Promise.withResolvers<void>();
        using _timer = platform.clock.timer(state.ms, resolve);
        ctx.signal.addEventListener("abort", () => resolve());
        await promise;
        return 1;
      },
    });
    await server.listen(`memory://${name}-${i}`);
    endpoints.push(`memory://${name}-${i}`);
  }
  const client = stack.use(new Client({ endpoints, platform, ...options }));
  return { stack, platform, client, shop: client.service(Shop), state };
}

Deno.test("an open breaker is counted, shown and explained", async () => {
  const { stack, platform, client, shop, state } = await start("breaker-shown", 1, { breaker: {}, retry: false });
  await using _ = stack;
  state.fails = true;
  for (let i = 0; i < 20; i++) {
    const failed = assertRejects(() => shop.price({}), RpcError, "closed");
    await platform.clock.advance(1);
    await failed;
  }
  const error = await assertRejects(() => shop.price({}), RpcError, 'The circuit breaker of "test.Shop/price" is open');
  assertEquals(state.runs, 20);
  assert(error.explain !== undefined);
  assertEquals(error.explain.attempts.map(({ stoppedBy, sent }) => [stoppedBy, sent]), [["breaker", false]]);
  assertStringIncludes(explain(error.explain), "tried 1. stopped by the breaker (not sent in 0 ms): unavailable");
  const { counters, breakers } = client.stats();
  assertEquals([counters.callsBroken, counters.breakersOpened], [1, 1]);
  assertEquals(
    breakers.map(({ name, state, calls, failures, refused }) => ({ name, state, calls, failures, refused })),
    [
      { name: "test.Shop/price", state: "open", calls: 20, failures: 20, refused: 1 },
    ],
  );
  state.fails = false;
  await platform.clock.advance(5_000);
  for (let i = 0; i < 3; i++) {
    const reply = shop.price({});
    await platform.clock.advance(10);
    await reply;
  }
  assertEquals(client.stats().breakers[0].state, "closed");
});

Deno.test("X15 every reply 2 s late: with retries, hedges and a breaker at most a tenth more load, and a full budget", async () => {
  const calls = 1_000;
  const { stack, platform, client, shop, state } = await start("breaker-slow", 3, { hedge: {} });
  await using _ = stack;
  const run = async (count: number) => {
    const outcomes: Promise<string>[] = [];
    for (let i = 0; i < count; i++) {
      outcomes.push(shop.price({}, { timeoutMs: 3_000 }).then(() => "ok", (error: RpcError) => error.code));
      await platform.clock.advance(10);
    }
    await platform.clock.advance(10_000);
    return await Promise.all(outcomes);
  };
  await run(200);
  state.ms = 2_005;
  state.runs = 0;
  assertEquals(new Set(await run(calls)), new Set(["ok"]));
  assert(state.runs >= calls && state.runs <= 1.1 * calls, `${state.runs} runs of ${calls} calls`);
  assert(client.stats().services[0].retryTokens > 5);

  // Now later than the deadline: that is no reason to send anything again, nor to keep retries from those who need them.
  state.ms = 20_000;
  state.runs = 0;
  const tokens = client.stats().services[0].retryTokens;
  assertEquals(new Set(await run(calls)), new Set(["deadline_exceeded"]));
  assert(state.runs >= calls && state.runs <= 1.1 * calls, `${state.runs} runs of ${calls} calls`);
  assert(client.stats().services[0].retryTokens > 5, `${tokens}, then ${client.stats().services[0].retryTokens}`);
});

Deno.test("X15 every reply 2 s late: a breaker that counts slow calls takes the load off", async () => {
  const { stack, platform, client, shop, state } = await start("breaker-relief", 1, {
    breaker: { slowMs: 500 },
  });
  await using _ = stack;
  state.ms = 2_005;
  let refused = 0;
  const calls = 2_000;
  for (let i = 0; i < calls; i++) {
    shop.price({}).catch((error: RpcError) => error.message.includes("breaker") && refused++);
    await platform.clock.advance(10);
  }
  // 2 s of calls before the first was seen to be slow, and a few attempts after that.
  assert(state.runs < calls / 4, `${state.runs} runs of ${calls} calls`);
  assert(refused > calls / 2, `${refused} were refused`);
  assertEquals(client.stats().counters.callsBroken, refused);
  // All is well again.
  state.ms = 5;
  await platform.clock.advance(60_000);
  for (let i = 0; i < 3; i++) {
    const reply = shop.price({});
    await platform.clock.advance(10);
    await reply;
  }
  assertEquals(client.stats().breakers[0].state, "closed");
});
