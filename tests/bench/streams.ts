/** Streams of all kinds with messages of three sizes, and bulk bytes, beside a pump of the same messages. */
import {
  bidi,
  bytes,
  Client,
  clientStream,
  type Codec,
  json,
  Server,
  serverStream,
  service,
  unary,
} from "../../mod.ts";
import { columnsOf, type Contender, contest, measureAway, serveAway } from "./contest.ts";
import type { Measured } from "./load.ts";
import { bytesForm, drain, type Form, jsonForm, pump } from "./pump.ts";
import type { Row, Section } from "./section.ts";

/** A message of each size. */
const messages: Readonly<Record<string, unknown>> = {
  small: { line: 7, text: "TODO" },
  "1 KiB": { line: 7, text: "x".repeat(1_000) },
  "64 KiB": { line: 7, text: "x".repeat(65_500) },
  "64 KiB of bytes": new Uint8Array(65_536).fill(7),
};

const formOf = (size: string): Form => size.endsWith("bytes") ? bytesForm : jsonForm;
const codecOf = (size: string): Codec => size.endsWith("bytes") ? bytes() : json();

function contractOf(size: string) {
  const codec = codecOf(size);
  return service("bench.Streams", {
    unary: unary<unknown, unknown>({ codec }),
    serverStream: serverStream<unknown, unknown>({ codec }),
    clientStream: clientStream<unknown, unknown>({ codec }),
    bidi: bidi<unknown, unknown>({ codec }),
  });
}

type Kind = keyof ReturnType<typeof contractOf>["methods"];

async function serveErpc(size: string): Promise<void> {
  await using server = new Server();
  server.handle(contractOf(size), {
    unary: (message) => message,
    async *serverStream(message) {
      for (;;) yield message;
    },
    async clientStream(all) {
      let last: unknown;
      for await (const message of all) last = message;
      return last;
    },
    async *bidi(all) {
      for await (const message of all) yield message;
    },
  });
  await server.listen("tcp://127.0.0.1:0");
  await serveAway(server.endpoint, () => server.stats().counters.writes);
}

async function callErpc(endpoint: string, size: string, kind: Kind): Promise<void> {
  await using client = new Client({ endpoints: [endpoint] });
  const streams = client.service(contractOf(size));
  const message = messages[size];
  await measureAway(({ ms, inFlight }) =>
    timed(ms, async (over) => {
      let count = 0;
      function* supply() {
        for (; !over(); count++) yield message;
      }
      switch (kind) {
        case "unary":
          await Promise.all(Array.from({ length: inFlight }, async () => {
            for (; !over(); count++) await streams.unary(message);
          }));
          return count;
        case "serverStream":
          for await (const _ of streams.serverStream(message)) {
            count++;
            if (over()) break;
          }
          return count;
        case "clientStream":
          await streams.clientStream(supply());
          return count;
        case "bidi": {
          let answered = 0;
          for await (const _ of streams.bidi(supply())) answered++;
          return answered;
        }
      }
    }), () => client.stats().counters.writes);
}

/** Sends all that it can to whoever connects, or takes all that comes, or gives it back: as the first byte says. */
async function serveFloor(size: string): Promise<void> {
  const form = formOf(size);
  const message = messages[size];
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const conns = new Set<Deno.TcpConn>();
  void (async () => {
    for await (const conn of listener) {
      conns.add(conn);
      conn.setNoDelay();
      const [kind] = await firstByte(conn);
      if (kind === SEND) void pump(conn, form, () => message).catch(() => {});
      else {
        void drain(conn, form, () => true).then(async () => {
          await conn.write(new Uint8Array(1)).catch(() => 0);
        });
      }
    }
  })();
  await serveAway(String((listener.addr as Deno.NetAddr).port), () => 0);
  listener.close();
  for (const conn of conns) conn.close();
}

const SEND = 1;
const TAKE = 2;

async function firstByte(conn: Deno.TcpConn): Promise<Uint8Array> {
  const byte = new Uint8Array(1);
  await conn.read(byte);
  return byte;
}

async function callFloor(port: string, size: string, kind: Kind): Promise<void> {
  const form = formOf(size);
  const message = messages[size];
  await measureAway(({ ms }) =>
    timed(ms, async (over) => {
      using conn = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
      conn.setNoDelay();
      let count = 0;
      if (kind === "serverStream") {
        await conn.write(new Uint8Array([SEND]));
        await drain(conn, form, () => {
          count++;
          return !over();
        });
      } else {
        await conn.write(new Uint8Array([TAKE]));
        await pump(conn, form, () => over() ? undefined : (count++, message));
        await conn.closeWrite();
        await conn.read(new Uint8Array(1));
      }
      return count;
    }), () => 0);
}

/** Runs until the time is over; a clock that is looked at for every message would be measured too. */
async function timed(ms: number, work: (over: () => boolean) => Promise<number>): Promise<Measured> {
  const from = performance.now();
  let left = 0;
  let ended = false;
  const calls = await work(() => {
    if (--left > 0) return ended;
    left = 64;
    return ended ||= performance.now() - from >= ms;
  });
  return { calls, ms: performance.now() - from, p50Us: 0, p99Us: 0 };
}

const COLUMNS = new Set([
  "system",
  "callsPerSecond",
  "minCallsPerSecond",
  "ratio",
  "minRatio",
  "clientCpuUs",
  "serverCpuUs",
]);

/** Streams beside a pump. */
export const streamsSection: Section = {
  name: "streams",
  roles: {
    "serve erpc": serveErpc,
    "call erpc": (endpoint, size, kind) => callErpc(endpoint, size, kind as Kind),
    "serve floor": serveFloor,
    "call floor": (port, size, kind) => callFloor(port, size, kind as Kind),
  },
  async run(options, start) {
    const rows: Row[] = [];
    const kinds: readonly Kind[] = ["unary", "serverStream", "clientStream", "bidi"];
    for (const size of Object.keys(messages)) {
      for (const kind of kinds) {
        await using stack = new AsyncDisposableStack();
        const contenders: Contender[] = [];
        // What goes one way has a pump beside it; what comes back has none that would be fair.
        const systems = kind === "serverStream" || kind === "clientStream" ? ["erpc", "floor"] : ["erpc"];
        for (const system of systems) {
          const server = stack.use(await start(`serve ${system}`, size));
          const client = stack.use(await start(`call ${system}`, server.hello as string, size, kind));
          contenders.push({ system, client, servers: [server] });
        }
        const yardstick = systems.at(-1)!;
        for (const row of await contest(contenders, { inFlight: [64], yardstick }, options)) {
          const bytes = row.callsPerSecond as number * sizeOf(size) / 1e6;
          rows.push({ size, kind, ...row, mbPerSecond: bytes });
        }
      }
    }
    return {
      title: "Messages of all kinds and sizes; unary with 64 in flight, the others on one stream",
      columns: [
        { key: "size", title: "message" },
        { key: "kind", title: "kind" },
        ...columnsOf("messages", "pump").filter(({ key }) => COLUMNS.has(key)),
        { key: "mbPerSecond", title: "MB/s" },
      ],
      rows,
    };
  },
};

function sizeOf(size: string): number {
  const message = messages[size];
  return message instanceof Uint8Array ? message.length : JSON.stringify(message).length;
}
