import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { Client, type ClientOptions, failureOf, RpcError, Server, type ServerOptions } from "@erpc/erpc";
import { serveWorker, WorkerPool, type WorkerPoolOptions } from "@erpc/erpc/worker";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { until } from "../support/until.ts";
import { Heavy } from "./heavy.ts";

const MODULE = new URL("./heavy_worker.ts", import.meta.url);
const METHODS = [
  "add",
  "spin",
  "poll",
  "late",
  "deaf",
  "wait",
  "fail",
  "about",
  "numbers",
  "note",
  "noted",
  "absent",
] as const;

async function start(
  options: WorkerPoolOptions & { module?: URL } = {},
  more: { server?: ServerOptions; client?: ClientOptions } = {},
) {
  const { module = MODULE, ...rest } = options;
  const pool = new WorkerPool(module, { size: 1, ...rest });
  const server = new Server(more.server);
  const methods = Object.fromEntries(METHODS.map((name) => [name, pool.method(Heavy, name)]));
  server.handle(Heavy, { ...methods, total: () => 0 } as never);
  server.handle("t.here", () => "here");
  await server.listen();
  // A thread may take long to begin where much else is going on.
  const client = new Client({ endpoints: [server.endpoint], timeoutMs: 60_000, ...more.client });
  return {
    pool,
    server,
    client,
    heavy: client.service(Heavy),
    async [Symbol.asyncDispose]() {
      await client.close();
      await server.close();
      await pool.close();
    },
  };
}

Deno.test("a handler in a worker answers, again and again, in the same worker", async () => {
  await using pair = await start();
  assertEquals(pair.pool.stats().workers, 0);
  assertEquals(await pair.heavy.add({ a: 1, b: 2 }), { sum: 3 });
  assertEquals(await Promise.all([1, 2, 3].map((a) => pair.heavy.add({ a, b: a }))), [{ sum: 2 }, { sum: 4 }, {
    sum: 6,
  }]);
  assertEquals(pair.pool.stats(), {
    workers: 1,
    busy: 0,
    queued: 0,
    begun: 4,
    refused: 0,
    overran: 0,
    lost: 0,
    crashed: 0,
  });
});

Deno.test("a handler that computes for ever: its deadline ends it, its worker is replaced, and nothing else is held up", async () => {
  await using pair = await start({ graceMs: 0 });
  await pair.heavy.add({ a: 1, b: 2 });
  const spinning = pair.heavy.spin(undefined, { timeoutMs: 500 });
  let over = false;
  const ended = assertRejects(() => spinning, RpcError).finally(() => over = true);
  // The server's own thread answers meanwhile, one call after the other.
  let answered = 0;
  for (; !over; answered++) assertEquals(await pair.client.call("t.here"), "here");
  assert(answered > 2, `${answered} calls while it computed`);
  assertEquals((await ended).code, "deadline_exceeded");
  await until(() => pair.pool.stats().overran === 1);
  assertEquals(await pair.heavy.add({ a: 2, b: 2 }), { sum: 4 });
  const { workers, busy, overran, crashed } = pair.pool.stats();
  assertEquals({ workers, busy, overran, crashed }, { workers: 1, busy: 0, overran: 1, crashed: 0 });
});

Deno.test("a handler that hears of the end of its call keeps its worker", async () => {
  await using pair = await start({ graceMs: 60_000 });
  const stop = new AbortController();
  const waiting = pair.heavy.wait(undefined, { signal: stop.signal });
  await until(() => pair.pool.stats().busy === 1);
  stop.abort();
  assertEquals((await assertRejects(() => waiting, RpcError)).code, "cancelled");
  await until(() => pair.pool.stats().busy === 0);
  assertEquals([pair.pool.stats().overran, pair.pool.stats().workers], [0, 1]);
});

Deno.test("a handler that does not end when nobody waits for it is ended with its worker", async () => {
  await using pair = await start({ graceMs: 10 });
  const stop = new AbortController();
  const listening = pair.heavy.deaf(undefined, { signal: stop.signal }).catch((error) => error.code);
  await until(() => pair.pool.stats().busy === 1);
  stop.abort();
  assertEquals(await listening, "cancelled");
  await until(() => pair.pool.stats().overran === 1);
  assertEquals(await pair.heavy.add({ a: 1, b: 1 }), { sum: 2 });
});

Deno.test("a handler that computes can see that nobody waits for it, without a pause", async () => {
  await using pair = await start({ graceMs: 60_000 });
  const stop = new AbortController();
  const polling = pair.heavy.poll(undefined, { signal: stop.signal }).catch((error) => error.code);
  await until(() => pair.pool.stats().busy === 1);
  stop.abort();
  assertEquals(await polling, "cancelled");
  await until(() => pair.pool.stats().busy === 0);
  assertEquals([pair.pool.stats().overran, pair.pool.stats().workers], [0, 1]);
});

