/** What a small unary call allocates, on both sides. The young generation is so large that nothing is collected meanwhile. */
import process from "node:process";
import { Client, Server } from "../../mod.ts";
import { answerQuestions, type Child } from "./child.ts";
import { FloorClient, FloorServer } from "./floor.ts";
import { Greeter, REQUEST } from "./greeter.ts";
import { median } from "./load.ts";
import type { Section } from "./section.ts";

const IN_FLIGHT = 64;
const CALLS = 100_000;
const WARMUP_CALLS = 50_000;

const heapUsed = () => process.memoryUsage().heapUsed;

async function callMany(call: () => Promise<unknown>, calls: number): Promise<void> {
  let left = calls;
  const lane = async () => {
    while (left-- > 0) await call();
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
}

async function callAndCount(call: () => Promise<unknown>): Promise<void> {
  await answerQuestions("ready", async (calls) => {
    const before = heapUsed();
    await callMany(call, calls as number);
    return heapUsed() - before;
  });
}

/** Each question is answered by what the heap has grown to. */
async function serveAndTell(hello: string): Promise<void> {
  await answerQuestions(hello, heapUsed);
}

/** What calls allocate. */
export const allocationSection: Section = {
  name: "allocation",
  v8Flags: ["--min-semi-space-size=1024", "--max-semi-space-size=1024"],
  roles: {
    async "serve erpc"() {
      await using server = new Server();
      server.handle(Greeter, { hello: ({ name }) => ({ msg: `hello ${name}` }) });
      await server.listen("tcp://127.0.0.1:0");
      await serveAndTell(server.endpoint);
    },
    async "call erpc"(endpoint) {
      await using client = new Client({ endpoints: [endpoint] });
      const greeter = client.service(Greeter);
      await callAndCount(() => greeter.hello(REQUEST));
    },
    async "serve floor"() {
      const server = new FloorServer((request) => ({ msg: `hello ${(request as { name: string }).name}` }));
      await serveAndTell(String(server.port));
      server.close();
    },
    async "call floor"(port) {
      const client = await FloorClient.connect(Number(port));
      await callAndCount(() => client.call(REQUEST));
      await client.close();
    },
  },
  async run({ rounds }, start) {
    const rows = [];
    for (const system of ["erpc", "floor"]) {
      await using stack = new AsyncDisposableStack();
      const server: Child = stack.use(await start(`serve ${system}`));
      const client: Child = stack.use(await start(`call ${system}`, server.hello as string));
      await client.ask(WARMUP_CALLS);
      const found: { client: number; server: number }[] = [];
      for (let round = 0; round < Math.min(rounds, 3); round++) {
        const before = await server.ask("heap") as number;
        const grown = await client.ask(CALLS) as number;
        found.push({ client: grown / CALLS, server: (await server.ask("heap") as number - before) / CALLS });
      }
      const ofClient = median(found.map((each) => each.client));
      const ofServer = median(found.map((each) => each.server));
      rows.push({ system, clientBytes: ofClient, serverBytes: ofServer, bytes: ofClient + ofServer });
    }
    return {
      title: `Bytes allocated per unary call, ${IN_FLIGHT} in flight, over ${CALLS.toLocaleString("en")} calls`,
      columns: [
        { key: "system", title: "system" },
        { key: "clientBytes", title: "client" },
        { key: "serverBytes", title: "server" },
        { key: "bytes", title: "both" },
      ],
      rows,
    };
  },
};
