/** Hedged calls over a real client and real servers. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { Client, type Metadata, RpcError, Server, serverStream, service, unary } from "@erpc/erpc";
import type { Balancer } from "@erpc/erpc/extend";
import { explain } from "../../src/core/explanation.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { collect } from "../support/words.ts";

const Slow = service("test.Slow", {
  read: unary<Record<string, never>, string>({ idempotent: true }),
  write: unary<Record<string, never>, string>(),
  list: serverStream<Record<string, never>, string>({ idempotent: true }),
});

/** Always the first that is not to be gone round. */
const inOrder: Balancer = {
  name: "in_order",
  build: (candidates) => ({ avoid }) => candidates.find(({ endpoint }) => !avoid?.includes(endpoint)) ?? candidates[0],
};

/** Servers that answer after so many milliseconds, and fail if they are told to. */
async function start(name: string, servers: { ms: number; fails?: boolean }[]) {
  const platform = virtualPlatform(1);
  const stack = new AsyncDisposableStack();
  const aborted: string[] = [];
  for (const [i, { ms, fails }] of servers.entries()) {
    const server = stack.use(new Server({ platform }));
    const answer = async (_: unknown, ctx: { signal: AbortSignal; trailers: Metadata; responseMetadata: Metadata }) => {
      ctx.responseMetadata.set("from", `s${i}`);
      ctx.trailers.set("from", `s${i}`);
      const { promise, resolve } = Promise.withResolvers<void>();
      using _timer = platform.clock.timer(ms, resolve);
      ctx.signal.addEventListener("abort", () => resolve());
      await promise;
      if (ctx.signal.aborted) aborted.push(`s${i}`);
      if (fails) throw new RpcError("unavailable", `s${i} fails`);
      return `s${i}`;
    };
    server.handle(Slow, {
      read: answer,
      write: answer,
      async *list(request, ctx) {
        yield await answer(request, ctx);
      },
    });
    await server.listen(`memory://${name}-${i}`);
  }
  const endpoints = servers.map((_, i) => `memory://${name}-${i}`);
  const client = stack.use(
    new Client({ endpoints, balancer: inOrder, platform, retry: { maxAttempts: 1 }, hedge: { delayMs: 50 } }),
  );
  // So that connecting takes no part in it.
  return { stack, platform, client, slow: client.service(Slow), aborted };
}

Deno.test("a hedged call is answered by the quicker instance, whose metadata and trailers alone are told", async () => {
  const { stack, platform, client, slow, aborted } = await start("hedge-quick", [{ ms: 5_000 }, { ms: 1 }]);
  await using _ = stack;
  const told: unknown[] = [];
  const reply = slow.read({}, {
    onMetadata: (metadata) => told.push(metadata.text("from")),
    onTrailers: (trailers) => told.push(trailers.text("from")),
  });
  await platform.clock.advance(100);
  assertEquals([await reply, told], ["s1", ["s1", "s1"]]);
  assertEquals(aborted, ["s0"]);
  const { callsHedged, hedgesWon, callsSent, callsRetried } = client.stats().counters;
  assertEquals({ callsHedged, hedgesWon, callsSent, callsRetried }, {
    callsHedged: 1,
    hedgesWon: 1,
    callsSent: 2,
    callsRetried: 0,
  });
  assertEquals(client.stats().services[0].retryTokens < 10, true);
});

Deno.test("a call that may not run twice, and a stream, are not hedged", async () => {
  const { stack, platform, client, slow } = await start("hedge-none", [{ ms: 5_000 }, { ms: 1 }]);
  await using _ = stack;
  const replies = [slow.write({}), collect(slow.list({}))];
  await platform.clock.advance(6_000);
  assertEquals(await Promise.all(replies), ["s0", ["s0"]]);
  assertEquals([client.stats().counters.callsHedged, client.stats().counters.callsSent], [0, 2]);
});

Deno.test("a hedged call that fails everywhere explains both attempts", async () => {
  const { stack, platform, slow } = await start("hedge-fail", [{ ms: 80, fails: true }, { ms: 200, fails: true }]);
  await using _ = stack;
  const failed = assertRejects(() => slow.read({}), RpcError);
  await platform.clock.advance(1_000);
  const { explain: explanation, executed } = await failed;
  assert(explanation !== undefined);
  assertEquals(executed, "yes");
  assertEquals(explanation.attempts.map(({ endpoint, hedge }) => [endpoint, hedge]), [
    ["memory://hedge-fail-0", false],
    ["memory://hedge-fail-1", true],
  ]);
  assertStringIncludes(explain(explanation), "2. memory://hedge-fail-1 (hedge, queued");
});

Deno.test("a hedged call of the only instance is what it would be without", async () => {
  const { stack, platform, client, slow } = await start("hedge-alone", [{ ms: 5_000 }]);
  await using _ = stack;
  const reply = slow.read({});
  await platform.clock.advance(6_000);
  assertEquals([await reply, client.stats().counters.callsHedged], ["s0", 0]);
});