Deno.test("a handler without a deadline may compute for so long at a time", async () => {
  await using pair = await start({ stallMs: 100 });
  const error = await assertRejects(() => pair.heavy.spin(undefined, { timeoutMs: Infinity }), RpcError);
  assertEquals([error.code, error.executed], ["deadline_exceeded", "yes"]);
  assertEquals(error.message, "The handler was interrupted: It computed for 100 ms without a pause");
  assertEquals(await pair.heavy.add({ a: 1, b: 1 }), { sum: 2 });
  assertEquals([pair.pool.stats().overran, pair.pool.stats().workers], [1, 1]);
});

Deno.test("a handler that can't be interrupted keeps its worker until it ends, and there is no other in its place", async () => {
  await using pair = await start({ graceMs: 0 });
  await pair.heavy.add({ a: 1, b: 1 });
  const stop = new AbortController();
  const computing = pair.heavy.late({ ms: 600 }, { signal: stop.signal }).catch((error) => error.code);
  await until(() => pair.pool.stats().busy === 1);
  stop.abort();
  assertEquals(await computing, "cancelled");
  const next = pair.heavy.add({ a: 2, b: 2 });
  assertEquals(pair.pool.stats().workers, 1);
  assertEquals([await next, pair.pool.stats().overran], [{ sum: 4 }, 0]);
});

Deno.test("calls wait for a worker in order, leave the queue with their callers, and are refused when too many wait", async () => {
  await using pair = await start({ maxQueue: 2, graceMs: 0 }, { client: { retry: false } });
  await pair.heavy.add({ a: 0, b: 0 });
  const stop = new AbortController();
  const polling = pair.heavy.poll(undefined, { signal: stop.signal }).catch((error) => error.code);
  await until(() => pair.pool.stats().busy === 1);
  const left = new AbortController();
  const leaving = pair.heavy.add({ a: 1, b: 1 }, { signal: left.signal }).catch((error) => error.code);
  const waiting = pair.heavy.add({ a: 2, b: 2 });
  await until(() => pair.pool.stats().queued === 2);
  const error = await assertRejects(() => pair.heavy.add({ a: 3, b: 3 }), RpcError);
  assertEquals([error.code, error.executed], ["resource_exhausted", "no"]);
  assertEquals(error.message, 'Cannot run "t.Heavy/add" in a worker: 2 calls wait already (maxQueue)');
  left.abort();
  assertEquals(await leaving, "cancelled");
  await until(() => pair.pool.stats().queued === 1);
  stop.abort();
  assertEquals([await polling, await waiting], ["cancelled", { sum: 4 }]);
  const { begun, refused, overran } = pair.pool.stats();
  assertEquals({ begun, refused, overran }, { begun: 3, refused: 1, overran: 0 });
});

Deno.test("a deadline that passes in the queue is told without a worker", async () => {
  await using pair = await start({ graceMs: 0 });
  const stop = new AbortController();
  const polling = pair.heavy.poll(undefined, { signal: stop.signal }).catch((error) => error.code);
  await until(() => pair.pool.stats().busy === 1);
  const error = await assertRejects(() => pair.heavy.add({ a: 1, b: 1 }, { timeoutMs: 50 }), RpcError);
  assertEquals(error.code, "deadline_exceeded");
  await until(() => pair.pool.stats().queued === 0);
  stop.abort();
  assertEquals([await polling, pair.pool.stats().begun], ["cancelled", 1]);
});

Deno.test("as many workers as there may be, each with a call of its own", async () => {
  await using pair = await start({ size: 2, graceMs: 0 });
  const stop = new AbortController();
  const polling = pair.heavy.poll(undefined, { signal: stop.signal }).catch((error) => error.code);
  assertEquals(await pair.heavy.add({ a: 1, b: 1 }), { sum: 2 });
  assertEquals([pair.pool.stats().workers, pair.pool.stats().busy], [2, 1]);
  stop.abort();
  assertEquals(await polling, "cancelled");
});

Deno.test("metadata, trailers and who calls reach the worker and come back", async () => {
  await using pair = await start({}, { client: { id: "me", zone: "here", criticality: "critical" } });
  const told: unknown[] = [];
  const about = await pair.heavy.about(undefined, {
    metadata: { "x-in": "a" },
    onMetadata: (metadata) => told.push(metadata.text("x-first")),
    onTrailers: (trailers) => told.push(trailers.get("x-last")),
  }) as { peer: { endpoint: string } };
  assertEquals(told, ["a", new Uint8Array([1, 2])]);
  const { endpoint } = about.peer;
  assert(endpoint.startsWith("tcp://127.0.0.1:"), endpoint);
  assertEquals(about as unknown, {
    procedure: "t.Heavy/about",
    peer: { endpoint, instance: "me", zone: "here" },
    attempt: 0,
    hop: 0,
    criticality: "critical",
    inTime: true,
    calls: 1,
  });
});

