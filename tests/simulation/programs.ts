/** What runs on the nodes: the same programs that users write, on time, chance and network of the node. */
import {
  type Balancer,
  breaker,
  Center,
  Client,
  type ClientOptions,
  consistentHash,
  type Context,
  firstAvailable,
  type Interceptor,
  leastLoaded,
  type MemoryRegistry,
  random,
  roundRobin,
  Server,
  slowStart,
  subset,
} from "../../mod.ts";
import type { Platform } from "../../src/core/platform.ts";
import type { Logger } from "../../src/core/logger.ts";
import type { NodeContext } from "../../src/testing/simulated.ts";
import { ANYBODY } from "../support/anybody.ts";
import type { Config } from "./config.ts";
import { recordLeases, watchCenter } from "./leasing.ts";
import { watched } from "./watched_balancer.ts";
import type { Recorder } from "./history.ts";
import { type CallerHost, type Op, runNested, runOp } from "./workload/ops.ts";
import { handlersOf, ID, Work } from "./workload/service.ts";

/** What programs are given beside their node. */
export interface Site {
  readonly record: Recorder;
  /** The time that records have. */
  now(): number;
  /** Where nodes say what they have to say. */
  readonly logger: Logger;
}

/** The server on a node, and what others want to know of it. */
export interface ServerNode extends AsyncDisposable {
  readonly server: Server;
  /** Makes the calls of its handlers. */
  readonly host: CallerHost;
}

/** The client on a node. */
export interface ClientNode extends AsyncDisposable {
  readonly host: CallerHost;
}

const BALANCERS: Record<Config["balancer"], () => Balancer> = {
  roundRobin,
  random,
  consistentHash,
  leastLoaded,
  firstAvailable,
  slowStart: () => slowStart(roundRobin(), { windowMs: 2_000 }),
  subset: () => subset(random(), { size: 3 }),
};

/** Where the server of a node listens. */
export function endpointOf(name: string): string {
  return `tcp://${name}:4000`;
}

/** The names of servers, clients and centers. */
export function namesOf(kind: "server" | "client" | "center", count: number): string[] {
  return Array.from({ length: count }, (_, n) => `${kind}${n + 1}`);
}

function centersOf(config: Config): string[] {
  return namesOf("center", config.centers).map((name) => `tcp://${name}:7700`);
}

/** A client as every node has one. */
function clientOf(config: Config, { name, platform, transport }: NodeContext, { record, logger }: Site): Client {
  const where: ClientOptions = config.centers > 0
    ? { center: centersOf(config) }
    : { endpoints: namesOf("server", config.servers).map(endpointOf) };
  const client: Client = new Client({
    ...where,
    id: name,
    platform,
    transport,
    balancer: watched(BALANCERS[config.balancer](), record, () => client.stats()),
    ejection: config.ejection,
    warmUp: config.warmUp,
    retry: config.retry,
    hedge: config.hedge,
    interceptors: guarded(config, platform, record),
    limits: config.limits.client,
    logger,
  });
  return client;
}

/** A circuit breaker, and inside of it one who puts down what it lets through. */
function guarded({ breaker: options }: Config, platform: Platform, record: Recorder): Interceptor[] {
  if (options === undefined) return [];
  const onState = ({ name, state }: { name: string; state: "closed" | "open" | "half_open" }) =>
    record({ what: "breaker", breaker: name, state });
  const watch: Interceptor = (next) => async (call) => {
    const about = {
      id: call.metadata.text(ID) ?? "?",
      breaker: options.per === "service" ? call.service : call.procedure,
    };
    record({ what: "through", ...about });
    try {
      return await next(call);
    } finally {
      record({ what: "back", ...about });
    }
  };
  return [breaker(options, { platform, onState }), watch];
}

/** The program of a server: handlers that may call other servers. */
export function serverProgram(
  config: Config,
  site: Site,
): (context: NodeContext) => Promise<ServerNode> {
  const { record, now, logger } = site;
  return async (context) => {
    const { name, incarnation, platform, transport, sleep } = context;
    const client = clientOf(config, context, site);
    const host: CallerHost = { record, now, client, config, sleep };
    const server = new Server({
      id: name,
      platform,
      transport,
      limits: config.limits.server,
      admission: config.admission,
      logger,
      ...(config.centers > 0 ? { center: centersOf(config), ttlMs: config.ttlMs } : {}),
    });
    let runs = 0;
    server.handle(
      Work,
      handlersOf({
        record,
        sleep,
        connectionOf: namerOfConnections(),
        nextRun: () => `${name}/${incarnation}/${++runs}`,
        callOn: (...args) => runNested(host, ...args),
      }),
    );
    await server.listen(endpointOf(name));
    record({ what: "listens" });
    return {
      server,
      host,
      async [Symbol.asyncDispose]() {
        await client.close();
        await server.close();
      },
    };
  };
}

/** Addresses are used again by later connections; the peer of a connection is its own. */
function namerOfConnections(): (ctx: Context) => string {
  const names = new WeakMap<object, string>();
  let count = 0;
  return ({ peer }) => {
    let name = names.get(peer);
    if (name === undefined) names.set(peer, name = `${peer.endpoint} #${++count}`);
    return name;
  };
}

/** The program of a client: makes its calls, each at its time; those whose time was before this life are not made. */
export function clientProgram(
  config: Config,
  site: Site,
  ops: readonly Op[],
): (context: NodeContext) => ClientNode {
  const { record, now } = site;
  return (context) => {
    const client = clientOf(config, context, site);
    const host: CallerHost = { record, now, client, config, sleep: context.sleep };
    const work = async () => {
      for (const op of ops) {
        if (op.at < now()) continue;
        await context.sleep(op.at - now());
        void runOp(host, op);
      }
    };
    void work();
    const watches = namesOf("center", config.centers).map((center) => watchCenter(config, center, context, record));
    return {
      host,
      async [Symbol.asyncDispose]() {
        await client.close();
        await Promise.all(watches.map((watch) => watch[Symbol.asyncDispose]()));
      },
    };
  };
}

/** The program of a center. */
export function centerProgram({ record, logger }: Site): (context: NodeContext) => Promise<Center> {
  return async ({ name, platform, transport }) => {
    const center = new Center({ platform, transport, id: name, tokens: ANYBODY, logger });
    recordLeases(center.registry as MemoryRegistry, record);
    await center.listen(`tcp://${name}:7700`);
    return center;
  };
}
