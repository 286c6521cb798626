/** Calls that find three servers through a center, by each balancer, beside one server that is dialled directly. */
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
    return {
      title: "Unary calls through a center with 3 servers, by balancer",
      columns: columnsOf("calls", "direct"),
      rows: await contest(contenders, { inFlight: [64], yardstick: "direct" }, options),
    };
  },
};
