import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { fail, failure, failureOf, RpcError, serverStream, service, unary } from "@erpc/erpc";
import { testPair, virtualPlatform } from "@erpc/erpc/testing";
import { collect, Words, words } from "../support/words.ts";

Deno.test("testPair joins handlers and a client, for every kind of method", async () => {
  await using pair = testPair(Words, words);
  assertEquals(await pair.client.count({ text: "one two" }), { words: 2 });
  assertEquals(await collect(pair.client.search({ pattern: "not" })), [{ line: 1, text: "or not" }]);
  async function* texts() {
    yield { text: "a b" };
    yield { text: "c" };
  }
  assertEquals(await pair.client.total(texts()), { words: 3 });
  assertEquals(await collect(pair.client.shout(texts())), [{ text: "A B" }, { text: "C" }]);
  assertEquals(await pair.caller.call("demo.Words/count", { text: "x" }), { words: 1 });
});

Deno.test("testPair brings errors, also declared ones, and cancellation across", async () => {
  const Shop = service("t.Shop", {
    buy: unary<{ item: string }, null>(),
    wait: serverStream<null, null>(),
  }, { errors: { gone: failure<{ left: number }>("failed_precondition") } });
  const aborted = Promise.withResolvers<void>();
  await using pair = testPair(Shop, {
    buy: () => {
      throw fail(Shop, "gone", "It is gone", { left: 0 });
    },
    async *wait(_, ctx) {
      ctx.signal.addEventListener("abort", () => aborted.resolve());
      yield null;
      await aborted.promise;
    },
  });
  const error = await assertRejects(() => pair.client.buy({ item: "a" }), RpcError, "It is gone");
  assertEquals(failureOf(Shop, error)?.details, { left: 0 });
  for await (const _ of pair.client.wait(null)) break;
  await aborted.promise;
});

Deno.test("testPair runs on time that stands still", async () => {
  const platform = virtualPlatform(1);
  const Slow = service("t.Slow", { slow: unary<null, null>() });
  await using pair = testPair(Slow, { slow: () => new Promise<null>(() => {}) }, {
    client: { platform, timeoutMs: 3_600_000 },
    server: { platform },
  });
  const call = assertRejects(() => pair.client.slow(null), RpcError, "deadline");
  await platform.clock.advance(3_600_100);
  await call;
});

Deno.test("testPair refuses handlers that are not all there, and two pairs know nothing of each other", async () => {
  assertThrows(() => testPair(Words, {} as typeof words), TypeError, "no function for");
  await using one = testPair(Words, words);
  await using other = testPair(Words, { ...words, count: () => ({ words: -1 }) });
  assertEquals(await one.client.count({ text: "a" }), { words: 1 });
  assertEquals(await other.client.count({ text: "a" }), { words: -1 });
});
