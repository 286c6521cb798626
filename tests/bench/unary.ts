/** Small unary calls, `{ name }` → `{ msg }` in JSON, on one connection, beside the bare floor. */
import { columnsOf, type Contender, contest } from "./contest.ts";
import { callFloor, serveFloor } from "./floor_roles.ts";
import { callGreeter, serveGreeter } from "./greeter.ts";
import type { Section } from "./section.ts";

/** Small unary calls, beside the bare floor. */
export const unarySection: Section = {
  name: "unary",
  roles: {
    "serve erpc": () => serveGreeter(),
    "call erpc": (endpoint) => callGreeter({ endpoints: [endpoint] }),
    "serve floor": serveFloor,
    "call floor": (port) => callFloor(port),
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
