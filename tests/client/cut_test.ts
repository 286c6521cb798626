/** Calls that are cut: what their handlers see of it, and what their callers are told. */
import { assertEquals, assertRejects } from "@std/assert";
import { bidi, clientStream, RpcError, serverStream, service, unary } from "@erpc/erpc";
import { testPair } from "@erpc/erpc/testing";

const Cut = service("t.Cut", {
  up: clientStream<number, number>(),
  down: serverStream<null, number>(),
  both: bidi<number, number>(),
  one: unary<null, number>(),
});

/** Some numbers, and then none for ever. */
async function* endless(count: number): AsyncGenerator<number> {
  for (let n = 0; n < count; n++) yield n;
  await new Promise(() => {});
}

for (const how of ["taken back", "lost", "too late"] as const) {
  Deno.test(`a handler that waits for requests is told when the call is ${how}, not that they have ended`, async () => {
    const saw = { up: Promise.withResolvers<string>(), both: Promise.withResolvers<string>() };
    const read = async (requests: AsyncIterable<number>, took: (n: number) => void): Promise<string> => {
      try {
        for await (const n of requests) took(n);
        return "the end";
      } catch (error) {
        return (error as RpcError).code;
      }
    };
    const waits = Promise.withResolvers<void>();
    let taken = 0;
    const took = () => void (++taken === 6 && waits.resolve());
    await using pair = testPair(Cut, {
      async up(requests) {
        saw.up.resolve(await read(requests, took));
        return 0;
      },
      async *both(requests) {
        saw.both.resolve(await read(requests, took));
        yield 0;
      },
      async *down() {},
      one: () => 0,
    });
    const cancel = new AbortController();
    const options = how === "too late" ? { timeoutMs: 20 } : { signal: cancel.signal };
    const up = pair.client.up(endless(3), options).catch((error) => error.code);
    const both = pair.client.both(endless(3), options).next().catch((error) => error.code);
    await waits.promise;
    if (how === "taken back") cancel.abort();
    if (how === "lost") await pair.caller.close();
    // The deadline passes on both sides; whoever is first tells the other.
    const told = how === "too late" ? ["deadline_exceeded", "cancelled"] : ["cancelled"];
    for (const one of [await saw.up.promise, await saw.both.promise]) assertEquals(told.includes(one), true, one);
    const expected = { "taken back": "cancelled", "lost": "unavailable", "too late": "deadline_exceeded" }[how];
    assertEquals([await up, await both], [expected, expected]);
  });
}

Deno.test("a call that was begun and cut in the same moment may have run, and says so", async () => {
  let ran = 0;
  await using pair = testPair(Cut, {
    up: () => 0,
    async *down() {},
    async *both() {},
    one: () => ++ran,
  });
  await pair.client.one(null);
  const cancel = new AbortController();
  const cut = assertRejects(() => pair.client.one(null, { signal: cancel.signal }), RpcError);
  cancel.abort();
  assertEquals((await cut).executed, "maybe");
  await pair.client.one(null);
  assertEquals(ran, 3);
});

Deno.test("a call whose later request can't be sent may have run, and says so", async () => {
  await using pair = testPair(Cut, {
    up: async (requests) => (await Array.fromAsync(requests)).length,
    async *down() {},
    async *both() {},
    one: () => 0,
  }, { server: { limits: { maxMessageBytes: 20 } } });
  async function* larger() {
    yield 1;
    yield "a text that is too long" as unknown as number;
  }
  const error = await assertRejects(() => pair.client.up(larger()), RpcError);
  assertEquals([error.code, error.executed], ["resource_exhausted", "maybe"]);
  async function* failing(): AsyncGenerator<number> {
    yield 1;
    throw new RpcError("not_found", "of another call", { executed: "no" });
  }
  const other = await assertRejects(() => pair.client.up(failing()), RpcError);
  assertEquals([other.code, other.executed], ["not_found", "maybe"]);
});

Deno.test("a stream that is taken back gives nothing more, also what has come already", async () => {
  const cancel = new AbortController();
  const given = Promise.withResolvers<void>();
  await using pair = testPair(Cut, {
    up: () => 0,
    async *down() {
      for (let n = 0; n < 5; n++) yield n;
      given.resolve();
    },
    async *both() {},
    one: () => 0,
  });
  const numbers = pair.client.down(null, { signal: cancel.signal });
  assertEquals((await numbers.next()).value, 0);
  await given.promise;
  await pair.client.one(null); // behind the end of the stream, on the same connection
  cancel.abort();
  const error = await assertRejects(() => numbers.next(), RpcError, "The call was cancelled");
  assertEquals(error.code, "cancelled");
  assertEquals(await numbers.next(), { done: true, value: undefined });
});