Deno.test("errors of a worker's handler arrive as those of any other", async () => {
  const logged: unknown[] = [];
  const logger = { debug() {}, info() {}, warn() {}, error: (_: string, error: unknown) => logged.push(error) };
  await using pair = await start({}, { server: { logger } });
  const failed = async (how: string) => await assertRejects(() => pair.heavy.fail({ how }), RpcError);
  const declared = failureOf(Heavy, await failed("declared"));
  assertEquals([declared?.reason, declared?.details, declared?.code], ["tooLarge", { most: 9 }, "out_of_range"]);
  const rpc = await failed("rpc");
  assertEquals([rpc.code, rpc.message, rpc.executed, rpc.details, rpc.retryAfterMs], [
    "aborted",
    "as asked",
    "yes",
    [1],
    7,
  ]);
  for (const how of ["plain", "text", "reply", "details"]) {
    const error = await failed(how);
    assertEquals([error.code, error.message, error.executed], [
      "internal",
      "The handler failed; the logger of its server was told why",
      "yes",
    ], how);
  }
  const texts = logged.map((error) => `${error}`);
  assertEquals(texts.slice(0, 2), ["TypeError: the disk is full", "Error: a text"]);
  assertStringIncludes((logged[0] as Error).stack!, "heavy_worker.ts");
  assertStringIncludes(texts[2], "could not be cloned");
  assertStringIncludes(texts[3], 'Cannot copy the error of "t.Heavy/fail" out of its worker');
  assertEquals(await pair.heavy.fail({ how: "reply with then" }), { then: "not a promise", how: "reply with then" });
  const absent = await assertRejects(() => pair.heavy.absent(undefined), RpcError);
  assertEquals([absent.code, absent.message], ["unimplemented", 'The worker has no handler for "t.Heavy/absent"']);
  assertEquals(pair.pool.stats().crashed, 0);
});

Deno.test("a worker that fails by itself fails its call, and the next call gets another", async () => {
  const logged: string[] = [];
  const logger = { debug() {}, info() {}, warn() {}, error: (_: string, error: unknown) => logged.push(`${error}`) };
  await using pair = await start({ graceMs: 0, stallMs: 300 }, { server: { logger } });
  const error = await assertRejects(() => pair.heavy.fail({ how: "later" }), RpcError);
  assertEquals(error.code, "internal");
  assertStringIncludes(logged[0], "nobody caught this");
  assertEquals(pair.pool.stats().crashed, 1);
  assertEquals(await pair.heavy.add({ a: 1, b: 1 }), { sum: 2 });
  // One that closes itself says nothing: it is given up in the end.
  const left = await assertRejects(() => pair.heavy.fail({ how: "leave" }, { timeoutMs: 200 }), RpcError);
  assertEquals(left.code, "deadline_exceeded");
  assertEquals(await pair.heavy.add({ a: 1, b: 1 }), { sum: 2 });
  assertEquals([pair.pool.stats().lost, pair.pool.stats().workers], [1, 1]);
});

Deno.test("a module that does not load, or never serves, fails the calls that wait for it, and says why", async () => {
  const logged: string[] = [];
  const logger = { debug() {}, info() {}, warn() {}, error: (_: string, error: unknown) => logged.push(`${error}`) };
  for (const [name, why] of [["broken", "this module does not load"], ["absent", "absent_worker.ts"]]) {
    await using pair = await start({ module: new URL(`./${name}_worker.ts`, import.meta.url) }, { server: { logger } });
    for (let round = 0; round < 2; round++) {
      const calls = [1, 2, 3].map((a) => assertRejects(() => pair.heavy.add({ a, b: a }), RpcError));
      for (const { code } of await Promise.all(calls)) assertEquals(code, "internal");
    }
    assertEquals(logged.length, 6);
    for (const text of logged.splice(0)) {
      assertStringIncludes(text, "did not start: ");
      assertStringIncludes(text, why);
    }
    assertEquals(pair.pool.stats().workers, 0);
  }
  const platform = virtualPlatform(1);
  const module = new URL("./silent_worker.ts", import.meta.url);
  await using pair = await start({ module, startMs: 5_000, platform }, { server: { logger } });
  const call = assertRejects(() => pair.heavy.add({ a: 1, b: 1 }), RpcError);
  await until(() => pair.pool.stats().queued === 1);
  await platform.clock.advance(5_000);
  assertEquals((await call).code, "internal");
  assertStringIncludes(logged[0], "it did not call serveWorker() within 5000 ms (startMs)");
  assertEquals(platform.clock.timerCount, 0);
});

