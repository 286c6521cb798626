/** One body of tests for every way to connect: all kinds of call on one connection. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { bytes } from "../../src/codec/bytes.ts";
import { Connection } from "../../src/connection/connection.ts";
import { greetAsClient, greetAsServer } from "../../src/connection/handshake.ts";
import type { Arrival, Responder, Settings } from "../../src/connection/settings.ts";
import { Call, type CallInit, type Invoker, Reply } from "../../src/core/call.ts";
import { RpcError } from "../../src/core/error.ts";
import type { Limits } from "../../src/core/limits.ts";
import { Metadata } from "../../src/core/metadata.ts";
import { type Platform, runtimePlatform } from "../../src/core/platform.ts";
import { invoking } from "../../src/core/receiver.ts";
import { VirtualClock } from "../../src/testing/virtual_clock.ts";
import { type OpenPair, pairs } from "../support/pairs.ts";
import { makeSettings } from "../support/settings.ts";

interface Ends extends AsyncDisposable {
  readonly client: Connection;
  readonly server: Connection;
  /** Calls the server. */
  readonly invoke: Invoker;
  readonly settings: { client: Settings; server: Settings };
}

async function connect(
  open: OpenPair,
  respond: Responder,
  limits: { client?: Partial<Limits>; server?: Partial<Limits> } = {},
  platform?: Platform,
): Promise<Ends> {
  const [near, far] = await open();
  const settings = {
    client: makeSettings({ limits: limits.client, platform }),
    server: makeSettings({ limits: limits.server, respond, platform }),
  };
  const [clientGreeted, serverGreeted] = await Promise.all([
    greetAsClient(near, settings.client),
    greetAsServer(far, settings.server, undefined),
  ]);
  const client = new Connection(clientGreeted, settings.client);
  const server = new Connection(serverGreeted, settings.server);
  return {
    client,
    server,
    invoke: invoker(client),
    settings,
    async [Symbol.asyncDispose]() {
      await client.close();
      await server.close();
      settings.client.timers[Symbol.dispose]();
      settings.server.timers[Symbol.dispose]();
    },
  };
}

const invoker = (connection: Connection) => invoking((call, receiver) => connection.carry(call, receiver));

const call = (init: Partial<CallInit>): Call => new Call({ procedure: "t/t", kind: "unary", ...init });

async function collect(messages: AsyncIterable<unknown> | undefined): Promise<unknown[]> {
  const all: unknown[] = [];
  for await (const message of messages!) all.push(message);
  return all;
}

async function* from<T>(...items: T[]): AsyncGenerator<T> {
  yield* items;
}

const echo: Responder = (call) =>
  call.messages !== undefined ? new Reply({ messages: call.messages }) : new Reply({ message: call.message });

/** What sliced connections take long for is made smaller. */
const small = (name: string) => name.includes("sliced");

