import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  Call,
  Client,
  type ClientOptions,
  consistentHash,
  type Interceptor,
  MemoryRegistry,
  RpcError,
  Server,
  serverStream,
  service,
  unary,
} from "@erpc/erpc";
import type { Answer } from "@erpc/erpc/extend";
import { until } from "../support/until.ts";

const Store = service("t.Store", {
  read: unary<{ key: string }, { value: string }>({ idempotent: true }),
  write: unary<{ key: string }, string>(),
  list: serverStream<undefined, string>(),
});

/** What a server of the tests does when it is called. */
type Behaviour = (id: string, signal: AbortSignal) => string | Promise<string>;

const good: Behaviour = (id) => id;
const broken: Behaviour = () => {
  throw new RpcError("aborted", "as asked");
};

/** Never answers; keeps count of those that were let go. */
function silent(left: string[], entered: string[] = []): Behaviour {
  return (id, signal) => {
    entered.push(id);
    return new Promise(() => signal.addEventListener("abort", () => left.push(id)));
  };
}

async function start(behaviours: Record<string, Behaviour>, options: ClientOptions = {}) {
  const stack = new AsyncDisposableStack();
  const registry = stack.use(new MemoryRegistry());
  for (const [id, behave] of Object.entries(behaviours)) {
    const server = stack.use(new Server({ registry, id, version: id }));
    server.handle(Store, {
      read: async (_, ctx) => ({ value: await behave(id, ctx.signal) }),
      write: (_, ctx) => behave(id, ctx.signal),
      async *list() {},
    });
    await server.listen();
  }
  const client = stack.use(new Client({ registry, retry: false, ...options }));
  return { client, registry, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** An answer as one short text. */
function told({ instance, reply, error }: Answer): string {
  return `${instance.id}: ${error?.code ?? JSON.stringify(reply)}`;
}

Deno.test("broadcast: everybody is asked, and everybody's answer told, good or bad", async () => {
  await using pair = await start({ a: good, b: broken, c: good });
  const answers = await pair.client.broadcast(Store, "read", { key: "k" });
  assertEquals(answers.map(told), ['a: {"value":"a"}', "b: aborted", 'c: {"value":"c"}']);
  const [first, second] = answers;
  assert(first.endpoint.startsWith("tcp://127.0.0.1:") && first.endpoint === first.instance.endpoints[0]);
  // The types follow: a reply where there is no error.
  if (first.error === undefined) assertEquals(first.reply.value satisfies string, "a");
  assertEquals([second.error?.message, second.error?.executed], ["as asked", "yes"]);
  assertEquals(second.error?.explain?.attempts.map(({ endpoint }) => endpoint), [second.endpoint]);
  assertEquals(pair.client.stats().counters.callsSent, 3);
});

Deno.test("broadcast: all that fail are told of, too", async () => {
  await using pair = await start({ a: broken, b: broken });
  assertEquals((await pair.client.broadcast(Store, "write", { key: "k" })).map(told), ["a: aborted", "b: aborted"]);
});

Deno.test("broadcast: the first good answer ends it, and the others are cancelled", async () => {
  const left: string[] = [];
  const entered: string[] = [];
  const release = Promise.withResolvers<void>();
  await using pair = await start({
    a: silent(left, entered),
    b: broken,
    c: async (id) => {
      await release.promise;
      return id;
    },
    d: silent(left, entered),
  });
  const answers = pair.client.broadcast(Store, "write", { key: "k" }, { wait: 1 });
  await until(() => entered.length === 2);
  release.resolve();
  assertEquals((await answers).map(told), ["a: cancelled", "b: aborted", 'c: "c"', "d: cancelled"]);
  await until(() => left.length === 2);
});

Deno.test("broadcast: a quorum is enough; one that can't be reached any more fails at once and tells what there is", async () => {
  const left: string[] = [];
  await using enough = await start({ a: good, b: good, c: silent(left) });
  const answers = await enough.client.broadcast(Store, "write", { key: "k" }, { wait: 2 });
  assertEquals(answers.map(told), ['a: "a"', 'b: "b"', "c: cancelled"]);
  await until(() => left.length === 1);

  await using few = await start({ a: broken, b: broken, c: silent(left) });
  const error = await assertRejects(() => few.client.broadcast(Store, "write", { key: "k" }, { wait: 2 }), RpcError);
  assertEquals([error.code, error.executed], ["aborted", "maybe"]);
  assertEquals(
    error.message,
    'Cannot get 2 good answers to "t.Store/write": 2 of 3 instances failed, the last with aborted: as asked',
  );
  assertEquals((error.details as Answer[]).map(told), ["a: aborted", "b: aborted", "c: cancelled"]);
  assertEquals(error.explain?.attempts.map(({ code }) => code), ["aborted", "aborted"]);
  assertEquals(error.explain?.resolved, 3);
  await until(() => left.length === 2);
});

Deno.test("broadcast: more good answers than there are instances fail before anybody is asked", async () => {
  await using pair = await start({ a: good, b: good });
  const error = await assertRejects(() => pair.client.broadcast(Store, "write", { key: "k" }, { wait: 3 }), RpcError);
  assertEquals(error.message, 'Cannot get 3 good answers to "t.Store/write": only 2 can be asked');
  assertEquals([error.code, error.executed, pair.client.stats().counters.callsSent], ["unavailable", "no", 0]);
});

Deno.test("broadcast: to some, whom the balancer chooses; with consistent hashing always the same for a key", async () => {
  await using pair = await start({ a: good, b: good, c: good, d: good, e: good }, { balancer: consistentHash() });
  const asked = async (hashKey: string) => {
    const answers = await pair.client.broadcast(Store, "write", { key: "k" }, { to: 3, wait: 2, hashKey });
    return answers.map(({ instance }) => instance.id).join();
  };
  const sets = new Set<string>();
  for (let i = 0; i < 10; i++) {
    const first = await asked(`key-${i}`);
    assertEquals(new Set(first.split(",")).size, 3);
    assertEquals(await asked(`key-${i}`), first);
    // The first of them is who gets a single call with that key.
    assertEquals(await pair.client.service(Store).write({ key: "k" }, { hashKey: `key-${i}` }), first[0]);
    sets.add(first);
  }
  assert(sets.size > 1, [...sets].join(" "));
  const everybody = await pair.client.broadcast(Store, "write", { key: "k" }, { to: 9 });
  assertEquals(everybody.length, 5);
});

Deno.test("broadcast: one time-out holds for all; who has answered by then is told of", async () => {
  const left: string[] = [];
  await using pair = await start({ a: good, b: silent(left), c: silent(left) });
  await pair.client.broadcast(Store, "write", { key: "k" }, { wait: 1 });
  const answers = await pair.client.broadcast(Store, "write", { key: "k" }, { timeoutMs: 100 });
  assertEquals(answers.map(told), ['a: "a"', "b: deadline_exceeded", "c: deadline_exceeded"]);
});

Deno.test("broadcast: a signal cancels all, and is told as such", async () => {
  const left: string[] = [];
  const entered: string[] = [];
  await using pair = await start({ a: silent(left, entered), b: silent(left, entered) });
  const stop = new AbortController();
  const asking = pair.client.broadcast(Store, "write", { key: "k" }, { signal: stop.signal });
  await until(() => entered.length === 2);
  stop.abort(new Error("enough"));
  const error = await assertRejects(() => asking, RpcError, 'The broadcast of "t.Store/write" was cancelled');
  assertEquals([error.code, (error.cause as Error).message], ["cancelled", "enough"]);
  await until(() => left.length === 2);
  const before = await assertRejects(
    () => pair.client.broadcast(Store, "write", { key: "k" }, { signal: AbortSignal.abort() }),
    RpcError,
  );
  assertEquals(before.code, "cancelled");
});

Deno.test("broadcast: each call goes through interceptors and is tried again where it was asked", async () => {
  const seen: (string | undefined)[] = [];
  const note: Interceptor = (next) => (call) => {
    seen.push(call.instance);
    return next(call.with({ metadata: call.metadata }));
  };
  const tries = new Map<string, number>();
  const once: Behaviour = (id) => {
    tries.set(id, (tries.get(id) ?? 0) + 1);
    if (tries.get(id) === 1) throw new RpcError("unavailable", "not yet", { retryAfterMs: 1 });
    return id;
  };
  await using pair = await start({ a: once, b: once }, { interceptors: [note], retry: {} });
  const answers = await pair.client.broadcast(Store, "read", { key: "k" });
  assertEquals(answers.map(told), ['a: {"value":"a"}', 'b: {"value":"b"}']);
  assertEquals([[...tries.values()], seen.sort()], [[2, 2], ["a", "b"]]);
});

Deno.test("broadcast: nobody known, and a client that is closed, are errors like those of a call", async () => {
  await using pair = await start({});
  const error = await assertRejects(() => pair.client.broadcast(Store, "write", { key: "k" }), RpcError, "no instance");
  assertEquals([error.code, error.executed], ["unavailable", "no"]);
  const waiting = pair.client.broadcast(Store, "write", { key: "k" }, { waitForReady: true });
  await using server = new Server({ registry: pair.registry, id: "late" });
  server.handle(Store, { read: () => ({ value: "" }), write: () => "late", async *list() {} });
  await server.listen();
  assertEquals((await waiting).map(told), ['late: "late"']);
  await pair.client.close();
  const closed = await assertRejects(() => pair.client.broadcast(Store, "write", { key: "k" }), RpcError, "closed");
  assertEquals(closed.executed, "no");
});

Deno.test("broadcast: many instances are asked in turns, and none is forgotten", async () => {
  let running = 0;
  let most = 0;
  const registry = new MemoryRegistry();
  await using server = new Server();
  server.handle(Store, {
    read: () => ({ value: "" }),
    async write() {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
      return "done";
    },
    async *list() {},
  });
  await server.listen();
  // Many names for one server: what is counted is calls, not sockets.
  for (let i = 0; i < 600; i++) {
    await registry.register({
      id: `i${i}`,
      incarnation: 1,
      endpoints: [server.endpoint],
      services: ["t.Store"],
      zone: "",
      weight: 1,
      version: "",
      metadata: {},
    });
  }
  await using client = new Client({ registry });
  const answers = await client.broadcast(Store, "write", { key: "k" });
  assertEquals([answers.length, answers.filter(({ error }) => error === undefined).length], [600, 600]);
  assert(most <= 256, `${most} at once`);
  await registry.close();
});

Deno.test("broadcast: misuse is refused where it happens", async () => {
  await using pair = await start({});
  const { client } = pair;
  const rows: [() => unknown, string][] = [
    [() => client.broadcast(Store, "list" as never, undefined as never), 'Cannot broadcast "t.Store/list"'],
    [() => client.broadcast(Store, "toString" as never, undefined as never), "it is no unary method"],
    [() => client.broadcast(Store, "write", { key: "" }, { to: 0 }), "to 0"],
    [() => client.broadcast(Store, "write", { key: "" }, { wait: 1.5 }), "wait 1.5"],
    [
      () => client.broadcast(Store, "write", { key: "" }, { to: 2, wait: 3 }),
      "wait 3 : it must be a whole number from 1 to 2",
    ],
  ];
  for (const [run, text] of rows) {
    const error = assertThrows(run) as Error;
    assert(error instanceof TypeError || error instanceof RangeError, `${error}`);
    assert(error.message.includes(text.replace(" :", ":")), error.message);
  }
});

Deno.test("a call can name the one instance that it may go to", async () => {
  await using pair = await start({ a: good, b: good }, {
    interceptors: [(next) => (call) => next(call.with({ instance: call.metadata.text("to") }))],
  });
  const { write } = pair.client.service(Store);
  for (const to of ["a", "b", "a", "a"]) {
    assertEquals(await write({ key: "" }, { metadata: { to } }), to);
  }
  const error = await assertRejects(() => write({ key: "" }, { metadata: { to: "z" } }), RpcError);
  assertEquals([error.code, error.executed], ["unavailable", "no"]);
  assertEquals(error.message, 'Cannot call instance "z" of service "t.Store": it is not known');
  assertEquals(new Call({ procedure: "a/b", kind: "unary", instance: "x" }).with({}).instance, "x");
});
