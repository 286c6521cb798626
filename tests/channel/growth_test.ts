/** More than one connection with an instance, when calls find no place, in virtual time. */
import { assertEquals, assertGreater, assertLess, assertRejects } from "@std/assert";
import { bytes, Client, RpcError, Server, serverStream, service, unary } from "@erpc/erpc";
import type { ByteConnection } from "../../src/transport/byte_connection.ts";
import { systemTransport } from "../../src/transport/transport.ts";
import { type Fleet, fleetTest } from "../cluster/fleet.ts";

const Hold = service("t.Hold", {
  stream: serverStream<number, number>(),
  until: unary<number, number>(),
  swallow: unary<Uint8Array, Uint8Array>({ codec: bytes() }),
});

/** One server that lets four calls run on a connection, and a client of it. */
async function scene(fleet: Fleet, options: Parameters<Fleet["client"]>[0] = {}) {
  const release: (() => void)[] = [];
  const server = await fleet.server("s0", { limits: { maxStreams: 4 } });
  server.handle(Hold, {
    async *stream(n) {
      yield n;
      await new Promise<void>((resolve) => release.push(resolve));
    },
    async until(n) {
      await new Promise<void>((resolve) => release.push(resolve));
      return n;
    },
    swallow: () => new Uint8Array(1),
  });
  const client = await fleet.client({ retry: false, ...options });
  const connections = () => client.stats().services[0].instances[0].connections;
  return { server, client, hold: client.service(Hold), release, connections };
}

type Scene = Awaited<ReturnType<typeof scene>>;

/** Opens so many streams, which go on until they are released. */
async function openStreams({ hold }: Scene, count: number) {
  const streams = Array.from({ length: count }, (_, n) => hold.stream(n));
  await Promise.all(streams.map((stream) => stream.next()));
  return streams;
}

const drainAll = (streams: Awaited<ReturnType<typeof openStreams>>) =>
  Promise.all(streams.map(async (stream) => {
    for await (const _ of stream) continue;
  }));

fleetTest("streams take all places of a connection, a call gets another one beside it", async (fleet) => {
  const it = await scene(fleet);
  const streams = await openStreams(it, 4);
  assertEquals(it.connections(), 1);
  assertEquals(await it.client.call("t.work"), "s0");
  assertEquals(it.connections(), 2);
  assertEquals(await it.client.call("t.work"), "s0");
  assertEquals(it.connections(), 2);
  it.release.forEach((end) => end());
  await drainAll(streams);
});

fleetTest("calls find no place on four connections, they wait until one is free on any", async (fleet) => {
  const it = await scene(fleet);
  const streams = await openStreams(it, 16);
  assertEquals(it.connections(), 4);
  const answered: number[] = [];
  const calls = [17, 18, 19].map((n) => it.hold.until(n).then((n) => answered.push(n)));
  await fleet.world.sleep(5_000);
  assertEquals([it.connections(), it.release.length], [4, 16]);
  // A place on each of the four connections in turn, the last first.
  for (const [at, n] of [[15, 17], [9, 18], [0, 19]]) {
    it.release[at]();
    await fleet.world.sleep(50);
    assertEquals(it.release.length, n, `the call ${n} has begun`);
  }
  it.release.forEach((end) => end());
  await Promise.all(calls);
  assertEquals(answered.sort(), [17, 18, 19]);
  await drainAll(streams);
});

fleetTest("connections beside the first are closed when they are idle, and the first stays", async (fleet) => {
  const it = await scene(fleet);
  const streams = await openStreams(it, 10);
  assertEquals(it.connections(), 3);
  await fleet.world.sleep(60_000);
  assertEquals(it.connections(), 3, "they are in use");
  it.release.forEach((end) => end());
  await drainAll(streams);
  await fleet.load(it.client, 20, 30_000);
  assertEquals(it.connections(), 1);
  assertEquals(it.client.stats().counters.connectionsOpened, 3);
  const again = await openStreams(it, 5);
  assertEquals(it.connections(), 2);
  it.release.forEach((end) => end());
  await drainAll(again);
});

for (const fault of [{ refusals: 1 }, { lostDials: 1 }]) {
  fleetTest(
    `another connection can't be opened (${Object.keys(fault)}), calls wait for a place on the first`,
    async (fleet) => {
      const it = await scene(fleet);
      const streams = await openStreams(it, 4);
      fleet.world.network.setLink("client", "s0", fault);
      const calls = [1, 2].map((n) => it.hold.until(n, { timeoutMs: 60_000 }));
      await fleet.world.sleep(10_000);
      assertEquals([it.connections(), it.release.length], [1, 4]);
      it.release.forEach((end) => end());
      await fleet.world.sleep(10);
      assertEquals([it.connections(), it.release.length], [1, 6]);
      it.release.forEach((end) => end());
      assertEquals(await Promise.all(calls), [1, 2]);
      await drainAll(streams);
      assertEquals(it.client.stats().services[0].instances[0].state, "ready");

      fleet.world.network.setLink("client", "s0", { refusals: 0, lostDials: 0 });
      await fleet.world.sleep(30_000);
      const again = await openStreams(it, 5);
      assertEquals(it.connections(), 2, "it is tried again");
      it.release.forEach((end) => end());
      await drainAll(again);
    },
  );
}

