/** What users' functions do wrong stays with the call that they did it with. */
import { assertEquals, assertRejects } from "@std/assert";
import { Client, type ClientOptions, type Interceptor, type Logger, RpcError, Server } from "@erpc/erpc";
import { collect } from "../support/words.ts";

const BOOM = new Error("boom");
const boom = () => {
  throw BOOM;
};

/** Every way in which an interceptor can do wrong, before and after the call. */
const wrong: [string, Interceptor][] = [
  ["throws at once", () => boom],
  ["rejects", () => () => Promise.reject(BOOM)],
  ["throws what is no error", () => () => Promise.reject("boom")],
  ["throws after the reply", (next) => async (call) => {
    await next(call);
    throw BOOM;
  }],
  ["gives nothing", () => (() => undefined) as never],
  ["gives what is no reply", () => (() => Promise.resolve({ message: 1 })) as never],
  ["is no interceptor", (() => undefined) as never],
];

async function start(name: string, interceptors: Interceptor[], options: ClientOptions = {}) {
  const stack = new AsyncDisposableStack();
  const server = stack.use(new Server({ interceptors }));
  server.handle("t.t", () => "fine");
  server.handle("t.fails", () => {
    throw new RpcError("aborted", "as planned");
  });
  await server.listen(`memory://${name}`);
  const client = stack.use(new Client({ endpoints: [`memory://${name}`], ...options }));
  return { stack, server, client };
}

Deno.test("X42 a client's interceptor that does wrong fails its own call, and is counted", async () => {
  for (const [name, interceptor] of wrong) {
    let broken = true;
    const fragile: Interceptor = (next) => {
      const bad = interceptor(next);
      return (call) => broken ? bad(call) : next(call);
    };
    const { stack, client } = await start(`contain-client-${name.replaceAll(" ", "-")}`, [], {
      interceptors: [fragile],
    });
    await using _ = stack;
    const unary = client.call("t.t");
    const stream = collect(client.stream("erpc.Health/watch"));
    for (const call of [unary, stream]) {
      const error = await assertRejects(() => call, RpcError, "An interceptor failed");
      assertEquals(error.code, "internal", name);
    }
    assertEquals(client.stats().counters.uncaughtErrors, 2, name);
    broken = false;
    assertEquals(await client.call("t.t"), "fine", name);
  }
});

Deno.test("X42 a server's interceptor that does wrong fails its own call, and is counted", async () => {
  for (const [name, interceptor] of wrong) {
    let broken = true;
    const fragile: Interceptor = (next) => {
      const bad = interceptor(next);
      return (call) => broken ? bad(call) : next(call);
    };
    const { stack, client, server } = await start(`contain-server-${name.replaceAll(" ", "-")}`, [fragile]);
    await using _ = stack;
    const error = await assertRejects(() => client.call("t.t"), RpcError, "The handler failed");
    assertEquals(error.code, "internal", name);
    assertEquals(server.stats().counters.uncaughtErrors, 1, name);
    broken = false;
    assertEquals(await client.call("t.t"), "fine", name);
    assertEquals(client.stats().counters.connectionsOpened, 1, `${name}: the connection was lost`);
  }
});

Deno.test("X42 a callback that throws does not change how its call ends, and is counted", async () => {
  const { stack, client } = await start("contain-callback", []);
  await using _ = stack;
  const callbacks = { onMetadata: boom, onTrailers: boom };
  assertEquals(await client.call("t.t", undefined, callbacks), "fine");
  assertEquals(client.stats().counters.uncaughtErrors, 2);
  assertEquals((await assertRejects(() => client.call("t.fails", undefined, callbacks), RpcError)).code, "aborted");
  const stream = client.stream("erpc.Health/watch", {}, callbacks);
  assertEquals(await stream.next(), { done: false, value: { status: "serving" } });
  await stream.return?.();
  assertEquals(client.stats().counters.uncaughtErrors, 3);
});

Deno.test("X42 a logger that throws is counted, and nothing else happens", async () => {
  const logger: Logger = { debug: boom, info: boom, warn: boom, error: boom };
  await using server = new Server({ logger });
  server.handle("t.t", boom);
  await server.listen("memory://contain-logger");
  await using client = new Client({ endpoints: ["memory://contain-logger"], logger });
  await assertRejects(() => client.call("t.t"), RpcError, "The handler failed");
  assertEquals(client.stats().counters.uncaughtErrors > 0, true);
  // One for the handler; the others are the logger's.
  assertEquals(server.stats().counters.uncaughtErrors > 1, true);
});
