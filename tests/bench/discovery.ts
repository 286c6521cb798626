/**
 * Calls that find three servers through a center, by each balancer, beside one server that is dialled directly. What three
 * processes cost that take turns on the same cores is seen from the bare floor, with one server and with three.
 */
import {
  type Balancer,
  byZone,
  Center,
  consistentHash,
  firstAvailable,
  leastLoaded,
  random,
  roundRobin,
} from "../../mod.ts";
import { columnsOf, type Contender, contest, serveAway } from "./contest.ts";
import { callFloor, serveFloor } from "./floor_roles.ts";
import { callGreeter, serveGreeter } from "./greeter.ts";
import type { Section } from "./section.ts";

const balancers: Readonly<Record<string, () => Balancer>> = {
  random,
  roundRobin,
  leastLoaded,
  consistentHash,
  firstAvailable,
  "byZone(roundRobin)": () => byZone(roundRobin()),
};

async function serveCenter(): Promise<void> {
  await using center = new Center();
  await center.listen("tcp://127.0.0.1:0");
  await serveAway(center.endpoint, () => 0);
}

/** Calls through a center. */
export const discoverySection: Section = {
  name: "discovery",
  roles: {
    center: serveCenter,
    serve: (center) => serveGreeter(center === undefined ? {} : { center }),
    "call directly": (endpoint) => callGreeter({ endpoints: [endpoint] }),
    call: (center, balancer) =>
      callGreeter(
        { center, balancer: balancers[balancer]() },
        balancer === "consistentHash" ? { hashKey: "user-7" } : undefined,
      ),
    "serve floor": serveFloor,
    "call floor": callFloor,
  },
  async run(options, start) {
    await using stack = new AsyncDisposableStack();
    const center = stack.use(await start("center")).hello as string;
    const servers = [];
    for (let n = 0; n < 3; n++) servers.push(stack.use(await start("serve", center)));
    const direct = servers[0].hello as string;
    const contenders: Contender[] = [
      { system: "direct", client: stack.use(await start("call directly", direct)), servers: servers.slice(0, 1) },
    ];
    for (const system of Object.keys(balancers)) {
      contenders.push({ system, client: stack.use(await start("call", center, system)), servers });
    }
    const floors = [];
    for (let n = 0; n < 3; n++) floors.push(stack.use(await start("serve floor")));
    for (const count of [1, 3]) {
      const some = floors.slice(0, count);
      const ports = some.map(({ hello }) => hello as string);
      const client = stack.use(await start("call floor", ...ports));
      contenders.push({ system: count === 1 ? "floor" : `floor, ${count} in turn`, client, servers: some });
    }
    return {
      title: "Unary calls through a center with 3 servers, by balancer",
      columns: columnsOf("calls", "direct"),
      rows: await contest(contenders, { inFlight: [64, 192], yardstick: "direct" }, options),
    };
  },
};
