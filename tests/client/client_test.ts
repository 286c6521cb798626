/** Client and server together, without a registry. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  bytes,
  Client,
  type ClientOptions,
  type Codec,
  Reply,
  RpcError,
  Server,
  type ServerOptions,
  service,
  unary,
} from "@erpc/erpc";
import { msgpack } from "@erpc/erpc/msgpack";
import { collect, Words, words } from "../support/words.ts";

async function start(
  setUp: (server: Server) => void = (server) => server.handle(Words, words),
  options: { server?: ServerOptions; client?: ClientOptions; endpoint?: string } = {},
) {
  const server = new Server(options.server);
  setUp(server);
  await server.listen(options.endpoint);
  const client = new Client({ endpoints: [server.endpoint], ...options.client });
  return {
    server,
    client,
    async [Symbol.asyncDispose]() {
      await client.close();
      await server.close();
    },
  };
}

Deno.test("a typed client calls all kinds of method", async () => {
  await using pair = await start();
  const client = pair.client.service(Words);
  assertEquals(await client.count({ text: "one two" }), { words: 2 });
  assertEquals(await collect(client.search({ pattern: "be" })), [{ line: 0, text: "to be" }, {
    line: 2,
    text: "to be",
  }]);
  assertEquals(await client.total([{ text: "a b" }, { text: "c" }]), { words: 3 });
  assertEquals(await collect(client.shout([{ text: "a" }, { text: "b" }])), [{ text: "A" }, { text: "B" }]);
  assertEquals(await client.note({ text: "x" }), undefined);
});

Deno.test("H38 the typed client is a plain object: awaiting it calls nobody", async () => {
  await using pair = await start();
  const client = pair.client.service(Words);
  assertEquals(await client, client);
  assertEquals("then" in client, false);
  assert(Object.isFrozen(client));
  assertEquals(pair.client.stats().counters.callsSent, 0);
});

Deno.test("a call without a contract, in both spellings", async () => {
  await using pair = await start((server) => {
    server.handle(Words, words);
    server.handle("demo.hello", ({ name }) => ({ msg: `hi ${name}` }));
  });
  assertEquals(await pair.client.call("demo.Words/count", { text: "a b c" }), { words: 3 });
  assertEquals(await pair.client.call("demo.hello", { name: "bob" }), { msg: "hi bob" });
  assertEquals(await pair.client.call("demo/hello", { name: "bob" }), { msg: "hi bob" });
  assertEquals((await collect(pair.client.stream("demo.Words/search", { pattern: "not" }))).length, 1);
  assertThrows(() => pair.client.call("nonsense"), TypeError, "demo.Words/count");
});

Deno.test("I17 H38 unknown services, methods and kinds are unimplemented, whatever they are called", async () => {
  await using pair = await start();
  const names = [
    "demo.Words/nope",
    "other.Service/x",
    ...Object.getOwnPropertyNames(Object.prototype).map((name) => `demo.Words/${name}`),
  ];
  for (const name of names) {
    const error = await assertRejects(() => pair.client.call(name), RpcError);
    assertEquals([error.code, error.executed], ["unimplemented", "no"], name);
  }
  const error = await assertRejects(() => pair.client.call("demo.Words/search", {}), RpcError, "serverStream");
  assertEquals(error.code, "unimplemented");
  assertEquals(await pair.client.call("demo.Words/count", { text: "still here" }), { words: 2 });
});

Deno.test("a handler that throws answers internal without its text, which goes to the log; the server lives", async () => {
  const logged: unknown[] = [];
  const logger = { debug() {}, info() {}, warn() {}, error: (...args: unknown[]) => logged.push(args) };
  await using pair = await start((server) => {
    server.handle("t.sync", () => {
      throw new Error("password 1234");
    });
    server.handle("t.async", () => Promise.reject(new Error("password 1234")));
    server.handle("t.odd", () => Promise.reject(undefined));
    server.handle("t.own", () => {
      throw new RpcError("failed_precondition", "as it is", { details: [1], retryAfterMs: 5 });
    });
  }, { server: { logger } });
  for (const name of ["t.sync", "t.async", "t.odd"]) {
    const error = await assertRejects(() => pair.client.call(name), RpcError);
    assertEquals([error.code, error.message, error.executed], [
      "internal",
      "The handler failed; the logger of its server was told why",
      "yes",
    ]);
  }
  assertEquals(logged.length, 3);
  const own = await assertRejects(() => pair.client.call("t.own"), RpcError);
  assertEquals(
    [own.code, own.message, own.details, own.retryAfterMs, own.executed],
    ["failed_precondition", "as it is", [1], 5, "yes"],
  );
});

Deno.test("an error of a nested call does not claim that this one did not run", async () => {
  let ran = 0;
  await using pair = await start((server) =>
    server.handle("t.nested", () => {
      ran++;
      throw new RpcError("unavailable", "the next hop was not reached", { executed: "no" });
    })
  );
  const error = await assertRejects(() => pair.client.call("t.nested"), RpcError);
  assertEquals([error.code, error.executed, ran], ["unavailable", "yes", 1]);
});

Deno.test("one server answers clients of different codecs, per client, per method and per call", async () => {
  const Blob = service("t.Blob", {
    size: unary<Uint8Array, Uint8Array>({ codec: bytes() }),
    echo: unary<unknown, unknown>(),
  });
  await using pair = await start((server) =>
    server.handle(Blob, {
      size: (blob) => new Uint8Array([blob.length]),
      echo: (value) => value,
    }), { server: { codecs: [msgpack()] } });
  const packed = new Client({ endpoints: [pair.server.endpoint], codec: msgpack() });
  assertEquals(await packed.service(Blob).echo({ a: new Uint8Array([1, 2]) }), { a: new Uint8Array([1, 2]) });
  assertEquals(await packed.service(Blob).size(new Uint8Array(7)), new Uint8Array([7]));
  assertEquals(await pair.client.service(Blob).echo({ a: 1 }), { a: 1 });
  assertEquals(await pair.client.service(Blob).echo({ a: 2 }, { codec: msgpack() }), { a: 2 });
  await packed.close();
});

Deno.test("I26 durations: zero and less fail at once, huge ones are clamped, NaN is misuse", async () => {
  await using pair = await start();
  const client = pair.client.service(Words);
  for (const timeoutMs of [0, -1, -Infinity]) {
    const error = await assertRejects(() => client.count({ text: "" }, { timeoutMs }), RpcError);
    assertEquals([error.code, error.executed], ["deadline_exceeded", "no"]);
  }
  for (const timeoutMs of [2 ** 31 - 1, 2 ** 31, 2 ** 53, Infinity]) {
    assertEquals(await client.count({ text: "a" }, { timeoutMs }), { words: 1 });
  }
  assertThrows(() => client.count({ text: "" }, { timeoutMs: NaN }), RangeError, "timeoutMs");
});

Deno.test("I24 what remains travels with nested calls and never grows", async () => {
  await using inner = await start((server) => server.handle("t.left", (_, ctx) => ctx.remainingMs()));
  const seen: number[] = [];
  await using outer = await start((server) =>
    server.handle("t.outer", async (_, ctx) => {
      seen.push(ctx.remainingMs());
      return await inner.client.call("t.left", {}, { parent: ctx });
    })
  );
  const left = await outer.client.call("t.outer", {}, { timeoutMs: 2_000 });
  assert(seen[0] <= 2_000 && left <= seen[0] + 1 && left > 0, `${seen[0]} then ${left}`);
});

Deno.test("metadata goes both ways; onMetadata and onTrailers are told", async () => {
  await using pair = await start((server) =>
    server.handle("t.meta", (_, ctx) => {
      ctx.responseMetadata.set("x-first", ctx.metadata.text("x-in")!);
      ctx.trailers.set("x-last", ctx.procedure);
      if (ctx.metadata.has("x-fail")) throw new RpcError("aborted", "as asked");
      return 1;
    })
  );
  const told: (string | undefined)[] = [];
  const options = {
    onMetadata: (metadata: { text(key: string): string | undefined }) => told.push(metadata.text("x-first")),
    onTrailers: (trailers: { text(key: string): string | undefined }) => told.push(trailers.text("x-last")),
  };
  await pair.client.call("t.meta", {}, { ...options, metadata: { "X-In": "a" } });
  await assertRejects(
    () => pair.client.call("t.meta", {}, { ...options, metadata: { "x-in": "a", "x-fail": "1" } }),
    RpcError,
  );
  assertEquals(told, ["a", "t/meta", "t/meta"]);
  await assertRejects(
    async () => await pair.client.call("t.meta", {}, { metadata: { "rpc-x": "1" } }),
    TypeError,
    "reserved",
  );
});

Deno.test("interceptors wrap in order on both sides, and may replace requests and replies", async () => {
  const log: string[] = [];
  const note =
    (name: string) =>
    (next: (call: import("@erpc/erpc").Call) => Promise<Reply>) =>
    async (call: import("@erpc/erpc").Call) => {
      log.push(`${name} in`);
      const reply = await next(call.with({ message: `${call.message}${name}` }));
      log.push(`${name} out`);
      return reply.with({ message: `${reply.message}${name}` });
    };
  await using pair = await start((server) => server.handle("t.echo", (text) => text), {
    client: { interceptors: [note("a"), note("b")] },
    server: { interceptors: [note("c"), note("d")] },
  });
  assertEquals(await pair.client.call("t.echo", "-"), "-abcddcba");
  assertEquals(log.join(" "), "a in b in c in d in d out c out b out a out");
});

Deno.test("an interceptor can answer by itself", async () => {
  await using pair = await start((server) => server.handle("t.echo", (text) => text), {
    client: { interceptors: [() => () => Promise.resolve(new Reply({ message: "cached" }))] },
  });
  assertEquals(await pair.client.call("t.echo", 1), "cached");
  assertEquals(pair.client.stats().counters.callsSent, 0);
});

Deno.test("requests that fail end the call with their error as its cause", async () => {
  await using pair = await start();
  const bad = (async function* () {
    yield { text: "a" };
    throw new Error("the disk is full");
  })();
  const error = await assertRejects(() => pair.client.service(Words).total(bad), RpcError, "the disk is full");
  assertEquals([error.code, (error.cause as Error).message], ["cancelled", "the disk is full"]);
});

Deno.test("options that can't be used are refused where they are given", () => {
  const rows: [() => unknown, string][] = [
    [() => new Client({ endpoints: [] }), "empty"],
    [() => new Client({ endpoints: ["http://x"] }), "http"],
    [() => new Client({ center: "nowhere" }), "nowhere"],
    [() => new Client({ center: "tcp://a:1", endpoints: ["tcp://a:1"] }), "one of"],
    [() => new Client({ endpoints: ["tcp://a:1"], codec: {} as Codec }), "codec"],
    [() => new Client({ endpoints: ["tcp://a:1"], timeoutMs: NaN }), "timeoutMs"],
    [() => new Client({ endpoints: ["tcp://a:1"], limits: { maxFrameBytes: 1 } }), "maxFrameBytes 1"],
    [() => new Client({ endpoints: ["tcp://a:1"], limits: { nonsense: 1 } as never }), "nonsense"],
    [() => new Client({ endpoints: ["tcp://a:1"], retry: { maxAttempts: 0 } }), "maxAttempts 0"],
    [() => new Server({ ttlMs: 0 }), "ttlMs 0"],
    [() => new Server({ weight: -1 }), "weight -1"],
    [() => new Server({ advertise: "x" }), "x"],
    [() => new Server().handle("nonsense", () => 1), "nonsense"],
    [() => new Server().handle(Words, { ...words, count: undefined } as never), "no function for count"],
    [() => new Server().endpoint, "does not listen"],
  ];
  for (const [run, text] of rows) {
    const error = assertThrows(run) as Error;
    assert(error instanceof TypeError || error instanceof RangeError, `${error}`);
    assert(error.message.includes(text), error.message);
  }
});

Deno.test("a contract or a procedure that is handled twice is refused", () => {
  const server = new Server();
  server.handle(Words, words);
  assertThrows(() => server.handle(Words, words), TypeError, '"demo.Words": it has handlers already');
  server.handle("t.a", () => 1);
  assertThrows(() => server.handle("t.a", () => 1), TypeError, '"t/a": it has a handler already');
});

Deno.test("X30 a port in use is a typed error, and leaves nothing behind", async () => {
  await using pair = await start();
  await using second = new Server();
  const error = await assertRejects(() => second.listen(pair.server.endpoint), RpcError, pair.server.endpoint);
  assertEquals([error.code, error.executed], ["unavailable", "no"]);
  await assertRejects(() => second.listen("tcp://nonsense"), TypeError, "host:port");
});

Deno.test("an endpoint where nobody listens is unavailable, and did not run", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  await using client = new Client({ endpoints: [`tcp://127.0.0.1:${port}`] });
  const error = await assertRejects(() => client.call("a.b"), RpcError, `tcp://127.0.0.1:${port}`);
  assertEquals([error.code, error.executed], ["unavailable", "no"]);
});

Deno.test("closing is harmless the second time, and settles what is running", async () => {
  await using pair = await start((server) => server.handle("t.never", () => new Promise(() => {})));
  const pending = pair.client.call("t.never").catch((error) => error.code);
  await pair.client.close();
  await pair.client.close();
  assertEquals(await pending, "unavailable");
  const error = await assertRejects(() => pair.client.call("t.never"), RpcError, "closed");
  assertEquals(error.executed, "no");
});

Deno.test("draining lets calls end, and says what it had to cut", async () => {
  const release = Promise.withResolvers<number>();
  const entered = Promise.withResolvers<void>();
  const pair = await start((server) => {
    server.handle("t.slow", () => {
      entered.resolve();
      return release.promise;
    });
  });
  const slow = pair.client.call("t.slow");
  await entered.promise;
  const draining = pair.server.drain();
  release.resolve(5);
  assertEquals(await slow, 5);
  assertEquals(await draining, { complete: true, cutCalls: 0, connections: 1, told: 1, proven: true, centers: [] });
  await pair.client.close();
});

Deno.test("draining a second time cuts at once", async () => {
  const entered = Promise.withResolvers<void>();
  const pair = await start((server) => {
    server.handle("t.never", () => {
      entered.resolve();
      return new Promise(() => {});
    });
  });
  const never = pair.client.call("t.never").catch((error) => error.code);
  await entered.promise;
  const draining = pair.server.drain({ graceMs: 3_600_000 });
  const again = pair.server.drain();
  assertEquals([(await draining).cutCalls, (await again).cutCalls], [1, 1]);
  assertEquals(await never, "unavailable");
  await pair.client.close();
});

for (const endpoint of ["tcp://127.0.0.1:0", "memory://words", `unix://${Deno.makeTempDirSync()}/s`]) {
  Deno.test(`client and server meet over ${endpoint.split(":")[0]}`, async () => {
    await using pair = await start(undefined, { endpoint });
    assertEquals(await pair.client.service(Words).count({ text: "a b" }), { words: 2 });
  });
}

Deno.test("authenticate decides who may call, and tells handlers who does", async () => {
  const authenticate = ({ token }: { token: string }) => {
    if (token !== "sesame") throw new RpcError("unauthenticated", "that is not the word");
    return { user: "ali" };
  };
  await using pair = await start((server) => server.handle("t.who", (_, ctx) => ctx.peer.identity), {
    server: { authenticate },
    client: { token: "sesame" },
  });
  assertEquals(await pair.client.call("t.who"), { user: "ali" });
  await using stranger = new Client({ endpoints: [pair.server.endpoint], token: "open" });
  const error = await assertRejects(() => stranger.call("t.who"), RpcError, "that is not the word");
  assertEquals([error.code, error.executed], ["unauthenticated", "no"]);
});

Deno.test("what a program does between two calls does not count against the second one's time-out", async () => {
  await using pair = await start();
  const client = pair.client.service(Words);
  await client.count({ text: "connected" });
  const first = client.count({ text: "a" });
  for (const until = performance.now() + 150; performance.now() < until;);
  assertEquals(await client.count({ text: "a b" }, { timeoutMs: 100 }).catch((error) => error.code), { words: 2 });
  await first;
});
