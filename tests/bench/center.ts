/** What a center costs that lists many, and how long news takes to those who follow it. */
import process from "node:process";
import { Center, type Instance } from "../../mod.ts";
import { CenterRegistry } from "../../src/center/center_registry.ts";
import type { Lease, WatchEvent } from "../../src/registry/registry.ts";
import { systemTransport } from "../../src/transport/transport.ts";
import { makeSettings } from "../support/settings.ts";
import { answerQuestions, type Child } from "./child.ts";
import type { Row, RunOptions, Section } from "./section.ts";

const INSTANCES = 10_000;
const BEAT_MS = 5_000;
/** After so many beats of each the memory of the center is as it stays, its collector at its pace. */
const WARMUP_BEATS = 3;
/** Over so many its collector has come round more than once. */
const MEASURED_BEATS = 4;
/** Among how many the news is measured. */
const LISTED = 1_000;
const WATCHERS = 1_000;
const NEWS = 200;
/** How many to all watchers. */
const WIDE_NEWS = 50;
/** So many come first and are not measured. */
const FIRST_NEWS = 10;
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

  /**
   * Registers one after the other, each when everybody has heard that the one before is gone, and gives how long until a watcher,
   * the first of them and the last of them knew of it.
   */
  const tellNews = async (number: number, service: string, watchers: number) => {
    const stop = new AbortController();
    let hear = (_watcher: number, _event: WatchEvent) => {};
    let begun = 0;
    const loops: Promise<void>[] = [];
    const watch = async (watcher: number, registry: CenterRegistry) => {
      let first = true;
      for await (const event of registry.watch(service, { signal: stop.signal })) {
        if (first) begun++;
        first = false;
        hear(watcher, event);
      }
      if (registry !== shared) await registry.close();
    };
    while (loops.length < watchers) {
      while (loops.length < watchers && loops.length - begun < BATCH) {
        loops.push(watch(loops.length, connected === "each" && loops.length > 0 ? connect() : shared));
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    while (begun < watchers) await new Promise((resolve) => setTimeout(resolve, 20));
    /** Does something about an instance, and gives how long until each watcher knew that it is listed, or is not. */
    const tell = async <T>(id: string, listed: boolean, act: () => Promise<T>): Promise<[T, number[]]> => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const told = new Map<number, number>();
      const startedAt = performance.now();
      hear = (watcher, event) => {
        if (!tells(event, id, listed) || told.has(watcher)) return;
        told.set(watcher, performance.now() - startedAt);
        if (told.size === watchers) resolve();
      };
      const [result] = await Promise.all([act(), promise]);
      return [result, [...told.values()]];
    };
    const toEach: number[] = [];
    const toFirst: number[] = [];
    const toLast: number[] = [];
    for (let n = -FIRST_NEWS; n < number; n++) {
      const instance = instanceOf(service, count++);
      const [lease, took] = await tell(instance.id, true, () => shared.register(instance));
      await tell(instance.id, false, () => shared.deregister(lease));
      if (n < 0) continue;
      toEach.push(...took);
      toFirst.push(took[0]);
      toLast.push(took[took.length - 1]);
    }
    stop.abort();
    await Promise.all(loops);
    return { toEach: quantilesOf(toEach), toFirst: quantilesOf(toFirst), toLast: quantilesOf(toLast) };
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

/** Whether somebody to whom this was told knows that an instance is listed, or is not. */
function tells(event: WatchEvent, id: string, listed: boolean): boolean {
  if (event.kind === "snapshot") return event.instances.some((instance) => instance.id === id) === listed;
  const last = event.changes.findLast((change) =>
    (change.kind === "put" ? change.instance.id : change.instanceId) === id
  );
  return last !== undefined && (last.kind === "put") === listed;
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
      ...await beats(share(INSTANCES), options, quick, start),
      ...await news(share(LISTED), share(NEWS), share(WIDE_NEWS), share(WATCHERS), start),
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

async function beats(instances: number, options: RunOptions, quick: boolean, start: Start): Promise<Row[]> {
  const bytes = await bytesPerInstance(instances, start);
  const ms = quick ? options.ms : MEASURED_BEATS * BEAT_MS;
  const warmupMs = quick ? options.warmupMs : WARMUP_BEATS * BEAT_MS;
  const floor = await beatAll(
    "echo",
    (port) => start("echoes", port),
    { connect: instances },
    { warmupMs, ms },
    start,
  );
  const ours = await beatAll(
    "center",
    (center) => start("herd", center, "each"),
    { register: instances, service: "bench.Many" },
    { warmupMs, ms },
    start,
  );
  return [
    { what: "renewals", figure: ours.perSecond, unit: "per s", target: `${instances / (BEAT_MS / 1_000)}` },
    { what: "share of one core", figure: ours.percent, unit: "%", target: "< 25" },
    { what: "the same over bare connections", figure: floor.percent, unit: "%", target: "" },
    { what: "renewal, p99", figure: ours.p99, unit: "ms", target: "≤ 50" },
    { what: "memory of an instance", figure: bytes, unit: "bytes", target: "≤ 2048" },
  ];
}

/**
 * Has a herd beat on a server, and gives what that costs it. The herd is one process: with more of them than cores the server
 * would be charged for what they take from its caches.
 */
async function beatAll(
  server: string,
  startHerd: (where: string) => Promise<Child>,
  begin: Readonly<Record<string, unknown>>,
  { warmupMs, ms }: { warmupMs: number; ms: number },
  start: Start,
): Promise<{ perSecond: number; percent: number; p99: number }> {
  await using stack = new AsyncDisposableStack();
  const served = stack.use(await start(server));
  const herd = stack.use(await startHerd(String(served.hello)));
  await herd.ask(begin);
  await herd.ask({ hurryForMs: Math.min(HURRY_MS, warmupMs) });
  await herd.ask({ beatForMs: warmupMs });
  const before = await served.ask("cpuUs") as number;
  const startedAt = performance.now();
  const { count, latencies } = await herd.ask({ beatForMs: ms }) as Beats;
  const tookMs = performance.now() - startedAt;
  const cpuUs = await served.ask("cpuUs") as number - before;
  return { perSecond: count / (tookMs / 1_000), percent: cpuUs / (10 * tookMs), p99: latencies.p99 };
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

async function news(listed: number, count: number, wideCount: number, watchers: number, start: Start): Promise<Row[]> {
  await using center = await start("center");
  await using herd = await start("herd", center.hello as string, "each");
  await herd.ask({ register: listed, service: "bench.Many" });
  const tell = async (news: number, watchers: number) =>
    await herd.ask({ news, service: "bench.Many", watchers }) as Record<string, Quantiles>;
  const one = await tell(count, 1);
  const many = await tell(wideCount, watchers);
  return [
    { what: "registered → seen by a watcher, p50", figure: one.toFirst.p50, unit: "ms", target: "" },
    { what: "registered → seen by a watcher, p99", figure: one.toFirst.p99, unit: "ms", target: "≤ 50" },
    { what: `registered → seen by ${watchers}, p99`, figure: many.toEach.p99, unit: "ms", target: "≤ 200" },
    { what: `registered → seen by the last of ${watchers}, p50`, figure: many.toLast.p50, unit: "ms", target: "" },
    {
      what: `registered → seen by the last of ${watchers}, p99`,
      figure: many.toLast.p99,
      unit: "ms",
      target: "≤ 1000",
    },
  ];
}
