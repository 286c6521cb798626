/** What a center costs that lists many, and how long news takes to those who follow it. */
import process from "node:process";
import { Center, type Instance } from "../../mod.ts";
import { CenterRegistry } from "../../src/center/center_registry.ts";
import type { Lease } from "../../src/registry/registry.ts";
import { systemTransport } from "../../src/transport/transport.ts";
import { makeSettings } from "../support/settings.ts";
import { answerQuestions, type Child } from "./child.ts";
import type { Row, RunOptions, Section } from "./section.ts";

const INSTANCES = 10_000;
/** How many of them each process plays: as many as it may have files open. */
const PER_PROCESS = 5_000;
const BEAT_MS = 5_000;
/** Among how many the news is measured. */
const LISTED = 1_000;
const WATCHERS = 1_000;
const NEWS = 200;
/** What a renewal and its answer take, about. */
const ECHO_BYTES = 128;
const QUICK_SHARE = 0.02;
/** A center runs for weeks: its code is hot before it is measured. So long it is kept busy, and by so many at a time. */
const HURRY_MS = 3_000;
const HURRY = 64;
/** All of a herd share one thread, which snapshots keep busy. */
const PATIENT = { connectMs: 60_000, handshakeMs: 60_000, pingTimeoutMs: 60_000 };
/** Leases that nobody renews outlast the bench. */
const LEASE_MS = 600_000;
/** So many say hello at once. */
const BATCH = 20;

/** What the herd is asked: to register so many, to beat for so long, to tell some news, to watch. */
type Question =
  | { readonly register: number; readonly service: string }
  | { readonly beatForMs: number }
  | { readonly hurryForMs: number }
  | { readonly news: number; readonly service: string; readonly watchers: number };

async function serveCenter(): Promise<void> {
  const limits = { maxConnections: INSTANCES + WATCHERS + 10, maxHandshakes: 2 * BATCH, ...PATIENT };
  await using center = new Center({ limits });
  await center.listen("tcp://127.0.0.1:0");
  await answerQuestions(center.endpoint, (asked): number => {
    if (asked === "cpuUs") return usedCpuUs();
    (globalThis as { gc?: () => void }).gc?.();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  });
}