fleetTest("a call that waits for a place ends by its deadline or its signal, once", async (fleet) => {
  const it = await scene(fleet, { limits: { maxConnectionsPerInstance: 1 } });
  const streams = await openStreams(it, 4);
  const cancel = new AbortController();
  const late = assertRejects(() => it.hold.until(1, { timeoutMs: 1_000 }), RpcError, "deadline");
  const cancelled = assertRejects(() => it.hold.until(2, { signal: cancel.signal }), RpcError, "cancelled");
  await fleet.world.sleep(100);
  cancel.abort();
  assertEquals([(await late).executed, (await cancelled).executed], ["no", "no"]);
  assertEquals(it.connections(), 1);
  it.release.forEach((end) => end());
  await drainAll(streams);
  assertEquals(it.client.stats().services[0].instances[0].inFlight, 0);
});

fleetTest("a call that moves to a new connection keeps its deadline and its signal", async (fleet) => {
  const it = await scene(fleet);
  const streams = await openStreams(it, 4);
  const cancel = new AbortController();
  const late = assertRejects(() => it.hold.until(1, { timeoutMs: 1_000 }), RpcError, "deadline");
  const cancelled = assertRejects(() => it.hold.until(2, { signal: cancel.signal }), RpcError, "cancelled");
  await fleet.world.sleep(100);
  assertEquals([it.connections(), it.release.length], [2, 6]);
  cancel.abort();
  assertEquals([(await late).executed, (await cancelled).executed], ["maybe", "maybe"]);
  it.release.forEach((end) => end());
  await drainAll(streams);
  assertEquals(it.client.stats().services[0].instances[0].inFlight, 0);
});

fleetTest("too much waits to be sent on a connection, a call takes another", async (fleet) => {
  const it = await scene(fleet, { limits: { sendBufferBytes: 64 * 1024 } });
  await it.client.call("t.work");
  fleet.world.network.setLink("client", "s0", { capacityBytes: 16 * 1024, latencyMs: 100 });
  const large = it.hold.swallow(new Uint8Array(1_000_000), { timeoutMs: 60_000 });
  await fleet.world.sleep(10);
  const from = fleet.world.now;
  assertEquals(await it.client.call("t.work"), "s0");
  assertEquals(it.connections(), 2);
  assertLess(fleet.world.now - from, 1_000);
  await large;
  assertGreater(fleet.world.now - from, 2_000);
});

Deno.test("the first connection is lost, calls go on on the one beside it, and nothing is dialled for them", async () => {
  const sockets: ByteConnection[] = [];
  const transport: typeof systemTransport = {
    ...systemTransport,
    async connect(...to) {
      const socket = await systemTransport.connect(...to);
      sockets.push(socket);
      return socket;
    },
  };
  await using server = new Server({ limits: { maxStreams: 1 } });
  server.handle(service("t.Hold", { stream: Hold.methods.stream }), {
    async *stream(n, { signal }) {
      yield n;
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    },
  });
  server.handle("t.work", () => "done");
  await server.listen("memory://growth");
  await using client = new Client({ endpoints: [server.endpoint], transport, retry: false });
  const stream = client.service(Hold).stream(1);
  await stream.next();
  assertEquals(await client.call("t.work"), "done");
  assertEquals(sockets.length, 2);
  sockets[0].close();
  await assertRejects(() => stream.next(), RpcError, "Lost the connection");
  assertEquals(await client.call("t.work"), "done");
  // The services of one instance share its connections.
  const { state, connections } = client.stats().services[0].instances[0];
  assertEquals([sockets.length, state, connections], [2, "ready", 1]);
});

fleetTest("a server drains, all connections with it are let go", async (fleet) => {
  const it = await scene(fleet);
  const streams = await openStreams(it, 5);
  it.release.forEach((end) => end());
  await drainAll(streams);
  await it.server.drain({ graceMs: 1_000 });
  await fleet.world.sleep(10);
  assertEquals([it.connections(), it.client.stats().services[0].instances[0].state], [0, "idle"]);
});

fleetTest(
  "a connection without calls is closed after half an hour, and opened again for the next call",
  async (fleet) => {
    const it = await scene(fleet);
    await it.client.call("t.work");
    await fleet.world.sleep(29 * 60_000);
    assertEquals(it.connections(), 1);
    await fleet.world.sleep(2 * 60_000);
    assertEquals([it.connections(), it.client.stats().services[0].instances[0].state], [0, "idle"]);
    assertEquals(await it.client.call("t.work"), "s0");
    assertEquals(it.client.stats().counters.connectionsOpened, 2);
    assertEquals(it.client.stats().counters.timeouts, 0);
  },
);
