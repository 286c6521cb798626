/** What connections and streams cost a server while nothing happens on them. */
import process from "node:process";
import { bidi, Client, Server, service } from "../../mod.ts";
import { answerQuestions } from "./child.ts";
import type { Row, Section } from "./section.ts";

const Waiting = service("bench.Waiting", { wait: bidi<number, number>() });
/** As many as one process may have files open, with room for its own. */
const CONNECTIONS = 10_000;
const STREAMS = 100_000;
const QUICK_SHARE = 0.02;
const BATCH = 250;

interface Memory {
  readonly rss: number;
  readonly heap: number;
}

function memory(): Memory {
  (globalThis as { gc?: () => void }).gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { rss, heap: heapUsed + external };
}

async function serveErpc(): Promise<void> {
  await using server = new Server({
    limits: { maxStreams: STREAMS + 10, maxConnections: CONNECTIONS + 10, maxHandshakes: BATCH + 10 },
  });
  server.handle(Waiting, {
    async *wait(numbers) {
      yield 0;
      for await (const _ of numbers);
    },
  });
  await server.listen("tcp://127.0.0.1:0");
  await answerQuestions(server.endpoint, memory);
}

/** A socket with a buffer that waits to be filled. */
async function serveFloor(): Promise<void> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const conns: Deno.TcpConn[] = [];
  void (async () => {
    for await (const conn of listener) {
      conns.push(conn);
      void conn.read(new Uint8Array(4_096)).catch(() => null);
    }
  })();
  await answerQuestions(`tcp://127.0.0.1:${(listener.addr as Deno.NetAddr).port}`, memory);
  listener.close();
  for (const conn of conns) conn.close();
}

async function holdConnections(endpoint: string): Promise<void> {
  await using stack = new AsyncDisposableStack();
  await answerQuestions("ready", async (count) => {
    for (let made = 0; made < (count as number); made += BATCH) {
      await Promise.all(Array.from({ length: Math.min(BATCH, count as number - made) }, async () => {
        const client = stack.use(new Client({ endpoints: [endpoint] }));
        await client.call("erpc.Health/check", {});
      }));
    }
    return memory();
  });
}

async function holdSockets(endpoint: string): Promise<void> {
  const conns: Deno.TcpConn[] = [];
  const port = Number(endpoint.split(":").at(-1));
  await answerQuestions("ready", async (count) => {
    for (let made = 0; made < (count as number); made++) {
      conns.push(await Deno.connect({ hostname: "127.0.0.1", port }));
    }
    return memory();
  });
  for (const conn of conns) conn.close();
}

async function holdStreams(endpoint: string): Promise<void> {
  await using client = new Client({ endpoints: [endpoint] });
  const { wait } = client.service(Waiting);
  const stop = Promise.withResolvers<void>();
  const open: AsyncIterableIterator<number>[] = [];
  const silence: AsyncIterable<number> = {
    [Symbol.asyncIterator]: () => ({ next: () => stop.promise.then(() => ({ done: true, value: undefined })) }),
  };
  await answerQuestions("ready", async (count) => {
    for (let made = 0; made < (count as number); made += BATCH) {
      const streams = Array.from({ length: Math.min(BATCH, count as number - made) }, () => wait(silence));
      await Promise.all(streams.map((stream) => stream.next()));
      open.push(...streams);
    }
    return memory();
  });
  stop.resolve();
}

/** What connections and streams cost while they are idle. */
export const idleSection: Section = {
  name: "idle",
  v8Flags: ["--expose-gc"],
  roles: {
    "serve erpc": serveErpc,
    "serve floor": serveFloor,
    "hold connections": holdConnections,
    "hold sockets": holdSockets,
    "hold streams": holdStreams,
  },
  async run({ ms }, start) {
    const share = ms < 1_000 ? QUICK_SHARE : 1;
    const rows: Row[] = [];
    for (
      const [what, server, client, count] of [
        ["connection", "serve erpc", "hold connections", CONNECTIONS * share],
        ["connection, bare", "serve floor", "hold sockets", CONNECTIONS * share],
        ["bidi stream on one connection", "serve erpc", "hold streams", STREAMS * share],
      ] as const
    ) {
      await using stack = new AsyncDisposableStack();
      const far = stack.use(await start(server));
      const near = stack.use(await start(client, far.hello as string));
      // Whatever is made once is there before it counts.
      const first = await near.ask(BATCH) as Memory;
      const before = await far.ask("memory") as Memory;
      const last = await near.ask(count) as Memory;
      const after = await far.ask("memory") as Memory;
      rows.push({
        what,
        count: count + BATCH,
        serverRss: (after.rss - before.rss) / count,
        serverHeap: (after.heap - before.heap) / count,
        clientRss: (last.rss - first.rss) / count,
      });
    }
    return {
      title: "Idle: what each costs, in bytes",
      columns: [
        { key: "what", title: "what" },
        { key: "count", title: "held" },
        { key: "serverRss", title: "server, RSS" },
        { key: "serverHeap", title: "server, heap" },
        { key: "clientRss", title: "client, RSS" },
      ],
      rows,
    };
  },
};
