/** Methods with `dedupe`: however often a call is sent, it runs once. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  bytes,
  Client,
  type ClientOptions,
  type Context,
  fail,
  failure,
  type Interceptor,
  RpcError,
  Server,
  type ServerOptions,
  serverStream,
  service,
  unary,
} from "@erpc/erpc";
import type { ByteConnection, Transport } from "@erpc/erpc/extend";
import { systemTransport } from "../../src/transport/transport.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";

const Bank = service("test.Bank", {
  pay: unary<{ amount: number }, { receipt: number }>({ dedupe: { windowMs: 60_000 } }),
  file: unary<Uint8Array, Uint8Array>({ dedupe: { windowMs: 60_000 }, codec: bytes() }),
  look: unary<{ amount: number }, { receipt: number }>(),
}, { errors: { poor: failure<{ left: number }>("unavailable") } });

/** The system's transport, whose connections a test can cut. */
function cuttable(): { transport: Transport; cut(): void } {
  const open: ByteConnection[] = [];
  return {
    transport: {
      async connect(endpoint, options) {
        const connection = await systemTransport.connect(endpoint, options);
        open.push(connection);
        return connection;
      },
      listen: (endpoint, options) => systemTransport.listen(endpoint, options),
    },
    cut() {
      for (const connection of open.splice(0)) connection.close();
    },
  };
}

/** Runs the handler `pay` of a bank; what the network does to the calls is up to the test. */
async function start(
  name: string,
  pay: (request: { amount: number }, ctx: Context) => { receipt: number } | Promise<{ receipt: number }>,
  options: { server?: ServerOptions; client?: ClientOptions } = {},
) {
  const platform = virtualPlatform(1);
  const stack = new AsyncDisposableStack();
  const network = cuttable();
  const serve = async (own: ServerOptions = {}) => {
    const server = stack.use(new Server({ platform, ...options.server, ...own }));
    server.handle(Bank, { pay, look: pay, file: (request) => request });
    await server.listen(`memory://${name}`);
    return server;
  };
  const server = await serve();
  const client = stack.use(
    new Client({ endpoints: [`memory://${name}`], platform, transport: network.transport, ...options.client }),
  );
  return { stack, platform, network, server, serve, client, bank: client.service(Bank) };
}

/** Sends every call this often with one key, one after the other, as a client would whose replies get lost. */
function repeat(times: number): Interceptor {
  return (next) => async (call) => {
    let reply = await next(call).catch((error) => error);
    for (let i = 1; i < times; i++) reply = await next(call.with({ attempt: i })).catch((error) => error);
    if (reply instanceof Error) throw reply;
    return reply;
  };
}

Deno.test("a call whose connection is lost after it ran is answered with what it gave", async () => {
  let runs = 0;
  let first = true;
  const { stack, platform, network, server, bank, client } = await start("dedupe-lost", () => {
    runs++;
    if (first) network.cut();
    first = false;
    return { receipt: runs };
  });
  await using _ = stack;
  const paid = bank.pay({ amount: 5 });
  await platform.clock.advance(5_000);
  assertEquals([await paid, runs], [{ receipt: 1 }, 1]);
  assertEquals([client.stats().counters.callsRetried, server.stats().counters.callsRepeated], [1, 1]);

  // What is not declared so is not tried again, since nobody knows whether it ran.
  first = true;
  const looked = assertRejects(() => bank.look({ amount: 5 }), RpcError);
  await platform.clock.advance(5_000);
  assertEquals([(await looked).executed, runs], ["maybe", 2]);
});