for (const [name, open] of pairs) {
  Deno.test(`${name}: a unary call, twice, and its procedure is spelled once`, async () => {
    await using ends = await connect(open, echo);
    const before = ends.settings.client.counters.bytesWritten;
    assertEquals((await ends.invoke(call({ message: { a: 1 } }))).message, { a: 1 });
    const first = ends.settings.client.counters.bytesWritten - before;
    assertEquals((await ends.invoke(call({ message: { a: 1 } }))).message, { a: 1 });
    const second = ends.settings.client.counters.bytesWritten - before - first;
    assertEquals(first - second, "t/t".length + 2);
  });

  Deno.test(`${name}: I1 empty messages arrive as empty messages`, async () => {
    await using ends = await connect(open, echo);
    const codec = bytes();
    const reply = await ends.invoke(call({ message: new Uint8Array(0), codec }));
    assertEquals(reply.message, new Uint8Array(0));
    assertEquals((await ends.invoke(call({ message: undefined }))).message, undefined);
  });

  Deno.test(`${name}: I2 large messages are split and put together`, async () => {
    await using ends = await connect(
      open,
      (call) => new Reply({ message: new Uint8Array(call.message as Uint8Array).fill(3) }),
    );
    const size = small(name) ? 70_000 : 2_000_000;
    const reply = await ends.invoke(call({ message: new Uint8Array(size), codec: bytes() }));
    assertEquals((reply.message as Uint8Array).length, size);
    assert((reply.message as Uint8Array).every((byte) => byte === 3));
  });

  Deno.test(`${name}: large and small calls go on side by side`, async () => {
    await using ends = await connect(open, echo);
    const size = small(name) ? 70_000 : 1_000_000;
    const order: string[] = [];
    await Promise.all([
      ends.invoke(call({ message: new Uint8Array(size), codec: bytes() })).then(() => order.push("large")),
      ends.invoke(call({ message: 1 })).then(() => order.push("small")),
    ]);
    assertEquals(order, ["small", "large"]);
  });

  Deno.test(`${name}: I3 a client stream`, async () => {
    const sum: Responder = async (call) => {
      let total = 0;
      for await (const message of call.messages!) total += (message as Uint8Array).length;
      return new Reply({ message: new Uint8Array([total >> 16, total >> 8, total]) });
    };
    await using ends = await connect(open, sum);
    const sizes = small(name) ? [2_718, 8, 182, 4_590] : [27_182, 8, 1_828, 45_904];
    const messages = from(...sizes.map((size) => new Uint8Array(size)));
    const reply = await ends.invoke(call({ kind: "clientStream", messages, codec: bytes() }));
    const [high, mid, low] = reply.message as Uint8Array;
    assertEquals(high << 16 | mid << 8 | low, sizes.reduce((a, b) => a + b));
  });

  Deno.test(`${name}: I4 a server stream`, async () => {
    const sizes = small(name) ? [3_141, 9, 265, 5_897] : [31_415, 9, 2_653, 58_979];
    await using ends = await connect(
      open,
      () => new Reply({ messages: from(...sizes.map((size) => "x".repeat(size))) }),
    );
    const reply = await ends.invoke(call({ kind: "serverStream" }));
    assertEquals((await collect(reply.messages)).map((text) => (text as string).length), sizes);
  });

  Deno.test(`${name}: I5 ping-pong, each reply before the next request`, async () => {
    await using ends = await connect(open, echo);
    let release: (() => void) | undefined;
    const log: string[] = [];
    const messages = (async function* () {
      for (let round = 0; round < 4; round++) {
        log.push(`send ${round}`);
        yield round;
        await new Promise<void>((resolve) => release = resolve);
      }
    })();
    const reply = await ends.invoke(call({ kind: "bidi", messages }));
    for await (const round of reply.messages!) {
      log.push(`got ${round}`);
      release!();
    }
    assertEquals(log, [0, 1, 2, 3].flatMap((round) => [`send ${round}`, `got ${round}`]));
  });

  Deno.test(`${name}: I6 an empty stream ends with no reply`, async () => {
    await using ends = await connect(open, echo);
    const reply = await ends.invoke(call({ kind: "bidi", messages: from() }));
    assertEquals(await collect(reply.messages), []);
  });

  Deno.test(`${name}: a one-way call arrives and is not answered`, async () => {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    await using ends = await connect(open, (call) => {
      resolve(call.message);
      throw new RpcError("aborted", "nobody hears this");
    });
    await ends.invoke(call({ kind: "oneway", message: "hello" }));
    assertEquals(await promise, "hello");
    await ends.client.ping();
    assertEquals([ends.client.calls.inFlight, ends.server.handlers], [0, 0]);
  });

  Deno.test(`${name}: a large one-way call gets the credit that it needs`, async () => {
    const { promise, resolve } = Promise.withResolvers<number>();
    await using ends = await connect(open, (call) => {
      resolve((call.message as string).length);
      return new Reply({});
    }, { server: { streamWindowBytes: 2_000, connectionWindowBytes: 4_000 } });
    await ends.invoke(call({ kind: "oneway", message: "x".repeat(20_000) }));
    assertEquals(await promise, 20_000);
  });

  Deno.test(`${name}: I7 I11 I12 metadata and trailers, repeated and binary, on success and failure`, async () => {
    const pairs: [string, string | Uint8Array][] = [["x-a", "1"], ["x-b-bin", new Uint8Array([0xab, 0xab, 0xab])], [
      "x-a",
      "2",
    ]];
    const respond: Responder = (call) => {
      const ctx = call.context!;
      ctx.responseMetadata.absorb(call.context.metadata);
      ctx.trailers.absorb(call.context.metadata);
      if (call.message === "fail") throw new RpcError("data_loss", "as asked", { details: { why: "asked" } });
      return call.kind === "unary" ? new Reply({ message: 1 }) : new Reply({ messages: from() });
    };
    await using ends = await connect(open, respond);
    const metadata = new Metadata(pairs);
    for (const kind of ["unary", "serverStream"] as const) {
      const reply = await ends.invoke(call({ kind, metadata }));
      assertEquals([...reply.metadata], pairs);
      if (kind === "serverStream") await collect(reply.messages);
      assertEquals([...reply.trailers], pairs);
      const error = await assertRejects(
        () => ends.invoke(call({ kind, metadata, message: "fail" })),
        RpcError,
        "as asked",
      );
      assertEquals([error.code, error.details, [...error.metadata!]], ["data_loss", { why: "asked" }, pairs]);
    }
  });

  // A million bytes, one by one, would take minutes.
  const ignore = small(name);
  Deno.test(
    `${name}: details of an error that can't travel are left out, and the error arrives`,
    { ignore },
    async () => {
      const details: Record<string, unknown> = { fits: "x".repeat(900_000), large: "x".repeat(1_100_000), unknown: 5n };
      await using ends = await connect(open, (call) => {
        throw new RpcError("aborted", "as asked", { details: details[call.message as string] });
      });
      for (const [message, arrives] of [["fits", true], ["large", false], ["unknown", false]] as const) {
        const error = await assertRejects(() => ends.invoke(call({ message })), RpcError);
        assertEquals([error.code, error.message], ["aborted", "as asked"], message);
        assertEquals(error.details, arrives ? details[message] : undefined, message);
      }
      assert(ends.client.isOpen);
    },
  );

  Deno.test(`${name}: I16 replies before an error are delivered before it`, async () => {
    await using ends = await connect(open, () =>
      new Reply({
        messages: async function* () {
          yield 1;
          yield 2;
          throw new Error("a secret");
        }(),
      }));
    const reply = await ends.invoke(call({ kind: "serverStream" }));
    const got: unknown[] = [];
    const error = await assertRejects(
      async () => {
        for await (const message of reply.messages!) got.push(message);
      },
      RpcError,
      "The handler failed; the logger of its server was told why",
    );
    assertEquals([got, error.code], [[1, 2], "internal"]);
  });

  Deno.test(`${name}: I20 leaving a stream early cancels it and runs the handler's finally`, async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    await using ends = await connect(open, () =>
      new Reply({
        messages: async function* () {
          try {
            for (let i = 0;; i++) yield "x".repeat(100);
          } finally {
            resolve();
          }
        }(),
      }), { client: { streamWindowBytes: 2_000, connectionWindowBytes: 16_000 } });
    const reply = await ends.invoke(call({ kind: "serverStream" }));
    for await (const _ of reply.messages!) break;
    await promise;
    // The window of the connection is whole again: the next call can use all of it.
    assertEquals((await ends.invoke(call({ kind: "serverStream" }))).messages !== undefined, true);
  });

  Deno.test(`${name}: a slow reader holds the writer to the window`, async () => {
    let written = 0;
    await using ends = await connect(open, () =>
      new Reply({
        messages: async function* () {
          for (; written < 1_000; written++) yield "x".repeat(98);
        }(),
      }), { client: { streamWindowBytes: 4_000, connectionWindowBytes: 16_000 } });
    const reply = await ends.invoke(call({ kind: "serverStream" }));
    const iterator = reply.messages![Symbol.asyncIterator]();
    await ends.client.ping();
    await ends.client.ping();
    assert(written <= 4_000 / 116 + 2, `${written} messages were written`);
    for (let i = 0; i < 1_000; i++) assertEquals((await iterator.next()).done, false);
    assertEquals((await iterator.next()).done, true);
  });

  Deno.test(`${name}: messages of a stream that follow each other at once leave together`, async () => {
    await using ends = await connect(open, () =>
      new Reply({
        messages: async function* () {
          for (let n = 0; n < 1_000; n++) yield n;
        }(),
      }));
    const before = ends.settings.server.counters.writes;
    const reply = await ends.invoke(call({ kind: "serverStream" }));
    assertEquals((await collect(reply.messages)).length, 1_000);
    const writes = ends.settings.server.counters.writes - before;
    if (!small(name)) assert(writes < 20, `${writes} writes for 1,000 messages`);
  });

  Deno.test(`${name}: no message of a stream waits for another one`, async () => {
    await using ends = await connect(open, () =>
      new Reply({
        messages: async function* () {
          yield* [1, 2, 3];
          await ends.server.closed;
        }(),
      }));
    const reply = await ends.invoke(call({ kind: "serverStream" }));
    const replies = reply.messages![Symbol.asyncIterator]();
    for (const n of [1, 2, 3]) assertEquals((await replies.next()).value, n);
    await ends.client.close();
  });

  Deno.test(`${name}: losing the connection settles everything once`, async () => {
    let aborted = 0;
    const pending = (call: Arrival) =>
      new Promise<Reply>(() => call.context!.signal.addEventListener("abort", () => aborted++));
    await using ends = await connect(open, pending);
    const calls = [1, 2, 3].map(() =>
      ends.invoke(call({})).then(() => "reply", (error) => `${error.code} ${error.executed}`)
    );
    await ends.client.ping();
    await ends.server.close();
    assertEquals(await Promise.all(calls), ["unavailable maybe", "unavailable maybe", "unavailable maybe"]);
    assertEquals(aborted, 3);
    await ends.client.closed;
    const error = await assertRejects(() => ends.invoke(call({})), RpcError);
    assertEquals([error.code, error.executed], ["unavailable", "no"]);
  });

  Deno.test(`${name}: both sides may call`, async () => {
    const [near, far] = await open();
    const settings = [makeSettings({ respond: echo }), makeSettings({ respond: echo })];
    const [a, b] = await Promise.all([greetAsClient(near, settings[0]), greetAsServer(far, settings[1], undefined)]);
    const [client, server] = [new Connection(a, settings[0]), new Connection(b, settings[1])];
    const results = await Promise.all(
      [client, server].flatMap((side) => [1, 2, 3].map((n) => invoker(side)(call({ message: n })))),
    );
    assertEquals(results.map((reply) => reply.message), [1, 2, 3, 1, 2, 3]);
    await client.close();
    await server.close();
    for (const { timers } of settings) timers[Symbol.dispose]();
  });
}