/** So many servers and clients as far as a center can tell: each has a connection of its own. */
async function playHerd(center: string, connected: string): Promise<void> {
  const settings = makeSettings({ limits: PATIENT });
  const connect = () => new CenterRegistry(center, settings, systemTransport);
  const shared = connect();
  const held: { registry: CenterRegistry; lease: Lease }[] = [];
  let count = 0;

  const register = async (number: number, service: string) => {
    for (let made = 0; made < number; made += BATCH) {
      await Promise.all(Array.from({ length: Math.min(BATCH, number - made) }, async () => {
        const registry = connected === "each" ? connect() : shared;
        held.push({ registry, lease: await registry.register(instanceOf(service, count++), { ttlMs: LEASE_MS }) });
      }));
    }
    return {};
  };

  /** Registers one after the other, and gives how long until the first of the watchers, and the last of them, knew of each. */
  const tellNews = async (number: number, service: string, watchers: number) => {
    const stop = new AbortController();
    const seen = new Map<string, () => void>();
    let begun = 0;
    const loops: Promise<void>[] = [];
    const watch = async (registry: CenterRegistry) => {
      let knows = -1;
      // Whoever could not keep up is told by a snapshot, and of nothing twice.
      const see = ({ id }: Instance) => {
        const number = Number.parseInt(id.slice(id.indexOf("-") + 1), 16);
        if (number > knows) seen.get(id)?.();
        knows = Math.max(knows, number);
      };
      let first = true;
      for await (const event of registry.watch(service, { signal: stop.signal })) {
        if (event.kind === "snapshot") event.instances.forEach(see);
        else for (const change of event.changes) if (change.kind === "put") see(change.instance);
        if (first) begun++;
        first = false;
      }
      if (registry !== shared) await registry.close();
    };
    while (loops.length < watchers) {
      while (loops.length < watchers && loops.length - begun < BATCH) {
        loops.push(watch(connected === "each" && loops.length > 0 ? connect() : shared));
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    while (begun < watchers) await new Promise((resolve) => setTimeout(resolve, 20));
    const toFirst: number[] = [];
    const toLast: number[] = [];
    for (let n = 0; n < number; n++) {
      const instance = instanceOf(service, count++);
      const { promise, resolve } = Promise.withResolvers<void>();
      const startedAt = performance.now();
      let told = 0;
      seen.set(instance.id, () => {
        if (++told === 1) toFirst.push(performance.now() - startedAt);
        if (told === watchers) resolve();
      });
      const lease = await shared.register(instance);
      await promise;
      toLast.push(performance.now() - startedAt);
      seen.delete(instance.id);
      await shared.deregister(lease);
    }
    stop.abort();
    await Promise.all(loops);
    return { toFirst: quantilesOf(toFirst), toLast: quantilesOf(toLast) };
  };

  await answerQuestions("ready", (asked) => {
    const question = asked as Question;
    if ("register" in question) return register(question.register, question.service);
    if ("hurryForMs" in question) return hurry(question.hurryForMs, () => renew(held[0]));
    if ("beatForMs" in question) return beat(question.beatForMs, held.map((one) => () => renew(one)));
    return tellNews(question.news, question.service, question.watchers);
  });
  await Promise.all([shared, ...new Set(held.map(({ registry }) => registry))].map((registry) => registry.close()));
  settings.timers[Symbol.dispose]();
}

/** Renews the lease of one instance. */
async function renew({ registry, lease }: { registry: CenterRegistry; lease: Lease }): Promise<void> {
  const result = await registry.renew(lease);
  if (result !== "renewed") throw new Error(`A renewal was answered with ${result}`);
}

/** Gives every connection's bytes back, and does nothing else: the least that a center could cost. */
async function serveEcho(): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const echo = async (conn: Deno.TcpConn) => {
    const bytes = new Uint8Array(ECHO_BYTES);
    for (let count; (count = await conn.read(bytes)) !== null;) await conn.write(bytes.subarray(0, count));
    conn.close();
  };
  const accepting = (async () => {
    for await (const conn of listener) void echo(conn);
  })().catch(() => {});
  await answerQuestions((listener.addr as Deno.NetAddr).port, usedCpuUs);
  listener.close();
  await accepting;
}

/** Beats like a herd, with bare bytes. */
async function playEchoes(port: string): Promise<void> {
  const conns: Deno.TcpConn[] = [];
  await answerQuestions("ready", async (asked) => {
    const question = asked as
      | { readonly connect: number }
      | { readonly hurryForMs: number }
      | { readonly beatForMs: number };
    if ("connect" in question) {
      while (conns.length < question.connect) conns.push(await Deno.connect({ port: Number(port) }));
      return {};
    }
    const bytes = new Uint8Array(ECHO_BYTES);
    if ("hurryForMs" in question) {
      return await hurry(question.hurryForMs, async () => {
        await conns[0].write(bytes);
        await conns[0].read(bytes);
      });
    }
    return await beat(
      question.beatForMs,
      conns.map((conn) => async () => {
        await conn.write(bytes);
        await conn.read(bytes);
      }),
    );
  });
  for (const conn of conns) conn.close();
}

/** Asks one of them as fast as it answers, 64 at a time. */
async function hurry(ms: number, ask: () => Promise<void>): Promise<Record<string, never>> {
  const until = performance.now() + ms;
  await Promise.all(Array.from({ length: HURRY }, async () => {
    while (performance.now() < until) await ask();
  }));
  return {};
}

/** Has each of many asked every five seconds, spread evenly, and gives how long the answers took. */
async function beat(ms: number, asks: readonly (() => Promise<void>)[]): Promise<Beats> {
  const latencies: number[] = [];
  const pending = new Set<Promise<void>>();
  const startedAt = performance.now();
  for (let n = 0; performance.now() - startedAt < ms;) {
    for (const due = ((performance.now() - startedAt) * asks.length) / BEAT_MS; n < due; n++) {
      const askedAt = performance.now();
      const asking = asks[n % asks.length]().then(() => {
        latencies.push(performance.now() - askedAt);
        pending.delete(asking);
      });
      pending.add(asking);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await Promise.all(pending);
  return { count: latencies.length, latencies: quantilesOf(latencies) };
}

/** What this process has used of a processor so far, in microseconds. */
function usedCpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** An instance as servers register them. */
function instanceOf(service: string, n: number): Instance {
  return {
    id: `${process.pid}-${n.toString(16).padStart(16, "0")}`,
    incarnation: 1_790_000_000_000 + n,
    endpoints: [`tcp://10.${n >> 16 & 255}.${n >> 8 & 255}.${n & 255}:4000`],
    services: [service, "bench.Common"],
    zone: "eu-north-1a",
    weight: 1,
    version: "2.14.3",
    metadata: { commit: "5dca8ee", pool: "default" },
  };
}

interface Beats {
  readonly count: number;
  readonly latencies: Quantiles;
}

interface Quantiles {
  readonly p50: number;
  readonly p99: number;
}

function quantilesOf(values: number[]): Quantiles {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  return { p50: at(0.5), p99: at(0.99) };
}

/** What a center costs, and how long news takes. */
export const centerSection: Section = {
  name: "center",
  v8Flags: ["--expose-gc"],
  roles: { center: serveCenter, herd: playHerd, echo: serveEcho, echoes: playEchoes },
  async run(options, start) {
    const quick = options.ms < 500;
    const share = (count: number) => quick ? Math.ceil(count * QUICK_SHARE) : count;
    const rows: Row[] = [
      ...await beats(share(INSTANCES), share(PER_PROCESS), options, quick, start),
      ...await news(share(LISTED), share(NEWS), share(WATCHERS), start),
    ];
    return {
      title: `A center: ${share(INSTANCES)} instances with a connection each; news among ${share(LISTED)} instances`,
      columns: [{ key: "what", title: "what" }, { key: "figure", title: "figure", digits: 1 }, {
        key: "unit",
        title: "unit",
      }, { key: "target", title: "target" }],
      rows,
    };
  },
};

type Start = Parameters<Section["run"]>[1];

async function beats(
  instances: number,
  perProcess: number,
  options: RunOptions,
  quick: boolean,
  start: Start,
): Promise<Row[]> {
  const bytes = await bytesPerInstance(instances, start);
  const perHerd = shares(instances, perProcess);
  const ms = quick ? options.ms : 2 * BEAT_MS;
  const warmupMs = quick ? options.warmupMs : BEAT_MS;
  const floor = await beatAll(
    "echo",
    (port) => start("echoes", port),
    { ask: "connect", perHerd, warmupMs, ms },
    start,
  );
  const ours = await beatAll("center", (center) => start("herd", center, "each"), {
    ask: "register",
    perHerd,
    warmupMs,
    ms,
  }, start);
  return [
    { what: "renewals", figure: ours.perSecond, unit: "per s", target: `${instances / (BEAT_MS / 1_000)}` },
    { what: "share of one core", figure: ours.percent, unit: "%", target: "< 25" },
    { what: "the same over bare connections", figure: floor.percent, unit: "%", target: "" },
    { what: "renewal, p99", figure: ours.p99, unit: "ms", target: "≤ 50" },
    { what: "memory of an instance", figure: bytes, unit: "bytes", target: "≤ 2048" },
  ];
}

/** Has herds beat on a server, and gives what that costs it. */
async function beatAll(
  server: string,
  startHerd: (where: string) => Promise<Child>,
  { ask, perHerd, warmupMs, ms }: { ask: string; perHerd: readonly number[]; warmupMs: number; ms: number },
  start: Start,
): Promise<{ perSecond: number; percent: number; p99: number }> {
  await using stack = new AsyncDisposableStack();
  const served = stack.use(await start(server));
  const herds: Child[] = [];
  for (const count of perHerd) {
    const herd = stack.use(await startHerd(String(served.hello)));
    await herd.ask({ [ask]: count, service: "bench.Many" });
    herds.push(herd);
  }
  const beats = (beatForMs: number) => Promise.all(herds.map((herd) => herd.ask({ beatForMs }) as Promise<Beats>));
  await herds[0].ask({ hurryForMs: Math.min(HURRY_MS, warmupMs) });
  await beats(warmupMs);
  const before = await served.ask("cpuUs") as number;
  const startedAt = performance.now();
  const found = await beats(ms);
  const tookMs = performance.now() - startedAt;
  const cpuUs = await served.ask("cpuUs") as number - before;
  return {
    perSecond: found.reduce((sum, { count }) => sum + count, 0) / (tookMs / 1_000),
    percent: cpuUs / (10 * tookMs),
    p99: Math.max(...found.map(({ latencies }) => latencies.p99)),
  };
}

function shares(total: number, each: number): number[] {
  const made: number[] = [];
  for (let left = total; left > 0; left -= each) made.push(Math.min(each, left));
  return made;
}

/** What a center's heap grows by, over one connection: what connections cost is measured elsewhere. */
async function bytesPerInstance(instances: number, start: Start): Promise<number> {
  await using center = await start("center");
  await using herd = await start("herd", center.hello as string, "shared");
  // Over one connection no more are taken.
  const each = Math.min(instances, 1_000);
  const herds = [herd];
  await using stack = new AsyncDisposableStack();
  while (herds.length * each < instances) {
    herds.push(stack.use(await start("herd", center.hello as string, "shared")));
  }
  await herd.ask({ news: 1, service: "bench.Warm", watchers: 1 });
  const before = await center.ask("heapBytes") as number;
  for (const one of herds) await one.ask({ register: each, service: "bench.Many" });
  const after = await center.ask("heapBytes") as number;
  return (after - before) / (each * herds.length);
}

async function news(listed: number, count: number, watchers: number, start: Start): Promise<Row[]> {
  await using center = await start("center");
  await using herd = await start("herd", center.hello as string, "each");
  await herd.ask({ register: listed, service: "bench.Many" });
  const one = await herd.ask({ news: count, service: "bench.Many", watchers: 1 }) as Record<string, Quantiles>;
  const many = await herd.ask({ news: Math.ceil(count / 10), service: "bench.Many", watchers }) as Record<
    string,
    Quantiles
  >;
  return [
    { what: "registered → seen by a watcher, p50", figure: one.toFirst.p50, unit: "ms", target: "" },
    { what: "registered → seen by a watcher, p99", figure: one.toFirst.p99, unit: "ms", target: "≤ 50" },
    { what: `registered → seen by the last of ${watchers}, p50`, figure: many.toLast.p50, unit: "ms", target: "" },
    {
      what: `registered → seen by the last of ${watchers}, p99`,
      figure: many.toLast.p99,
      unit: "ms",
      target: "≤ 1000",
    },
  ];
}
