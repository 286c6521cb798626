/** The whole table on every way between client and server: in memory, through sockets, and through sockets that crumble. */
import { assertEquals } from "@std/assert";
import { type Call, Client, Reply } from "@erpc/erpc";
import { Connection } from "../../src/connection/connection.ts";
import { greetAsServer } from "../../src/connection/handshake.ts";
import type { Settings } from "../../src/connection/settings.ts";
import { systemTransport } from "../../src/transport/transport.ts";
import { pair } from "../support/certs.ts";
import { Interop, openOn, type Path, paths, trusting } from "../support/interop.ts";
import { interopCases } from "../support/interop_cases.ts";
import { makeSettings } from "../support/settings.ts";
import { collect } from "../support/words.ts";

for (const path of paths) {
  // Slices are a row of their own.
  const row = path.name.includes("slices") ? "X34 " : "";
  for (const { name, run } of interopCases) Deno.test(`${row}${name}, ${path.name}`, () => run(openOn(path)));
}

/** A server that a test plays connection by connection; each answers calls by `respond`. */
async function playServer(
  path: Path,
  respond: (call: Call, connection: Connection, number: number) => Promise<Reply>,
): Promise<{ endpoint: string; connections: Connection[]; settings: Settings } & AsyncDisposable> {
  const listener = await systemTransport.listen(path.listen(), { tls: pair("server") });
  const settings = makeSettings();
  const connections: Connection[] = [];
  const accepting = (async () => {
    for (;;) {
      const socket = await listener.accept().catch(() => undefined);
      if (socket === undefined) return;
      const number = connections.length;
      const own: Settings = {
        ...settings,
        respond: (arrival) => respond(arrival.toCall(), connections[number], number),
      };
      connections.push(new Connection(await greetAsServer(socket, own, undefined), own));
    }
  })();
  const way = await path.through(listener.endpoint);
  return {
    endpoint: way.endpoint,
    connections,
    settings,
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      for (const connection of connections) await connection.close();
      await way[Symbol.asyncDispose]();
      settings.timers[Symbol.dispose]();
    },
  };
}

for (const path of paths) {
  Deno.test(`I30 goaway, ${path.name}`, async () => {
    await using server = await playServer(path, (_call, connection, number) => {
      // After the answer, which is written in this turn.
      if (number === 0) void Promise.resolve().then(() => connection.goAway("twice is too much"));
      return Promise.resolve(new Reply({ message: new Uint8Array(314_159) }));
    });
    await using client = new Client({ endpoints: [server.endpoint], tls: trusting });
    const interop = client.service(Interop);
    const request = new Uint8Array(271_828);
    assertEquals((await interop.unary(request)).length, 314_159);
    assertEquals((await interop.unary(request)).length, 314_159);
    assertEquals(server.connections.length, 2);
    assertEquals(client.stats().counters.callsLost, 0);
  });

  Deno.test(`I30 goaway, what was on its way is replayed on a new connection, ${path.name}`, async () => {
    await using server = await playServer(path, (call, connection, number) => {
      // The second call comes with the first, and is refused.
      if (number === 0) connection.goAway("once is enough");
      return Promise.resolve(new Reply({ message: call.message }));
    });
    await using client = new Client({ endpoints: [server.endpoint], tls: trusting });
    const interop = client.service(Interop);
    const replies = await Promise.all([1, 2, 3].map((size) => interop.unary(new Uint8Array(size))));
    assertEquals(replies.map(({ length }) => length), [1, 2, 3]);
    assertEquals([server.connections.length, client.stats().counters.callsSent], [2, 5]);
  });

  Deno.test(`I32 ping, ${path.name}`, async () => {
    let answered = 0;
    await using server = await playServer(path, async (call, connection) => {
      const ping = async () => {
        await connection.ping();
        answered++;
      };
      await ping();
      call.context!.responseMetadata.set("x-first", "1");
      return new Reply({
        messages: (async function* () {
          for (let i = 0; i < 3; i++) {
            await ping();
            yield new Uint8Array(31_415);
            await ping();
          }
        })(),
      });
    });
    await using client = new Client({ endpoints: [server.endpoint], tls: trusting });
    const sizes = (await collect(client.service(Interop).streamOut(new Uint8Array(5)))).map(({ length }) => length);
    assertEquals(sizes, [31_415, 31_415, 31_415]);
    assertEquals([server.settings.counters.pingsSent, answered], [7, 7]);
    assertEquals([client.stats().counters.violations, server.connections.length], [0, 1]);
  });
}
