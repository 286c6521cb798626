/** Whoever reads slowly, or not at all, or stops, holds up nobody else and fills no memory. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Client, clientStream, type Limits, RpcError, Server, serverStream, service } from "@erpc/erpc";
import { MAX_GROWTH } from "../../src/connection/stream.ts";
import { within } from "../../src/testing/contract.ts";
import { until } from "../support/until.ts";

const WINDOW_BYTES = 256 * 1024;
const CHUNK = "x".repeat(16 * 1024);

const Flow = service("test.Flow", {
  pour: serverStream<{ chunks: number }, { n: number; text: string }>(),
  swallow: clientStream<{ n: number; text: string }, { count: number }>(),
  empty: serverStream<unknown, never>(),
});

/** A server that counts what it has poured, and a client of it. */
async function start(limits?: Partial<Limits>) {
  const poured = { chunks: 0, ended: Promise.withResolvers<void>() };
  /** Lets `swallow` take so many requests. */
  const takes = { left: 0, more: Promise.withResolvers<void>() };
  const server = new Server();
  server.handle(Flow, {
    async *pour({ chunks }) {
      try {
        for (; poured.chunks < chunks; poured.chunks++) yield { n: poured.chunks, text: CHUNK };
      } finally {
        poured.ended.resolve();
      }
    },
    async swallow(requests) {
      let count = 0;
      for await (const _ of requests) {
        count++;
        if (takes.left-- <= 0) await takes.more.promise;
      }
      return { count };
    },
    async *empty() {},
  });
  server.handle("test.echo", (message) => message);
  await server.listen();
  const client = new Client({ endpoints: [server.endpoint], limits });
  return {
    server,
    client,
    flow: client.service(Flow),
    poured,
    takes,
    async [Symbol.asyncDispose]() {
      await client.close();
      await server.close();
    },
  };
}

/** How much a handler may be ahead of a reader: the window, the message that waits, and the one at its yield. */
const AHEAD = Math.ceil(WINDOW_BYTES / CHUNK.length) + 2;
/** The same once the window of a fast reader has grown. */
const FAR_AHEAD = Math.ceil(MAX_GROWTH * WINDOW_BYTES / CHUNK.length) + 2;

for (const grows of [false, true]) {
  Deno.test(`H53 a handler that is faster than its reader is never further ahead than the window, which ${grows ? "may" : "can't"} grow`, async () => {
    await using pair = await start(grows ? {} : { connectionWindowBytes: WINDOW_BYTES });
    const most = grows ? FAR_AHEAD : AHEAD;
    let read = 0;
    for await (const { n } of pair.flow.pour({ chunks: 2_000 })) {
      assertEquals(n, read++);
      assert(pair.poured.chunks - read <= most, `${pair.poured.chunks} were poured and ${read} read`);
    }
    assertEquals(read, 2_000);
  });
}

Deno.test("H53 a reader that was fast and reads no more stops the handler at the window that it had", async () => {
  await using pair = await start();
  const replies = pair.flow.pour({ chunks: 100_000 });
  for (let read = 0; read < 2_000; read++) await replies.next();
  await until(() => pair.poured.chunks >= 2_000 + AHEAD - 3);
  for (let i = 0; i < 50; i++) await pair.client.call("test.echo", CHUNK);
  assert(pair.poured.chunks <= 2_000 + FAR_AHEAD, `${pair.poured.chunks} were poured`);
  await replies.return?.();
  await within(pair.poured.ended.promise, "the generator's finally");
});

Deno.test("H53 a reader that never reads stops the handler at the window", async () => {
  await using pair = await start();
  const replies = pair.flow.pour({ chunks: 100_000 });
  await until(() => pair.poured.chunks >= AHEAD - 3);
  // Each of these goes through the same connection behind what was poured.
  for (let i = 0; i < 50; i++) await pair.client.call("test.echo", CHUNK);
  assert(pair.poured.chunks <= AHEAD, `${pair.poured.chunks} were poured`);
  await replies.return?.();
  await within(pair.poured.ended.promise, "the generator's finally");
});

Deno.test("H53 a reader that breaks runs the generator's finally, and gives its credit back", async () => {
  await using pair = await start({ maxAssemblyBytes: 1 });
  // Five times the connection's window: without the credit of those before, the last ones would wait for ever.
  for (let round = 0; round < 20; round++) {
    pair.poured.ended = Promise.withResolvers();
    pair.poured.chunks = 0;
    for await (const _ of pair.flow.pour({ chunks: 100_000 })) {
      await until(() => pair.poured.chunks >= AHEAD - 3);
      break;
    }
    await within(pair.poured.ended.promise, "the generator's finally");
  }
  const text = "y".repeat(1_000_000);
  assertEquals(await pair.client.call("test.echo", text), text);
  await until(() => pair.server.stats().handlers === 0);
});

Deno.test("H53 a handler that reads slowly stops the caller's requests at the window", async () => {
  await using pair = await start();
  let taken = 0;
  async function* requests() {
    for (; taken < 500; taken++) yield { n: taken, text: CHUNK };
  }
  const call = pair.flow.swallow(requests());
  await until(() => taken >= AHEAD - 3);
  for (let i = 0; i < 50; i++) await pair.client.call("test.echo", CHUNK);
  assert(taken <= AHEAD, `${taken} were taken`);
  pair.takes.left = Infinity;
  pair.takes.more.resolve();
  assertEquals(await call, { count: 500 });
});

for (const streams of [1, 3, 10]) {
  Deno.test(`X14 readers that do not read, ${streams} of them on a shared connection, hold up nobody else`, async () => {
    await using pair = await start();
    const chunks = 100 * streams;
    const slow = Array.from({ length: streams }, () => pair.flow.pour({ chunks }));
    for (const replies of slow) await replies.next();
    await until(() => pair.poured.chunks >= 10 * streams || pair.poured.chunks * CHUNK.length > 900_000);
    for (let i = 0; i < 100; i++) assertEquals(await pair.client.call("test.echo", CHUNK), CHUNK);
    const large = "z".repeat(1_500_000);
    assertEquals(await pair.client.call("test.echo", large), large);
    for await (const _ of pair.flow.pour({ chunks: pair.poured.chunks + 100 })) continue;
    assert(pair.poured.chunks <= 100 + streams * AHEAD, `${pair.poured.chunks} were poured`);
    assertEquals(pair.server.stats().connections, 1);
    // All of theirs is still there, in order.
    for (const replies of slow) {
      let before = -1;
      for await (const { n } of replies) assert(n > before, `${n} after ${before}`), before = n;
    }
  });
}

Deno.test("H53 a stream that ends with nothing, and one that is left before it began, leave nothing behind", async () => {
  await using pair = await start();
  assertEquals(await Array.fromAsync(pair.flow.empty({})), []);
  const left = pair.flow.pour({ chunks: 10 });
  await left.return?.();
  assertEquals(await left.next(), { done: true, value: undefined });
  const error = await assertRejects(() => pair.client.call("test.Flow/pour", {}), RpcError);
  assertEquals(error.code, "unimplemented");
  await until(() => pair.server.stats().handlers === 0);
});