Deno.test("a call whose connection is lost while it runs goes on, and the next attempt joins it", async () => {
  let runs = 0;
  const finish = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<Context>();
  const { stack, platform, network, bank, server } = await start("dedupe-join", async (_, ctx) => {
    runs++;
    begun.resolve(ctx);
    await finish.promise;
    ctx.trailers.set("run", String(runs));
    return { receipt: runs };
  });
  await using _ = stack;
  const told: unknown[] = [];
  const paid = bank.pay({ amount: 5 }, { onTrailers: (trailers) => told.push(trailers.text("run")) });
  const ctx = await begun.promise;
  network.cut();
  await platform.clock.advance(3_000);
  assertEquals([ctx.signal.aborted, server.stats().counters.callsReceived], [false, 2]);
  finish.resolve();
  assertEquals([await paid, runs, told], [{ receipt: 1 }, 1, ["1"]]);
  // Nothing waits for a handler that has ended.
  await platform.clock.advance(20_000);
  assertEquals(ctx.signal.aborted, false);
});

Deno.test("a handler that may be joined is aborted by its deadline, by its caller, and by the end of the server", async () => {
  const contexts: Context[] = [];
  const { stack, platform, network, bank, server } = await start("dedupe-abort", (_, ctx) => {
    contexts.push(ctx);
    return new Promise((_, reject) => ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason)));
  });
  await using _ = stack;
  const reason = (i: number) => (contexts[i].signal.reason as RpcError | undefined)?.code;

  // The deadline passes with nobody left to tell.
  const late = assertRejects(() => bank.pay({ amount: 1 }, { timeoutMs: 1_000, retry: false }), RpcError);
  await platform.clock.settle();
  network.cut();
  await late;
  assertEquals(contexts[0].signal.aborted, false);
  await platform.clock.advance(1_100);
  assertEquals(reason(0), "deadline_exceeded");

  const controller = new AbortController();
  const cancelled = assertRejects(() => bank.pay({ amount: 1 }, { signal: controller.signal }), RpcError);
  await platform.clock.advance(1_000);
  controller.abort();
  await cancelled;
  await platform.clock.settle();
  assertEquals(reason(1), "cancelled");

  const cut = assertRejects(() => bank.pay({ amount: 1 }, { retry: false }), RpcError);
  await platform.clock.advance(1_000);
  network.cut();
  await cut;
  assertEquals(contexts[2].signal.aborted, false);
  await server.close();
  assertEquals(reason(2), "cancelled");
});

Deno.test("a drain waits for a handler that outlived its connection, and says when it had to cut it", async () => {
  for (const graceMs of [5_000, 500]) {
    const { stack, platform, network, bank, server } = await start(`dedupe-drain-${graceMs}`, async (_, ctx) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      using _timer = platform.clock.timer(3_000, resolve);
      ctx.signal.addEventListener("abort", () => resolve());
      await promise;
      return { receipt: 1 };
    });
    await using _ = stack;
    const lost = assertRejects(() => bank.pay({ amount: 1 }, { retry: false }), RpcError);
    await platform.clock.settle();
    network.cut();
    await lost;
    const drained = server.drain({ graceMs });
    await platform.clock.advance(10_000);
    const { complete, cutCalls } = await drained;
    assertEquals(
      { complete, cutCalls },
      graceMs === 500 ? { complete: false, cutCalls: 1 } : { complete: true, cutCalls: 0 },
    );
  }
});

Deno.test("what a handler fails with is kept, unless it says that it has done nothing", async () => {
  const rows: [() => Error, runs: number][] = [
    [() => new RpcError("failed_precondition", "no"), 1],
    [() => new RpcError("not_found", "no"), 1],
    [() => new Error("a mistake after half of it was written"), 1],
    [() => fail(Bank, "poor", "no", { left: 3 }), 1],
    [() => new RpcError("unavailable", "later"), 1],
    [() => new RpcError("resource_exhausted", "later"), 1],
    [() => new RpcError("unavailable", "not yet", { executed: "no" }), 3],
    [() => ofNestedCall(), 1],
  ];
  for (const [i, [thrown, expected]] of rows.entries()) {
    let runs = 0;
    const { stack, bank } = await start(`dedupe-failures-${i}`, () => {
      runs++;
      throw thrown();
    }, { client: { interceptors: [repeat(3)], retry: false } });
    await using _ = stack;
    const error = await assertRejects(() => bank.pay({ amount: 1 }), RpcError);
    assertEquals([runs, error.executed], [expected, "yes"], `${thrown()}`);
    if (error.reason !== undefined) assertEquals(error.details, { left: 3 });
    // Nobody need ask again for what is final.
    if (error.code === "unavailable" && expected === 1) assertEquals(error.retryAfterMs, -1);
  }
});

