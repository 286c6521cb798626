/** Requests that are given as a list, or made by a function that waits for nothing. */
import { assertEquals, assertRejects } from "@std/assert";
import { bidi, clientStream, RpcError, service } from "@erpc/erpc";
import { testPair } from "@erpc/erpc/testing";

const Sums = service("t.Sums", {
  sum: clientStream<number, number>(),
  running: bidi<number, number>(),
  first: clientStream<number, number>(),
});

const pairOf = () =>
  testPair(Sums, {
    async sum(numbers) {
      let sum = 0;
      for await (const n of numbers) sum += n;
      return sum;
    },
    async *running(numbers) {
      let sum = 0;
      for await (const n of numbers) yield sum += n;
    },
    async first(numbers) {
      for await (const n of numbers) return n;
      throw new RpcError("invalid_argument", "There was none");
    },
  });

Deno.test("requests may be a list, and the same list twice", async () => {
  await using pair = pairOf();
  const numbers = Array.from({ length: 50_000 }, (_, n) => n);
  assertEquals(await pair.client.sum(numbers), 1_249_975_000);
  assertEquals(await pair.client.sum(numbers), 1_249_975_000);
  assertEquals(await Array.fromAsync(pair.client.running([1, 2, 3])), [1, 3, 6]);
  assertEquals(await pair.client.sum([]), 0);
});

Deno.test("a request that is a promise stands for what it resolves to", async () => {
  await using pair = pairOf();
  const later = [1, Promise.resolve(2), 3] as number[];
  assertEquals(await pair.client.sum(later), 6);
  await assertRejects(
    () => pair.client.sum([1, Promise.reject(new Error("no number"))] as number[]),
    RpcError,
    "no number",
  );
});

Deno.test("a generator that waits for nothing is ended when the call is, and what it throws is the call's failure", async () => {
  await using pair = pairOf();
  let ended = 0;
  function* endless() {
    try {
      for (let n = 7;; n++) yield n;
    } finally {
      ended++;
    }
  }
  assertEquals(await pair.client.first(endless()), 7);
  assertEquals(ended, 1);
  function* failing() {
    yield 1;
    throw new Error("out of numbers");
  }
  const error = await assertRejects(() => pair.client.sum(failing()), RpcError, "out of numbers");
  assertEquals(error.code, "cancelled");
});

Deno.test("a generator that never ends does not keep others from their turn", async () => {
  await using pair = pairOf();
  const cancel = new AbortController();
  function* endless() {
    for (;;) yield 1;
  }
  const summing = pair.client.sum(endless(), { signal: cancel.signal });
  assertEquals(await pair.client.sum([1, 2, 3]), 6);
  cancel.abort();
  await assertRejects(() => summing, RpcError, "cancelled");
});

Deno.test("a request that comes after its call was taken back goes nowhere", async () => {
  await using pair = pairOf();
  const cancel = new AbortController();
  const late = Promise.withResolvers<number>();
  const summing = pair.client.sum([1, late.promise] as number[], { signal: cancel.signal });
  /** How many bytes one call takes. */
  const written = async () => {
    const before = pair.caller.stats().counters.bytesWritten;
    await pair.client.sum([1]);
    return pair.caller.stats().counters.bytesWritten - before;
  };
  await written();
  cancel.abort();
  await assertRejects(() => summing, RpcError, "cancelled");
  await written();
  const usual = await written();
  late.resolve(2);
  assertEquals(await written(), usual);
});
