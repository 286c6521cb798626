/** An instance with several addresses: they are dialled best first, each with a head start over the next. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Client, MemoryRegistry, RpcError, Server } from "@erpc/erpc";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";
import type { ByteConnection } from "../../src/transport/byte_connection.ts";
import { systemTransport, type Transport } from "../../src/transport/transport.ts";
import { instanceOf } from "../registry/instances.ts";

const DEAD = "memory://dial-dead";
const LIVE = "memory://dial-live";
const REFUSED = "memory://dial-refused";

interface Dialled {
  readonly endpoint: string;
  readonly atMs: number;
  gaveUp: boolean;
  /** Lets a connection to the dead endpoint come about after all. */
  answer(connection: ByteConnection): void;
}

/**
 * A client of one instance with these endpoints, where DEAD takes no notice of whoever dials it.
 * @param stubborn whether dialling can't be aborted, as with TLS
 */
async function scene(endpoints: string[], stubborn = false) {
  const platform = virtualPlatform(1);
  const { clock } = platform;
  const dialled: Dialled[] = [];
  const transport: Transport = {
    ...systemTransport,
    connect(endpoint, options = {}) {
      const { promise, resolve, reject } = Promise.withResolvers<ByteConnection>();
      const entry: Dialled = { endpoint, atMs: clock.now(), gaveUp: false, answer: resolve };
      dialled.push(entry);
      options.signal?.addEventListener("abort", () => {
        entry.gaveUp = true;
        if (!stubborn) reject(options.signal!.reason);
      });
      if (endpoint !== DEAD) systemTransport.connect(endpoint, options).then(resolve, reject);
      return promise;
    },
  };
  const registry = new MemoryRegistry({ platform });
  await registry.register(instanceOf("a", { endpoints, services: ["who"] }), { ttlMs: 3_600_000 });
  const server = new Server({ platform });
  server.handle("who.am", () => "a");
  await server.listen(LIVE);
  const client = new Client({ platform, registry, transport });
  return {
    clock,
    dialled,
    server,
    client,
    async [Symbol.asyncDispose]() {
      await client.close();
      await server.close();
      await registry.close();
      assertEquals(clock.timerCount, 0);
    },
  };
}

Deno.test("X32 the first address is dead, the second is dialled 250 ms later, and the call is answered within 300 ms", async () => {
  await using s = await scene([DEAD, LIVE]);
  let answeredAt = Infinity;
  const call = s.client.call("who.am").then((name) => {
    answeredAt = s.clock.now();
    return name;
  });
  await s.clock.advance(300);
  assertEquals(await call, "a");
  assert(answeredAt <= 300, `${answeredAt}`);
  assertEquals(s.dialled.map(({ endpoint }) => endpoint), [DEAD, LIVE]);
  assert(s.dialled[1].atMs >= 250);
  assert(s.dialled[0].gaveUp);
});

Deno.test("X32 the first address is refused, the second is dialled at once", async () => {
  await using s = await scene([REFUSED, LIVE]);
  assertEquals(await s.client.call("who.am"), "a");
  assertEquals(s.dialled.map(({ endpoint, atMs }) => [endpoint, atMs]), [[REFUSED, 0], [LIVE, 0]]);
});

Deno.test("the first address answers, no other is dialled", async () => {
  await using s = await scene([LIVE, DEAD]);
  assertEquals(await s.client.call("who.am"), "a");
  await s.clock.advance(10_000);
  assertEquals(s.dialled.map(({ endpoint }) => endpoint), [LIVE]);
});

Deno.test("X32 the first address answers after the second, its connection is closed again", async () => {
  await using s = await scene([DEAD, LIVE], true);
  const call = s.client.call("who.am");
  await s.clock.advance(300);
  assertEquals(await call, "a");
  let closed = false;
  const never = () => new Promise<never>(() => {});
  const close = () => void (closed = true);
  s.dialled[0].answer({ local: "", remote: "", read: never, write: never, closeWrite: never, close });
  await s.clock.advance(0);
  assertEquals(s.server.stats().connections, 1);
  assert(closed);
});

Deno.test("all addresses fail, the error names each of them", async () => {
  await using s = await scene([REFUSED, "memory://dial-refused-2"]);
  const error = await assertRejects(() => s.client.call("who.am", {}, { retry: false }), RpcError);
  assertEquals([error.code, error.executed], ["unavailable", "no"]);
  assert(/memory:\/\/dial-refused: .*memory:\/\/dial-refused-2: /.test(error.message), error.message);
});

Deno.test("all addresses are dead, dialling ends after limits.connectMs, and with the client", async () => {
  for (const ends of ["late", "closed"]) {
    await using s = await scene([DEAD, DEAD, DEAD]);
    const call = s.client.call("who.am", {}, { retry: false }).catch((error) => error);
    await s.clock.advance(4_900);
    assertEquals(s.dialled.map(({ gaveUp }) => gaveUp), [false, false, false]);
    if (ends === "late") await s.clock.advance(200);
    else await s.client.close();
    assertEquals((await call).code, "unavailable");
    assertEquals(s.dialled.map(({ gaveUp }) => gaveUp), [true, true, true]);
  }
});

Deno.test("X32 the name localhost, served on one of its addresses, is reached over sockets", async () => {
  await using server = new Server();
  server.handle("who.am", () => "a");
  await server.listen("tcp://127.0.0.1:0");
  await using client = new Client({ endpoints: [server.endpoint.replace("127.0.0.1", "localhost")] });
  assertEquals(await client.call("who.am"), "a");
});