/** What a call fails with that a handler makes: it says of that call that it did not run, not of the handler. */
function ofNestedCall(): RpcError {
  const error = new RpcError("unavailable", "nobody there", { executed: "no" });
  error.explain = { procedure: "t/t", resolved: 0, attempts: [], totalMs: 0 };
  return error;
}

Deno.test("a result is kept as it was, for as long as its window", async () => {
  let runs = 0;
  const shared = { receipt: 0 };
  const keys: unknown[] = [];
  const later: Interceptor = (next) => async (call) => {
    keys.push(call.dedupe);
    await next(call);
    shared.receipt = 99;
    const again = await next(call.with({ attempt: 1 }));
    await platform.clock.advance(60_001);
    await next(call.with({ attempt: 1 }));
    return again;
  };
  const { stack, bank, platform, server } = await start("dedupe-window", () => {
    shared.receipt = ++runs;
    return shared;
  }, { client: { interceptors: [later], timeoutMs: Infinity } });
  await using _ = stack;
  assertEquals(await bank.pay({ amount: 1 }), { receipt: 1 });
  assertEquals(runs, 2);
  assertEquals(server.stats().counters.callsRepeated, 1);
  // Another call is another key.
  await bank.pay({ amount: 1 });
  assert(keys[0] !== keys[1]);
  const file = new Uint8Array([1, 2, 3]);
  assertEquals(await bank.file(file), file);
});

Deno.test("a result is nobody else's, and a key that came from somebody else runs nothing", async () => {
  let key: unknown;
  const steal: Interceptor = (next) => (call) => {
    const { dedupe } = call;
    key ??= dedupe;
    return next(call.with({ dedupe: key as typeof dedupe }));
  };
  let runs = 0;
  const authenticate = ({ token }: { token: string }) => ({ user: token });
  const { stack, bank, platform } = await start("dedupe-owner", () => ({ receipt: ++runs }), {
    server: { authenticate },
    client: { interceptors: [steal], token: "ann" },
  });
  await using _ = stack;
  const connect = (options: ClientOptions) =>
    stack.use(new Client({ endpoints: ["memory://dedupe-owner"], platform, interceptors: [steal], ...options }))
      .service(Bank);
  assertEquals(await bank.pay({ amount: 1 }), { receipt: 1 });
  // The same caller on another connection.
  assertEquals(await connect({ token: "ann" }).pay({ amount: 1 }), { receipt: 1 });
  for (const other of [{ token: "bob" }, { token: "ann", id: "another" }]) {
    const error = await assertRejects(() => connect(other).pay({ amount: 1 }), RpcError);
    assertEquals([error.code, error.executed], ["permission_denied", "no"]);
  }
  assertEquals(runs, 1);
});

Deno.test("a result is nobody else's, also where an identity does not show what it says", async () => {
  class Hidden {
    readonly #user: string;
    constructor(user: string) {
      this.#user = user;
    }
    greet() {
      return this.#user;
    }
  }
  class Shown {
    constructor(readonly user: string) {}
  }
  const identities: [(user: string) => unknown, isTold: boolean][] = [
    [(user) => user, true],
    [(user) => ({ user, roles: [user, { deep: [] }] }), true],
    [(user) => new Shown(user), true],
    [(user) => Object.assign(Object.create(null), { user }), true],
    [(user) => new Map([["user", user]]), false],
    [(user) => ({ claims: new Set([user]) }), false],
    [(user) => new Hidden(user), false],
    [(user) => () => user, false],
    [(user) => new Date(user === "ann" ? 1 : 2), false],
  ];
  for (const [i, [identity, isTold]] of identities.entries()) {
    let key: unknown;
    const steal: Interceptor = (next) => (call) => {
      const { dedupe } = call;
      key ??= dedupe;
      return next(call.with({ dedupe: key as typeof dedupe }));
    };
    let runs = 0;
    const name = `dedupe-identity-${i}`;
    const { stack, platform } = await start(name, () => ({ receipt: ++runs }), {
      server: { authenticate: ({ token }) => identity(token) },
    });
    await using _ = stack;
    const pay = (token: string) =>
      stack.use(new Client({ endpoints: [`memory://${name}`], platform, interceptors: [steal], token }))
        .service(Bank).pay({ amount: 1 }).then(() => "told", (error) => error.code);
    assertEquals(await pay("ann"), "told");
    assertEquals(await pay("bob"), "permission_denied", `${identity}`);
    assertEquals([await pay("ann"), runs], [isTold ? "told" : "permission_denied", 1], `${identity}`);
  }
});

