/** Small unary calls, `{ name }` → `{ msg }` in JSON, on one connection, beside the bare floor. */
import { callAway, columnsOf, type Contender, contest, serveAway } from "./contest.ts";
import { FloorClient, FloorServer } from "./floor.ts";
import { assertGreeting, callGreeter, REQUEST, serveGreeter } from "./greeter.ts";
import type { Section } from "./section.ts";

async function serveFloor(): Promise<void> {
  const server = new FloorServer((request) => ({ msg: `hello ${(request as { name: string }).name}` }));
  await serveAway(String(server.port), () => server.writes);
  server.close();
}

async function callFloor(port: string): Promise<void> {
  const client = await FloorClient.connect(Number(port));
  assertGreeting(await client.call(REQUEST));
  await callAway(() => client.call(REQUEST), () => client.writes);
  await client.close();
}

/** Small unary calls, beside the bare floor. */
export const unarySection: Section = {
  name: "unary",
  roles: {
    "serve erpc": () => serveGreeter(),
    "call erpc": (endpoint) => callGreeter({ endpoints: [endpoint] }),
    "serve floor": serveFloor,
    "call floor": callFloor,
  },
  async run(options, start) {
    await using stack = new AsyncDisposableStack();
    const contenders: Contender[] = [];
    for (const system of ["erpc", "floor"]) {
      const server = stack.use(await start(`serve ${system}`));
      const client = stack.use(await start(`call ${system}`, server.hello as string));
      contenders.push({ system, client, servers: [server] });
    }
    return {
      title: "Unary calls, { name } → { msg } in JSON, on one connection",
      columns: columnsOf("calls", "floor"),
      rows: await contest(contenders, { inFlight: [1, 64, 256], yardstick: "floor" }, options),
    };
  },
};