const memory = pairs.get("memory")!;

Deno.test("I18 a signal that has aborted sends nothing", async () => {
  await using ends = await connect(memory, echo);
  const before = ends.settings.client.counters.bytesWritten;
  const error = await assertRejects(() => ends.invoke(call({ signal: AbortSignal.abort() })), RpcError);
  assertEquals([error.code, error.executed], ["cancelled", "no"]);
  assertEquals(ends.settings.client.counters.bytesWritten, before);
});

Deno.test("I19 aborting a signal ends the call and aborts the handler's", async () => {
  const aborted = Promise.withResolvers<unknown>();
  await using ends = await connect(
    memory,
    (call) =>
      new Promise(() =>
        call.context!.signal.addEventListener("abort", () => aborted.resolve(call.context!.signal.reason))
      ),
  );
  const controller = new AbortController();
  const pending = ends.invoke(call({ signal: controller.signal }));
  await ends.client.ping();
  controller.abort("changed my mind");
  const error = await assertRejects(() => pending, RpcError);
  assertEquals([error.code, error.cause], ["cancelled", "changed my mind"]);
  assertEquals((await aborted.promise as RpcError).code, "cancelled");
});

Deno.test("I33 more calls than the server has places wait for one", async () => {
  let running = 0;
  let most = 0;
  await using ends = await connect(memory, async (call) => {
    most = Math.max(most, ++running);
    await Promise.resolve();
    running--;
    return new Reply({ message: call.message });
  }, { server: { maxStreams: 1 } });
  const replies = await Promise.all(Array.from({ length: 10 }, (_, message) => ends.invoke(call({ message }))));
  assertEquals(replies.map((reply) => reply.message), [...Array(10).keys()]);
  assertEquals([most, ends.settings.server.counters.callsRefused], [1, 0]);
});

