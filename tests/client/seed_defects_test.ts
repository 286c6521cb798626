/** What went wrong in the frameworks that this one grew out of: each a named test. Others are beside what they are about. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Center, Client, consistentHash, random, roundRobin, RpcError, Server } from "@erpc/erpc";
import { Simulation } from "@erpc/erpc/testing";
import { ANYBODY } from "../support/anybody.ts";
import { until } from "../support/until.ts";
import { Words, words } from "../support/words.ts";

const HOUR_MS = 3_600_000;
const YEAR_MS = 365 * 24 * HOUR_MS;

Deno.test("X18 seed defect: sender's clock compared with the center's: clocks that are wrong, or jump, expire nobody", async () => {
  const simulation = new Simulation({ seed: 18 });
  await simulation.run(async () => {
    const center = await simulation.node("center").start(async ({ platform, transport }) => {
      const center = new Center({ platform, transport, tokens: ANYBODY });
      await center.listen("tcp://center:7700");
      return center;
    });
    const jumps = [0, HOUR_MS, -HOUR_MS, 10 * YEAR_MS, -10 * YEAR_MS];
    for (const [i, ms] of jumps.entries()) {
      const node = simulation.node(`server${i}`);
      await node.start(async ({ platform, transport }) => {
        const server = new Server({ id: `server${i}`, platform, transport, center: "tcp://center:7700" });
        server.handle("who.am", () => i);
        // Before it has registered for the first time.
        node.jumpWallClock(ms);
        await server.listen(`tcp://server${i}:4000`);
        return server;
      });
    }
    const client = await simulation.node("client").start(({ platform, transport }) =>
      new Client({ platform, transport, center: "tcp://center:7700" })
    );
    const removed: string[] = [];
    const watch = center.registry.watch("who")[Symbol.asyncIterator]();
    const watching = (async () => {
      for (let event = await watch.next(); !event.done; event = await watch.next()) {
        if (event.value.kind === "changes") {
          for (const change of event.value.changes) if (change.kind === "removed") removed.push(change.instanceId);
        }
      }
    })();
    for (const [i, ms] of [...jumps, ...jumps].entries()) {
      for (const node of simulation.nodes) node.jumpWallClock(node.name === "center" ? -ms : i % 2 ? ms : -ms);
      await simulation.sleep(10_000);
      const answers = await Promise.all(jumps.map(() => client.call("who.am", {}, { timeoutMs: 1_000 })));
      assertEquals(answers.sort(), [0, 1, 2, 3, 4]);
    }
    assertEquals(removed, []);
    await watch.return?.();
    await watching;
    await simulation.stop();
  });
});

for (const balancer of [roundRobin(), random(), consistentHash()]) {
  Deno.test(`seed defect: an empty list panics: ${balancer.name} with nobody to choose from is an error of the call, and the client lives on`, async () => {
    await using center = new Center();
    await center.listen("tcp://127.0.0.1:0");
    await using client = new Client({ center: center.endpoint, balancer });
    const ask = () => client.call("who.am", {}, { hashKey: "a" });
    for (let i = 0; i < 3; i++) {
      const error = await assertRejects(ask, RpcError, "no instance of it is registered");
      assertEquals([error.code, error.executed], ["unavailable", "no"]);
    }
    const server = new Server({ center: center.endpoint });
    server.handle("who.am", () => "a");
    await server.listen();
    await until(() => client.stats().services[0].instances.length === 1);
    assertEquals(await ask(), "a");
    await server.drain();
    await until(() => client.stats().services[0].instances.length === 0);
    await assertRejects(ask, RpcError, "no instance of it is registered");
  });
}

async function pair(): Promise<{ server: Server; client: Client } & AsyncDisposable> {
  // On a machine that is busy it would refuse what would have to wait for more than half of its time.
  const server = new Server({ admission: false });
  await server.listen();
  const client = new Client({ endpoints: [server.endpoint], retry: false });
  return {
    server,
    client,
    async [Symbol.asyncDispose]() {
      await client.close();
      await server.close();
    },
  };
}

Deno.test("seed defect: an unknown procedure leaves the caller waiting: it is answered at once, and the connection goes on", async () => {
  await using it = await pair();
  it.server.handle("known.one", () => 1);
  for (const procedure of ["known.other", "unknown.one", "a.b.c.d"]) {
    const error = await assertRejects(() => it.client.call(procedure, {}, { timeoutMs: 3_600_000 }), RpcError);
    assertEquals([error.code, error.executed], ["unimplemented", "no"]);
    const stream = it.client.stream(procedure, {});
    assertEquals((await assertRejects(() => stream.next(), RpcError)).code, "unimplemented");
  }
  assertEquals(await it.client.call("known.one"), 1);
  assertEquals(it.client.stats().counters.connectionsOpened, 1);
});

Deno.test("seed defect: a time-out leaks: a thousand of them leave no handler, no call and no timer behind", async () => {
  await using it = await pair();
  let [begun, aborted] = [0, 0];
  it.server.handle("slow.one", async (_, ctx) => {
    begun++;
    await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve));
    aborted++;
  });
  it.server.handle("quick.one", () => 1);
  for (let round = 0; round < 5; round++) {
    const calls = Array.from({ length: 200 }, () => it.client.call("slow.one", {}, { timeoutMs: 20 }));
    for (const outcome of await Promise.allSettled(calls)) {
      assertEquals(outcome.status === "rejected" && outcome.reason.code, "deadline_exceeded");
    }
  }
  await until(() => aborted === begun && it.server.stats().handlers === 0);
  assert(begun > 200, `only ${begun} handlers began`);
  const [instance] = it.client.stats().services[0].instances;
  assertEquals(instance.inFlight, 0);
  assertEquals(await it.client.call("quick.one"), 1);
  assertEquals(it.client.stats().counters.connectionsOpened, 1);
});

Deno.test("seed defect: a handler's failure ends the process: whatever it throws, and however, the caller is told and the next is answered", async () => {
  await using it = await pair();
  const thrown: unknown[] = [new Error("secret"), "a text", undefined, null, 0, {}, Object.create(null), () => 1];
  it.server.handle("fails.now", ({ n }) => {
    throw thrown[n];
  });
  it.server.handle("fails.later", async ({ n }) => {
    await Promise.resolve();
    throw thrown[n];
  });
  const unspeakable = {
    toJSON() {
      throw new Error("secret");
    },
  };
  it.server.handle("fails.reply", () => unspeakable);
  const cases = ["fails.now", "fails.later"].flatMap((name) => thrown.map((_, n) => [name, n] as const));
  for (const [name, n] of [...cases, ["fails.reply", 0]] as const) {
    const error = await assertRejects(() => it.client.call(name, { n }), RpcError);
    assertEquals(error.code, "internal", `${name} ${n}`);
    assert(!JSON.stringify([error.message, error.details]).includes("secret"), error.message);
  }
  it.server.handle("works.still", () => "yes");
  assertEquals(await it.client.call("works.still"), "yes");
  assertEquals(it.client.stats().counters.connectionsOpened, 1);
});

Deno.test("seed defect: a cancelled client is polled for ever: its generator ends within a moment, and gives nothing more", async () => {
  await using it = await pair();
  let [given, ended] = [0, 0];
  const { promise: over, resolve } = Promise.withResolvers<void>();
  it.server.handle(Words, {
    ...words,
    async *search() {
      try {
        for (let line = 0;; line++) {
          given++;
          yield { line, text: "x" };
          await new Promise((resolve) => setImmediate(resolve));
        }
      } finally {
        if (++ended === 3) resolve();
      }
    },
  });
  const search = it.client.service(Words).search;
  // Leaving the loop, aborting a signal, and closing the client: each ends a generator of its own.
  for await (const { line } of search({ pattern: "" })) if (line === 3) break;
  const abort = new AbortController();
  const aborted = search({ pattern: "" }, { signal: abort.signal });
  await aborted.next();
  abort.abort();
  await assertRejects(() => Array.fromAsync(aborted), RpcError);
  const closed = search({ pattern: "" });
  await closed.next();
  await it.client.close();
  await over;
  const before = given;
  await until(() => it.server.stats().handlers === 0);
  await new Promise((resolve) => setImmediate(resolve));
  assertEquals([given, ended], [before, 3]);
});