Deno.test("the details of a failure are kept as they were, and count like a reply", async () => {
  const details = { list: ["x".repeat(10_000)] };
  let runs = 0;
  const { stack, bank } = await start("dedupe-details", () => {
    runs++;
    throw new RpcError("failed_precondition", "no", { details, cause: details });
  }, {
    client: {
      retry: false,
      interceptors: [(next) => async (call) => {
        await next(call).catch(() => {});
        details.list.push("later");
        return await next(call.with({ attempt: 1 }));
      }],
    },
  });
  await using _ = stack;
  const error = await assertRejects(() => bank.pay({ amount: 1 }), RpcError);
  assertEquals([runs, (error.details as typeof details).list.length], [1, 1]);

  const full = await start("dedupe-details-full", () => {
    throw new RpcError("failed_precondition", "no", { details: { text: "x".repeat(10_000) } });
  }, { server: { limits: { dedupeBytes: 5_000 } }, client: { interceptors: [repeat(2)], retry: false } });
  await using _full = full.stack;
  await assertRejects(() => full.bank.pay({ amount: 1 }), RpcError, "limits.dedupeBytes");
});

Deno.test("what may have run is not sent to an instance that does not remember it", async () => {
  let runs = 0;
  const { stack, platform, network, bank, server, serve } = await start("dedupe-restart", async (_, ctx) => {
    runs++;
    await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve));
    return { receipt: runs };
  });
  await using _ = stack;
  const failed = assertRejects(() => bank.pay({ amount: 1 }), RpcError);
  await platform.clock.settle();
  assertEquals(runs, 1);
  network.cut();
  await server.close();
  await serve();
  await platform.clock.advance(10_000);
  const error = await failed;
  assertEquals([error.code, error.executed, runs], ["unavailable", "maybe", 1]);
  assert(error.message.includes("has started anew"), error.message);
});

Deno.test("what did not run goes elsewhere, what may have run does not", async () => {
  const platform = virtualPlatform(1);
  await using stack = new AsyncDisposableStack();
  const runs = [0, 0];
  const network = cuttable();
  let mode: "refuse" | "cut" = "refuse";
  for (const i of [0, 1]) {
    const refuse: Interceptor = (next) => (call) => {
      if (mode === "refuse" && i === 0) throw new RpcError("unavailable", "not today", { executed: "no" });
      return next(call);
    };
    const server = stack.use(new Server({ platform, interceptors: [refuse] }));
    const pay = () => {
      runs[i]++;
      if (mode === "cut") network.cut();
      mode = "refuse";
      return { receipt: i };
    };
    server.handle(Bank, { pay, look: pay, file: (request) => request });
    await server.listen(`memory://dedupe-elsewhere-${i}`);
  }
  const endpoints = ["memory://dedupe-elsewhere-0", "memory://dedupe-elsewhere-1"];
  const client = stack.use(
    new Client({
      endpoints,
      platform,
      transport: network.transport,
      balancer: {
        name: "in_order",
        build: (all) => ({ avoid }) => all.find(({ endpoint }) => !avoid?.includes(endpoint)) ?? all[0],
      },
    }),
  );
  const bank = client.service(Bank);
  const elsewhere = bank.pay({ amount: 1 });
  await platform.clock.advance(1_000);
  assertEquals([await elsewhere, runs], [{ receipt: 1 }, [0, 1]]);
  mode = "cut";
  const there = bank.pay({ amount: 1 });
  await platform.clock.advance(100);
  // The first of them ran it, and lost the connection. Now it would refuse, and it is asked all the same.
  const error = await Promise.race([
    there.then(() => undefined, (error) => error as RpcError),
    platform.clock.advance(10_000).then(() => "pending" as const),
  ]);
  assert(error instanceof RpcError);
  assertEquals([error.executed, runs], ["maybe", [1, 1]]);
});