Deno.test("calls beyond the queue are refused with resource_exhausted", async () => {
  const release = Promise.withResolvers<Reply>();
  await using ends = await connect(memory, () => release.promise, {
    server: { maxStreams: 1 },
    client: { maxQueuedCalls: 2 },
  });
  const waiting = [1, 2, 3].map(() => ends.invoke(call({})));
  const error = await assertRejects(() => ends.invoke(call({})), RpcError, "limits.maxQueuedCalls");
  assertEquals([error.code, error.executed], ["resource_exhausted", "no"]);
  release.resolve(new Reply({}));
  await Promise.all(waiting);
});

Deno.test("I27 a message over the limit fails its call alone, on the side that knows first", async () => {
  const limits = { maxMessageBytes: 1_000 };
  await using ends = await connect(memory, (call) => new Reply({ message: "x".repeat(call.message as number) }), {
    client: limits,
    server: limits,
  });
  const kept = ends.invoke(call({ message: 5 }));
  assertEquals(((await ends.invoke(call({ message: 998 }))).message as string).length, 998);
  for (const size of [999, 1_008]) {
    const error = await assertRejects(
      () => ends.invoke(call({ message: size })),
      RpcError,
      "limits.maxMessageBytes",
    );
    assertEquals(error.code, "resource_exhausted");
    const mine = await assertRejects(
      () => ends.invoke(call({ message: "x".repeat(size) })),
      RpcError,
      "limits.maxMessageBytes",
    );
    assertEquals([mine.code, mine.executed], ["resource_exhausted", "no"]);
  }
  assertEquals((await kept).message, "xxxxx");
});

