/**
 * What it costs to be listed: in the memory of a center, and in each of the stores that are installed, with 1 000 instances there.
 *
 * One registry registers and renews, another follows, both in this process; the center and the stores are processes of their own.
 */
import zookeeper from "node-zookeeper-client";
import { Center } from "../../mod.ts";
import { CenterRegistry } from "../../src/center/center_registry.ts";
import { etcdRegistry } from "../../src/etcd/etcd.ts";
import { Host } from "../../src/host/host.ts";
import type { Instance } from "../../src/registry/instance.ts";
import type { Lease, Registry } from "../../src/registry/registry.ts";
import { redisClient, redisRegistry } from "../../src/redis/redis.ts";
import { systemTransport } from "../../src/transport/transport.ts";
import { zookeeperRegistry } from "../../src/zookeeper/zookeeper.ts";
import { isInstalled, startEtcd, startRedis, startZooKeeper, type StoreName } from "../support/stores.ts";
import { answerQuestions, type Child } from "./child.ts";
import type { Row, RunOptions, Section } from "./section.ts";

/** How much is measured. */
interface Plan {
  /** How many instances are there all the time. */
  readonly instances: number;
  /** How many are registered one after another, and how many leases are renewed. */
  readonly samples: number;
  readonly renewals: number;
  /** How long the leases last that are left to expire. */
  readonly ttlMs: number;
}

const WHOLE: Plan = { instances: 1_000, samples: 300, renewals: 5_000, ttlMs: 15_000 };
const QUICK: Plan = { instances: 50, samples: 20, renewals: 1_000, ttlMs: 2_000 };

/** The beats of 1 000 instances in a second, when each comes every 5 s. */
const BEATS_PER_SECOND = 200;
const AT_ONCE = 32;
const FOR_LONG_MS = 3_600_000;
/** Linux counts the time of processes in hundredths of a second. */
const TICK_MS = 10;

/** Where instances are listed. */
interface Place extends AsyncDisposable {
  /** Another registry in the same place. */
  open(): Registry;
  /** How much processor time its processes have used, in milliseconds. */
  cpuMs(): Promise<number>;
}

async function serveCenter(): Promise<void> {
  await using center = new Center({ quotas: { instancesPerConnection: 100_000 } });
  await center.listen("tcp://127.0.0.1:0");
  await answerQuestions(center.endpoint, () => cpuMsOf("self"));
}

async function openCenter(start: (role: string) => Promise<Child>): Promise<Place> {
  const stack = new AsyncDisposableStack();
  const center = stack.use(await start("center"));
  const host = new Host({});
  stack.defer(() => host.close());
  return {
    open: () => new CenterRegistry(center.hello as string, host.settings, systemTransport),
    cpuMs: async () => await center.ask("cpu") as number,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

async function openStore(name: StoreName): Promise<Place> {
  const stack = new AsyncDisposableStack();
  const store = stack.use(await (name === "etcd" ? startEtcd() : name === "Redis" ? startRedis() : startZooKeeper()));
  const at = `127.0.0.1:${store.port}`;
  const open = (): Registry => {
    switch (name) {
      case "etcd":
        return etcdRegistry({ endpoints: [`http://${at}`], warmingMs: 0 });
      case "Redis": {
        const client = redisClient(`redis://${at}`);
        stack.defer(() => client.close());
        return redisRegistry({ client, warmingMs: 0 });
      }
      case "ZooKeeper":
        return zookeeperRegistry({
          client: () => zookeeper.createClient(at, { sessionTimeout: 10_000 }),
          warmingMs: 0,
        });
    }
  };
  return { open, cpuMs: () => cpuMsOf(store.pid), [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** What a process has used of the processors, its children not included. */
async function cpuMsOf(pid: number | "self"): Promise<number> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

function instanceOf(id: string): Instance {
  return {
    id,
    incarnation: 1,
    // Nobody is there: whoever dials it to see whether it lives is refused at once.
    endpoints: ["tcp://127.0.0.1:1"],
    services: ["demo.Words", "demo.Numbers"],
    zone: "north",
    weight: 1,
    version: "1.2.3",
    metadata: { host: "machine-17", started: "2026-11-21T09:42:22Z" },
  };
}

async function measure(system: string, place: Place, plan: Plan): Promise<Row> {
  const { instances, samples, renewals, ttlMs } = plan;
  const writer = place.open();
  const reader = place.open();
  const sight = new Sight(reader);
  try {
    await sight.begun;
    const begunAt = performance.now();
    const leases: Lease[] = [];
    const ids = Array.from({ length: instances }, (_, n) => `there-${n}`);
    await each(ids, async (id) => void leases.push(await writer.register(instanceOf(id), { ttlMs: FOR_LONG_MS })));
    await sight.of(() => sight.listed.size === instances);
    const allMs = performance.now() - begunAt;

    const seenMs: number[] = [];
    for (let n = 0; n < samples; n++) {
      const id = `sample-${n}`;
      const at = performance.now();
      const seen = sight.of(() => sight.listed.has(id)).then(() => performance.now() - at);
      const lease = await writer.register(instanceOf(id), { ttlMs: FOR_LONG_MS });
      seenMs.push(await seen);
      await writer.deregister(lease);
    }

    const cpuBefore = await place.cpuMs();
    const renewing = Array.from({ length: renewals }, (_, n) => leases[n % instances]);
    const renewedAt = performance.now();
    await each(renewing, async (lease) => {
      if (await writer.renew(lease) !== "renewed") {
        throw new Error(`"${lease.instanceId}" was not renewed by ${system}`);
      }
    });
    const renewMs = performance.now() - renewedAt;
    const cpuMs = (await place.cpuMs() - cpuBefore) / renewals;

    const dying = ["dying-1", "dying-2"];
    for (const id of dying) await writer.register(instanceOf(id), { ttlMs });
    const registeredAt = performance.now();
    await sight.of(() => dying.every((id) => sight.suspects.has(id) || !sight.listed.has(id)));
    const doubtedMs = performance.now() - registeredAt - ttlMs;
    await sight.of(() => dying.every((id) => !sight.listed.has(id)));
    const goneMs = performance.now() - registeredAt - ttlMs;
    seenMs.sort((a, b) => a - b);
    return {
      system,
      p50Ms: quantile(seenMs, 0.5),
      p99Ms: quantile(seenMs, 0.99),
      allMs,
      core: cpuMs * BEATS_PER_SECOND / 10,
      renewalsPerSecond: renewals / renewMs * 1_000,
      doubtedMs,
      goneMs,
    };
  } finally {
    await sight.end();
    await writer.close();
    await reader.close();
  }
}

/** Runs it for each, some at once. */
async function each<T>(all: readonly T[], run: (one: T) => Promise<void>): Promise<void> {
  const queue = all.values();
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (const one of queue) await run(one);
  }));
}

function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];
}

