/** One run of a seed: faults on, faults off, everything closed; and then what the checkers say. */
import { Simulation } from "../../src/testing/simulation.ts";
import type { SimulatedNode } from "../../src/testing/simulated.ts";
import { Center } from "../../mod.ts";
import { beginOf } from "./begin.ts";
import { check } from "./checkers/mod.ts";
import type { Problem } from "./checkers/checker.ts";
import type { Config } from "./config.ts";
import { calmDown, type Field, strike } from "./faults.ts";
import type { HistoryRecord } from "./history.ts";
import {
  centerProgram,
  type ClientNode,
  clientProgram,
  namesOf,
  type ServerNode,
  serverProgram,
  type Site,
} from "./programs.ts";
import { observe } from "./observing.ts";
import { History } from "./recording.ts";
import { drawOps, leaving, probe, runOp } from "./workload/ops.ts";

/** How late a timer may be: it waits in a wheel of slots of 8 ms. */
const SLACK_MS = 20;
/** How long calls may go on when nothing is in their way: a lost peer is noticed in 20 s, a stall in 30 s, redialling waits 30 s. */
const SETTLE_MS = 120_000;
/** How long it takes until every connection that was lost without a word has been noticed, idle ones included. */
const NOTICED_MS = 70_000;
/** How often clients leave replies unread before the calls that must be answered: often enough to use up a small window. */
const LEAVING_ROUNDS = 10;
/** How long a server may take to end the handler of a call that was left, which has its place until then. */
const LEFT_MS = 200;
/** How long a server may take to notice that its clients are gone. */
const GONE_MS = 30_000;
/** No run takes so much virtual time. */
const LIMIT_MS = 600_000;

/** How a run went. */
export interface Outcome {
  readonly config: Config;
  readonly problems: readonly Problem[];
  /** The same for two runs in which the same happened. */
  readonly hash: string;
  readonly events: number;
  readonly virtualMs: number;
  /** The last lines of the log. */
  readonly log: readonly string[];
  readonly history: readonly HistoryRecord[];
}

/** Runs a config once. It never rejects: what fails is a problem. */
export async function run(config: Config, onLine?: (line: string) => void): Promise<Outcome> {
  const world = new Simulation({ seed: config.seed, link: config.link, onLine });
  const history = new History(world);
  const caught = (event: PromiseRejectionEvent | ErrorEvent) => {
    event.preventDefault();
    const error = "reason" in event ? event.reason : event.error;
    history.world({ what: "uncaught", message: String(error?.stack ?? error) });
  };
  globalThis.addEventListener("unhandledrejection", caught);
  globalThis.addEventListener("error", caught);
  try {
    await world.run(() => live(world, history, config), { limitMs: LIMIT_MS });
  } catch (error) {
    history.world({ what: "stuck", message: String((error as Error)?.stack ?? error) });
  } finally {
    globalThis.removeEventListener("unhandledrejection", caught);
    globalThis.removeEventListener("error", caught);
  }
  const { hash, events, now: virtualMs, log } = world;
  return { config, problems: check(history.records), hash, events, virtualMs, log, history: history.records };
}

async function live(world: Simulation, history: History, config: Config): Promise<void> {
  const now = () => world.now;
  const made = new Map<SimulatedNode, ServerNode | ClientNode | AsyncDisposable>();
  const nodes = (kind: "server" | "client" | "center", count: number) =>
    namesOf(kind, count).map((name) => world.node(name));
  const centers = nodes("center", config.centers);
  const servers = nodes("server", config.servers);
  const clients = nodes("client", config.clients);
  history.world(beginOf(config, SLACK_MS));

  // What nodes have to say stands in the log, among the events.
  const siteOf = (node: SimulatedNode): Site => {
    const say = (text: string) => world.note(`${node.name} says: ${text}`);
    return { record: history.of(node), now, logger: { debug: say, info: say, warn: say, error: say } };
  };
  const keep = async (node: SimulatedNode, starting: Promise<unknown>) => {
    made.delete(node);
    made.set(node, await starting as AsyncDisposable);
  };
  let ending = false;
  const revive = (node: SimulatedNode) => {
    if (!ending && !node.isUp && node.incarnation > 0) void keep(node, node.restart());
  };
  const field: Field = {
    world,
    config,
    history,
    servers,
    clients,
    centers,
    serverOn: (node) => node.isUp ? made.get(node) as ServerNode | undefined : undefined,
    revive,
  };

  for (const node of centers) void keep(node, node.start(centerProgram(siteOf(node))));
  for (const node of servers) void keep(node, node.start(serverProgram(config, siteOf(node))));
  for (const [n, node] of clients.entries()) {
    const program = clientProgram(config, siteOf(node), drawOps(config, n));
    void keep(node, node.start(program));
  }

  using observed = observe(world, history, [...centers, ...clients], made);
  strike(field);
  await world.sleep(config.safetyMs);
  calmDown(field);
  history.world({ what: "calm" });

  await until(world, SETTLE_MS, () => history.openCalls === 0 && world.nodes.every((node) => made.has(node)));
  await world.sleep(NOTICED_MS);
  // Replies that are left unread must leave as much room as there was. A circuit breaker would count calls that find no place.
  const rounds = config.breaker === undefined ? LEAVING_ROUNDS : 0;
  for (let round = 0; round < rounds; round++) {
    await Promise.all(clients.map((node, n) => runOp((made.get(node) as ClientNode).host, leaving(`l${n}.${round}`))));
    await world.sleep(LEFT_MS);
  }
  const probes = clients.flatMap((node, n) =>
    (["again", "keep", "down", "both"] as const).map((method) =>
      runOp((made.get(node) as ClientNode).host, probe(`p${n}.${method}`, method))
    )
  );
  await Promise.all(probes);

  for (const node of world.nodes) {
    const violations = violationsOf(made.get(node));
    if (violations > 0 && !config.faults.includes("flips")) history.of(node)({ what: "violation", count: violations });
  }

  observed[Symbol.dispose]();
  ending = true;
  // Clients first: then servers must notice by themselves that nobody is there any more.
  for (const node of clients) await node.stop();
  const idle = () => servers.every((node) => isIdle(made.get(node) as ServerNode));
  await until(world, GONE_MS, () => idle() && history.openCalls === 0);
  for (const node of servers) {
    const { connections, handlers } = (made.get(node) as ServerNode).server.stats();
    if (handlers > 0) {
      history.of(node)({ what: "leak", open: `${handlers} handlers run with ${connections} connections` });
    }
  }
  for (const node of [...servers, ...centers]) await node.stop();
  await world.sleep(1_000);
  for (const node of world.nodes) {
    const open = Object.entries(node.usage).filter(([, count]) => count > 0);
    if (open.length > 0) history.of(node)({ what: "leak", open: open.map(([name, n]) => `${n} ${name}`).join(", ") });
  }
  history.world({ what: "end" });
}

/** How often a node closed a connection because its peer broke the protocol, which peers of ours never do. */
function violationsOf(made: unknown): number {
  if (made instanceof Center) return 0;
  const { server, host } = made as Partial<ServerNode & ClientNode>;
  return (server?.stats().counters.violations ?? 0) + (host?.client.stats().counters.violations ?? 0);
}

function isIdle({ server }: ServerNode): boolean {
  return server.stats().handlers === 0;
}

async function until(world: Simulation, limitMs: number, isSo: () => boolean): Promise<void> {
  const end = world.now + limitMs;
  while (!isSo() && world.now < end) await world.sleep(100);
}