Deno.test("I29 an unknown codec is unimplemented, for its call alone", async () => {
  await using ends = await connect(memory, echo);
  const codec = { name: "klingon", encode: () => "x", decode: () => 1 };
  const error = await assertRejects(() => ends.invoke(call({ codec })), RpcError, "klingon");
  assertEquals([error.code, error.executed], ["unimplemented", "no"]);
  assertEquals((await ends.invoke(call({ message: 2 }))).message, 2);
});

Deno.test("a request that can't be encoded, or decoded, fails its call alone", async () => {
  await using ends = await connect(memory, echo);
  const loop: unknown[] = [];
  loop.push(loop);
  for (const message of [loop, 1n]) {
    const error = await assertRejects(() => ends.invoke(call({ message })), RpcError, "Cannot encode");
    assertEquals([error.code, error.executed], ["invalid_argument", "no"]);
  }
  const lying = { name: "json", encode: () => "{", decode: (bytes: Uint8Array) => bytes.length };
  const error = await assertRejects(() => ends.invoke(call({ codec: lying })), RpcError, "Cannot decode");
  assertEquals([error.code, error.executed], ["invalid_argument", "no"]);
  assertEquals((await ends.invoke(call({ message: 2 }))).message, 2);
});

Deno.test("a reply that can't be encoded, or decoded, fails its call alone", async () => {
  await using ends = await connect(memory, (call) => new Reply({ message: call.message === "big" ? 1n : 5 }));
  const error = await assertRejects(
    () => ends.invoke(call({ message: "big" })),
    RpcError,
    "Cannot encode the reply",
  );
  assertEquals([error.code, error.executed], ["internal", "yes"]);
  const deaf = {
    name: "json",
    encode: () => "1",
    decode: () => {
      throw new Error("no");
    },
  };
  const mine = await assertRejects(() => ends.invoke(call({ codec: deaf })), RpcError, "Cannot decode a reply");
  assertEquals([mine.code, mine.executed], ["internal", "yes"]);
  assertEquals((await ends.invoke(call({ message: 2 }))).message, 5);
});

