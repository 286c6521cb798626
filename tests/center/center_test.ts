/** Center, servers and clients together. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Balancer, Center, Client, consistentHash, random, roundRobin, RpcError, Server } from "@erpc/erpc";
import { Words, words } from "../support/words.ts";

async function startServer(center: string, name: string, port = "0"): Promise<Server> {
  const server = new Server({ center, id: name, ttlMs: 600, beatMs: 100 });
  server.handle(Words, words);
  server.handle("who.am", () => name);
  await server.listen(`tcp://127.0.0.1:${port}`);
  return server;
}

/** Waits until something is so: the event is a change that the client is told of. */
async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  for (let round = 0; round < 2_000; round++) {
    if (await what()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  for (let round = 0; round < 1_500; round++) {
    if (await what()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`It never became so: ${what}`);
}

const listed = (client: Client, service: string) =>
  client.stats().services.find(({ name }) => name === service)?.instances.map(({ id }) => id) ?? [];

Deno.test("a client finds servers through the center, and follows changes", async () => {
  await using center = new Center();
  await center.listen("tcp://127.0.0.1:0");
  const a = await startServer(center.endpoint, "a");
  await using client = new Client({ center: center.endpoint });
  assertEquals(a.registration.state, "registered");
  assertEquals(await client.call("who.am"), "a");
  const b = await startServer(center.endpoint, "b");
  await until(() => listed(client, "who").length === 2);
  assertEquals(new Set([await client.call("who.am"), await client.call("who.am")]), new Set(["a", "b"]));
  await a.close();
  await until(() => listed(client, "who").length === 1);
  assertEquals([await client.call("who.am"), await client.call("who.am")], ["b", "b"]);
  await b.drain();
});

Deno.test("a service that nobody offers is unavailable, and did not run", async () => {
  await using center = new Center();
  await center.listen("tcp://127.0.0.1:0");
  await using client = new Client({ center: center.endpoint });
  const error = await assertRejects(() => client.call("no.one"), RpcError, "no instance");
  assertEquals([error.code, error.executed], ["unavailable", "no"]);
});

Deno.test("waitForReady waits for the first instance", async () => {
  await using center = new Center();
  await center.listen("tcp://127.0.0.1:0");
  await using client = new Client({ center: center.endpoint });
  const waiting = client.call("who.am", {}, { waitForReady: true });
  await until(() => client.stats().services.some(({ watching }) => watching));
  await using _server = await startServer(center.endpoint, "late");
  assertEquals(await waiting, "late");
});

Deno.test("an unreachable center is a clear error for the client, and no obstacle for a server", async () => {
  const gone = new Center();
  await gone.listen("tcp://127.0.0.1:0");
  const { endpoint } = gone;
  await gone.close();
  await using client = new Client({ center: endpoint });
  const error = await assertRejects(() => client.call("who.am"), RpcError, "registry can't be reached");
  assertEquals([error.code, error.executed], ["unavailable", "no"]);
  await using server = await startServer(endpoint, "a");
  assertEquals(server.registration.state, "registering");
  await using direct = new Client({ endpoints: [server.endpoint] });
  assertEquals(await direct.call("who.am"), "a");
});

Deno.test("X6 X7 calls go on without the center; a server finds a new one and registers by itself", async () => {
  const first = new Center();
  await first.listen("tcp://127.0.0.1:0");
  const { endpoint } = first;
  await using server = await startServer(endpoint, "a");
  await using client = new Client({ center: endpoint });
  assertEquals(await client.call("who.am"), "a");
  await first.close();
  await until(() => !client.stats().services[0].watching);
  for (let i = 0; i < 20; i++) assertEquals(await client.call("who.am"), "a");
  await using second = new Center();
  await second.listen(endpoint);
  await until(async () => (await second.registry.lookup("who")).instances.length === 1);
  await until(() => client.stats().services[0].watching);
  assertEquals(await client.call("who.am"), "a");
  assertEquals(server.registration.state, "registered");
});

Deno.test("a center that has forgotten a lease is told again", async () => {
  await using center = new Center();
  await center.listen("tcp://127.0.0.1:0");
  await using server = await startServer(center.endpoint, "a");
  const snapshot = await center.registry.lookup("who");
  const lease = await center.registry.register(snapshot.instances[0]);
  await center.registry.deregister(lease);
  assertEquals((await center.registry.lookup("who")).instances.length, 0);
  await until(async () => (await center.registry.lookup("who")).instances.length === 1);
  await until(() => server.registration.state === "registered");
});

Deno.test("the registered address is one that others can reach", async () => {
  await using center = new Center();
  await center.listen("tcp://127.0.0.1:0");
  await using server = new Server({ center: center.endpoint });
  server.handle("who.am", () => 1);
  await server.listen("tcp://0.0.0.0:0");
  const { instances } = await center.registry.lookup("who");
  assert(/^tcp:\/\/127\.0\.0\.1:[1-9]\d*$/.test(instances[0].endpoints[0]), instances[0].endpoints[0]);
  await using behind = new Server({ center: center.endpoint, advertise: "tcp://gateway.example:900" });
  behind.handle("other.am", () => 1);
  await behind.listen();
  assertEquals((await center.registry.lookup("other")).instances[0].endpoints, ["tcp://gateway.example:900"]);
});

Deno.test("what is handled after listen is registered too", async () => {
  await using center = new Center();
  await center.listen("tcp://127.0.0.1:0");
  await using server = await startServer(center.endpoint, "a");
  server.handle("later.am", () => "later");
  await until(async () => (await center.registry.lookup("later")).instances.length === 1);
});

Deno.test("a connection is shared by all calls and services of a client", async () => {
  await using center = new Center();
  await center.listen("tcp://127.0.0.1:0");
  await using server = await startServer(center.endpoint, "a");
  await using client = new Client({ center: center.endpoint });
  await Promise.all(
    Array.from({ length: 50 }, (_, i) => client.call(i % 2 ? "who.am" : "demo.Words/count", { text: "a" })),
  );
  assertEquals(server.stats().connections, 1);
});

for (const balancer of [random(), roundRobin(), consistentHash()]) {
  Deno.test(`${balancer.name} spreads calls over three servers`, async () => {
    await using center = new Center();
    await center.listen("tcp://127.0.0.1:0");
    await using _a = await startServer(center.endpoint, "a");
    await using _b = await startServer(center.endpoint, "b");
    await using _c = await startServer(center.endpoint, "c");
    await using client = new Client({ center: center.endpoint, balancer });
    const counts = new Map<string, number>();
    for (let i = 0; i < 300; i++) {
      const name = await client.call("who.am", {}, { hashKey: `user-${i}` });
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    assertEquals(counts.size, 3);
    if (balancer.name === "round_robin") assertEquals([...counts.values()], [100, 100, 100]);
    if (balancer.name === "consistent_hash") {
      const twice = [1, 2].map(() => client.call("who.am", {}, { hashKey: "user-7" }));
      const [first, second] = await Promise.all(twice);
      assertEquals(first, second);
    }
  });
}

Deno.test("a balancer of one's own is ten lines; one that picks nonsense is a clear error", async () => {
  await using center = new Center();
  await center.listen("tcp://127.0.0.1:0");
  await using _a = await startServer(center.endpoint, "a");
  await using _b = await startServer(center.endpoint, "b");
  const last: Balancer = { name: "last", build: (candidates) => () => candidates[candidates.length - 1] };
  await using client = new Client({ center: center.endpoint, balancer: last });
  assertEquals([await client.call("who.am"), await client.call("who.am")], ["b", "b"]);
  const bad: [Balancer["build"], string][] = [
    [() => () => undefined, "unavailable"],
    [() => () => ({ endpoint: "tcp://x:1" }) as never, "internal"],
    [() => {
      throw new Error("no");
    }, "internal"],
  ];
  for (const [build, code] of bad) {
    await using client = new Client({ center: center.endpoint, balancer: { name: "bad", build } });
    const error = await assertRejects(() => client.call("who.am"), RpcError, "bad");
    assertEquals([error.code, error.executed], [code, "no"]);
  }
});

Deno.test("a server that is lost without a word disappears after its time to live, and calls go elsewhere at once", async () => {
  await using center = new Center();
  await center.listen("tcp://127.0.0.1:0");
  const script = `
    import { Server } from ${JSON.stringify(new URL("../../mod.ts", import.meta.url).href)};
    const server = new Server({ center: ${JSON.stringify(center.endpoint)}, id: "doomed", ttlMs: 600, beatMs: 100 });
    server.handle("who.am", () => "doomed");
    await server.listen();
    console.log("ready");`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-check", script],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = child.stdout.getReader();
  await reader.read();
  await using _a = await startServer(center.endpoint, "a");
  await using client = new Client({ center: center.endpoint });
  await until(() => listed(client, "who").length === 2 || client.call("who.am").then(() => false));
  child.kill("SIGKILL");
  await child.status;
  await reader.cancel();
  for (let i = 0; i < 10; i++) assertEquals(await client.call("who.am"), "a");
  await until(() => listed(client, "who").length === 1);
});