Deno.test("a stream's handler runs in a worker, only as far as its messages are wanted", async () => {
  await using pair = await start();
  const read = async (request: { to: number; failAt?: number }) => {
    const numbers: number[] = [];
    const told: unknown[] = [];
    const options = {
      onMetadata: (metadata: { text(key: string): unknown }) => told.push(metadata.text("x-first")),
      onTrailers: (trailers: { text(key: string): unknown }) => told.push(trailers.text("x-last")),
    };
    try {
      for await (const number of pair.heavy.numbers(request, options)) numbers.push(number);
    } catch (error) {
      told.push((error as RpcError).code);
    }
    return [numbers.length, numbers.at(-1), ...told];
  };
  assertEquals(await read({ to: 1000 }), [1000, 999, "numbers", "numbers"]);
  assertEquals(await read({ to: 0 }), [0, undefined, "numbers", "numbers"]);
  assertEquals(await read({ to: 9, failAt: 3 }), [3, 2, "numbers", "data_loss"]);
  for await (const number of pair.heavy.numbers({ to: 1e9 })) if (number === 5) break;
  await until(() => pair.pool.stats().busy === 0);
  assertEquals((await pair.heavy.noted(undefined)).at(-1), "numbers to 1000000000 ended");
  assertEquals(pair.pool.stats().overran, 0);
});

Deno.test("a stream's handler that computes for ever between two messages is ended with its worker", async () => {
  await using pair = await start({ graceMs: 0 });
  await pair.heavy.add({ a: 1, b: 1 });
  const seen: number[] = [];
  const error = await assertRejects(async () => {
    for await (const number of pair.heavy.numbers({ to: 9, spinAt: 3 }, { timeoutMs: 500 })) seen.push(number);
  }, RpcError);
  assertEquals([seen, error.code], [[0, 1, 2], "deadline_exceeded"]);
  await until(() => pair.pool.stats().overran === 1);
  assertEquals(await pair.heavy.add({ a: 1, b: 1 }), { sum: 2 });
});

Deno.test("one-way calls run in a worker, too", async () => {
  await using pair = await start();
  await pair.heavy.note("remember");
  await until(async () => (await pair.heavy.noted(undefined)).includes("remember"));
});

Deno.test("closing ends every worker and every call, also those that wait; it is harmless the second time", async () => {
  await using pair = await start();
  await pair.heavy.add({ a: 1, b: 1 });
  const calls = [pair.heavy.poll(undefined), pair.heavy.add({ a: 1, b: 1 })].map((call) =>
    assertRejects(() => call, RpcError, "The pool of workers was closed")
  );
  await until(() => pair.pool.stats().queued === 1);
  await pair.pool.close();
  await pair.pool.close();
  for (const { code } of await Promise.all(calls)) assertEquals(code, "unavailable");
  const late = await assertRejects(() => pair.heavy.add({ a: 1, b: 1 }), RpcError, "was closed");
  assertEquals([late.code, late.executed], ["unavailable", "no"]);
  assertEquals([pair.pool.stats().workers, pair.pool.stats().queued], [0, 0]);
});

Deno.test("misuse of a pool is refused where it happens", () => {
  const pool = (options: object) => () => new WorkerPool(MODULE, options);
  const rows: [() => unknown, string][] = [
    [() => new WorkerPool("./x.ts" as never), "new URL"],
    [pool({ size: 0 }), "size 0"],
    [pool({ maxQueue: -1 }), "maxQueue -1"],
    [pool({ graceMs: 1.5 }), "graceMs 1.5"],
    [pool({ stallMs: 0 }), "stallMs 0"],
    [pool({ startMs: 0 }), "startMs 0"],
    [pool({ nonsense: 1 }), "nonsense"],
    [() => new WorkerPool(MODULE).method(Heavy, "toString" as never), 'it has no method "toString"'],
    [() => new WorkerPool(MODULE).method(Heavy, "total"), 'Cannot answer "t.Heavy/total" in a worker'],
    [() => serveWorker(Heavy, {}), 'Cannot serve "t.Heavy" here: this module does not run in a worker'],
  ];
  for (const [run, text] of rows) {
    const error = assertThrows(run) as Error;
    assert(error instanceof TypeError || error instanceof RangeError, `${error}`);
    assertStringIncludes(error.message, text);
  }
});