Deno.test("I22 I23 a deadline ends the call and aborts the handler; one that has passed runs nothing", async () => {
  const seen: string[] = [];
  const aborted = Promise.withResolvers<void>();
  await using ends = await connect(memory, (call) => {
    seen.push(call.message as string);
    return new Promise(() => call.context!.signal.addEventListener("abort", () => aborted.resolve()));
  });
  const now = () => performance.now();
  const error = await assertRejects(
    () => ends.invoke(call({ message: "slow", deadline: now() + 20 })),
    RpcError,
  );
  assertEquals(error.code, "deadline_exceeded");
  await aborted.promise;
  const late = await assertRejects(() => ends.invoke(call({ message: "late", deadline: now() - 1 })), RpcError);
  assertEquals([late.code, late.executed], ["deadline_exceeded", "no"]);
  assertEquals(seen, ["slow"]);
});

Deno.test("replies that were not read by the deadline are not read later, whichever side has seen first that it passed", async () => {
  for (const passed of [true, false]) {
    const clock = new VirtualClock();
    const over = Promise.withResolvers<void>();
    await using ends = await connect(
      memory,
      () =>
        new Reply({
          messages: async function* () {
            yield* [1, 2, 3];
            await over.promise;
            throw new RpcError("deadline_exceeded", "The deadline passed before the handler ended");
          }(),
        }),
      {},
      { ...runtimePlatform, clock },
    );
    const reply = await ends.invoke(call({ kind: "serverStream", deadline: clock.now() + 5 }));
    const iterator = reply.messages![Symbol.asyncIterator]();
    assertEquals((await iterator.next()).value, 1);
    await ends.client.ping();
    // It has passed; what goes off when it does goes off a little later.
    if (passed) await clock.advance(5);
    over.resolve();
    await ends.client.ping();
    if (!passed) { for (const value of [2, 3]) assertEquals(await iterator.next(), { done: false, value }); }
    const error = await assertRejects(() => iterator.next(), RpcError);
    assertEquals(error.code, "deadline_exceeded");
    assertEquals((await iterator.next()).done, true);
  }
});

Deno.test("what is queued in one turn leaves in one write", async () => {
  await using ends = await connect(memory, echo);
  await ends.invoke(call({}));
  const { counters } = ends.settings.client;
  const before = counters.writes;
  await Promise.all(Array.from({ length: 20 }, () => ends.invoke(call({ message: "x" }))));
  assertEquals(counters.writes - before, 1);
});

Deno.test("going away lets calls end, refuses new ones, and then closes", async () => {
  const release = Promise.withResolvers<Reply>();
  await using ends = await connect(memory, () => release.promise);
  const running = ends.invoke(call({}));
  await ends.client.ping();
  ends.server.goAway("leaving");
  await ends.client.ping();
  const error = await assertRejects(() => ends.invoke(call({})), RpcError, "leaving");
  assertEquals([error.code, error.executed], ["unavailable", "no"]);
  release.resolve(new Reply({ message: "done" }));
  assertEquals((await running).message, "done");
  await Promise.all([ends.client.closed, ends.server.closed]);
});

Deno.test("1 000 unfinished large messages are all finished, whatever the order", async () => {
  await using ends = await connect(memory, echo, {
    server: { maxAssemblyBytes: 20_000, streamWindowBytes: 2_000, connectionWindowBytes: 16_000 },
    client: { maxAssemblyBytes: 20_000, streamWindowBytes: 2_000, connectionWindowBytes: 16_000 },
  });
  const replies = await Promise.all(
    Array.from(
      { length: 1_000 },
      (_, i) => ends.invoke(call({ message: new Uint8Array(10_000).fill(i), codec: bytes() })),
    ),
  );
  replies.forEach((reply, i) => assertEquals((reply.message as Uint8Array)[9_999], i & 255));
});