/** What somebody sees who follows a registry. */
class Sight {
  readonly listed = new Set<string>();
  readonly suspects = new Set<string>();
  readonly begun: Promise<void>;
  readonly #stop = new AbortController();
  readonly #loop: Promise<void>;
  #waiting: { readonly isSo: () => boolean; readonly resolve: () => void }[] = [];
  #told = false;

  constructor(registry: Registry) {
    this.begun = this.of(() => this.#told);
    this.#loop = this.#follow(registry);
  }

  /** Resolves as soon as it sees something. */
  of(isSo: () => boolean): Promise<void> {
    if (isSo()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ isSo, resolve }));
  }

  async end(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  async #follow(registry: Registry): Promise<void> {
    for await (const event of registry.watch("*", { signal: this.#stop.signal })) {
      this.#told = true;
      if (event.kind === "snapshot") {
        this.listed.clear();
        for (const { id } of event.instances) this.listed.add(id);
      } else {
        for (const change of event.changes) {
          if (change.kind === "removed") this.listed.delete(change.instanceId);
          else {
            this.listed.add(change.instance.id);
            if (change.suspect) this.suspects.add(change.instance.id);
          }
        }
      }
      this.#waiting = this.#waiting.filter(({ isSo, resolve }) => {
        if (!isSo()) return true;
        resolve();
        return false;
      });
    }
  }
}

const STORES: readonly StoreName[] = ["etcd", "Redis", "ZooKeeper"];

/** What the ways to be listed cost. */
export const storesSection: Section = {
  name: "stores",
  roles: { center: serveCenter },
  async run({ ms }: RunOptions, start) {
    const plan = ms < 1_000 ? QUICK : WHOLE;
    const rows: Row[] = [];
    const skipped: string[] = [];
    {
      await using place = await openCenter(start);
      rows.push(await measure("center's memory", place, plan));
    }
    for (const name of STORES) {
      if (!isInstalled(name)) {
        skipped.push(`${name} is not installed`);
        continue;
      }
      await using place = await openStore(name);
      rows.push(await measure(name, place, plan));
    }
    return {
      title: `Where ${plan.instances} instances are listed; leases that expire last ${plan.ttlMs} ms`,
      columns: [
        { key: "system", title: "listed in" },
        { key: "p50Ms", title: "visible p50 ms", digits: 1 },
        { key: "p99Ms", title: "p99 ms", digits: 1 },
        { key: "allMs", title: "all at once ms" },
        { key: "core", title: "1 000 beating, % of a core", digits: 1 },
        { key: "renewalsPerSecond", title: "renewals/s" },
        { key: "doubtedMs", title: "expired: suspect after ms" },
        { key: "goneMs", title: "gone after ms" },
      ],
      rows,
      skipped,
    };
  },
};