Deno.test("a server that does not declare it runs a call once, and refuses to guess when it comes again", async () => {
  const Plain = service("test.Bank", { pay: unary<{ amount: number }, { receipt: number }>() });
  let runs = 0;
  await using server = new Server();
  server.handle(Plain, { pay: () => ({ receipt: ++runs }) });
  await server.listen("memory://dedupe-plain");
  const interceptors = [repeat(2)];
  await using client = new Client({ endpoints: ["memory://dedupe-plain"], interceptors, retry: false });
  const error = await assertRejects(() => client.service(Bank).pay({ amount: 1 }), RpcError, "Cannot tell whether");
  assertEquals([error.code, runs], ["unimplemented", 1]);
});

Deno.test("a server that remembers too many calls takes no more, and one whose results are too large says so", async () => {
  let runs = 0;
  const full = await start("dedupe-full", () => ({ receipt: ++runs }), {
    server: { limits: { dedupeKeys: 2 } },
    client: { retry: false },
  });
  await using _full = full.stack;
  await full.bank.pay({ amount: 1 });
  await full.bank.pay({ amount: 1 });
  const refused = await assertRejects(() => full.bank.pay({ amount: 1 }), RpcError, "limits.dedupeKeys");
  assertEquals([refused.code, refused.executed, refused.retryAfterMs, runs], ["resource_exhausted", "no", 1_000, 2]);
  await full.platform.clock.advance(60_000);
  assertEquals(await full.bank.pay({ amount: 1 }), { receipt: 3 });

  const large = await start("dedupe-large", () => ({ receipt: ++runs }), {
    server: { limits: { dedupeBytes: 100 } },
    client: { interceptors: [repeat(2)], retry: false },
  });
  await using _large = large.stack;
  const lost = await assertRejects(() => large.bank.pay({ amount: 1 }), RpcError, "limits.dedupeBytes");
  assertEquals([lost.executed, lost.retryAfterMs, runs], ["yes", -1, 4]);
});

Deno.test("a client that makes more calls than a server remembers takes nothing from others, whatever it connects by", async () => {
  let runs = 0;
  const names = new Map([["a", { name: "ann" }], ["b", { name: "ben" }]]);
  const scene = await start("dedupe-greedy", () => ({ receipt: ++runs }), {
    // As what looks names up elsewhere does, it makes a new object each time.
    server: { limits: { dedupeKeys: 8 }, authenticate: ({ token }) => ({ ...names.get(token) }) },
    client: { retry: false, token: "a" },
  });
  await using stack = scene.stack;
  const connect = (token: string) =>
    stack.use(new Client({ endpoints: ["memory://dedupe-greedy"], platform: scene.platform, retry: false, token }));
  for (let calls = 0; calls < 5; calls++) await scene.bank.pay({ amount: 1 });
  for (const client of [scene.client, connect("a")]) {
    const error = await assertRejects(
      () => client.service(Bank).pay({ amount: 1 }),
      RpcError,
      "5 of them this caller's",
    );
    assertEquals([error.code, error.executed], ["resource_exhausted", "no"]);
  }
  assertEquals(await connect("b").service(Bank).pay({ amount: 1 }), { receipt: 6 });
});

Deno.test("dedupe is refused where it cannot be", () => {
  assertThrows(() => serverStream({ dedupe: { windowMs: 10 } }), TypeError, "serverStream");
  assertThrows(() => unary({ dedupe: { windowMs: 0 } }), RangeError, "dedupe.windowMs");
});
