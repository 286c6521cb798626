/** How many times a call that always fails is tried, over a chain of services, in virtual time. */
import { assert, assertEquals } from "@std/assert";
import { Client, type Interceptor, RpcError, Server, service, unary } from "@erpc/erpc";
import type { RetryOptions } from "@erpc/erpc/extend";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";

const Hop = service("test.Hop", { go: unary<unknown, unknown>({ idempotent: true, timeoutMs: 3_600_000 }) });

/** Calls the first of three servers `calls` times, `perSecond`; the last always fails. Gives how often each was run. */
async function chain(
  name: string,
  options: {
    calls: number;
    perSecond: number;
    retryAfterMs?: number;
    retry?: RetryOptions;
    succeeds?: number;
    /** Whether each hop keeps to itself what call it answers. */
    unrelated?: boolean;
    /** Whether the last refuses calls, as a server does that has too much to do, rather than fail. */
    sheds?: boolean;
  },
) {
  const platform = virtualPlatform(1);
  const runs = [0, 0, 0];
  const stack = new AsyncDisposableStack();
  let next: Client | undefined;
  for (let hop = 2; hop >= 0; hop--) {
    const shed: Interceptor = () => () => {
      runs[hop]++;
      throw new RpcError("resource_exhausted", "too much to do", { executed: "no", retryAfterMs: 50 });
    };
    const interceptors = options.sheds && hop === 2 ? [shed] : [];
    const server = stack.use(new Server({ platform, interceptors }));
    const further = next?.service(Hop);
    server.handle(Hop, {
      go(request, ctx) {
        runs[hop]++;
        if (further !== undefined) return further.go(request, options.unrelated ? {} : { parent: ctx });
        if (request as number < (options.succeeds ?? 0)) return "ok";
        throw new RpcError("unavailable", "as always", { retryAfterMs: options.retryAfterMs });
      },
    });
    await server.listen(`memory://${name}-${hop}`);
    next = stack.use(new Client({ endpoints: [server.endpoint], platform, retry: options.retry }));
  }
  const first = next!.service(Hop);
  const outcomes: string[] = [];
  for (let i = 0; i < options.calls; i++) {
    first.go(i).then(() => "ok", (error) => error.code).then((outcome) => outcomes.push(outcome));
    await platform.clock.advance(1_000 / options.perSecond);
  }
  await platform.clock.advance(60_000);
  await stack.disposeAsync();
  assertEquals(outcomes.length, options.calls);
  return { runs, outcomes };
}

function assertBounded(runs: readonly number[], calls: number): void {
  const ratios = runs.map((count, hop) => count / (runs[hop - 1] ?? calls));
  assert(ratios.every((ratio) => ratio >= 1 && ratio <= 1.2), `attempts per call on each hop: ${ratios}`);
  assert(runs[2] / calls <= 1.73, `${runs[2]} attempts for ${calls} calls`);
}

Deno.test("H54 retry amplification over three hops, where everything fails, stays below 1.2 for each hop", async () => {
  const { runs, outcomes } = await chain("always", { calls: 1_000, perSecond: 1_000 });
  assertBounded(runs, 1_000);
  assert(runs[2] > 1_000, "nothing was tried again");
  assertEquals(new Set(outcomes), new Set(["unavailable"]));
});

Deno.test("H54 retry amplification after a time in which all went well, stays below 1.2 for each hop", async () => {
  const { runs } = await chain("later", { calls: 1_000, perSecond: 1_000, succeeds: 500 });
  assertBounded(runs.map((count) => count - 500), 500);
});

Deno.test("H54 retry amplification, a server that says not to try again is not asked again", async () => {
  const { runs } = await chain("told", { calls: 100, perSecond: 1_000, retryAfterMs: -1 });
  assertEquals(runs, [100, 100, 100]);
});

Deno.test("H54 retry amplification, where the last hop refuses for having too much to do, stays below 1.2", async () => {
  const { runs, outcomes } = await chain("sheds", { calls: 1_000, perSecond: 1_000, sheds: true });
  assertBounded(runs, 1_000);
  assert(runs[2] > 1_000, "nothing was tried again");
  assertEquals(new Set(outcomes), new Set(["resource_exhausted"]));
});

const UNBOUNDED = { budgetTokens: 1_000_000, maxAttempts: 3 };

Deno.test("H54 retry amplification, without a budget, grows by hops and does not multiply", async () => {
  const { runs } = await chain("unbounded", { calls: 20, perSecond: 1_000, retry: UNBOUNDED });
  assertEquals(runs, [3 * 20, 5 * 20, 7 * 20]);
});

Deno.test("H54 retry amplification, without a budget and without parent, is what it is feared for", async () => {
  const { runs } = await chain("feared", { calls: 20, perSecond: 1_000, retry: UNBOUNDED, unrelated: true });
  assertEquals(runs, [3 * 20, 9 * 20, 27 * 20]);
});
