/**
 * A run of the simulator's workload in earnest: every node is a process, every way between two of them a faulty proxy, and
 * processes are killed and stopped. The history goes to the same checkers.
 */
import { type Faults, type FaultyProxy, startProxy } from "../../support/proxy.ts";
import { Child } from "../../support/child.ts";
import { beginOf } from "../begin.ts";
import type { Config } from "../config.ts";
import { Dice } from "../dice.ts";
import { type Happening, type HistoryRecord, parseHistory } from "../history.ts";
import { namesOf } from "../programs.ts";
import { check } from "../checkers/mod.ts";
import type { Problem } from "../checkers/checker.ts";
import { DONE, GO, IDLE, type Part, READY, realConfigOf } from "./part.ts";

/** How late anything may be that has a time, beside what processes say of themselves. */
const SLACK_MS = 100;
/** How often something is done to a way, and to a process. */
const WAY_EVERY_MS = 150;
const PROCESS_EVERY_MS = 1_200;
const START_MS = 3_000;
/** How long it takes until every connection that was lost without a word has been noticed. */
const NOTICED_MS = 4_000;

/** How a real run went. */
export interface RealOutcome {
  readonly config: Config;
  readonly problems: readonly Problem[];
  readonly history: readonly HistoryRecord[];
  /** How often each kind of fault happened. */
  readonly faults: Readonly<Record<string, number>>;
}

/** Runs a seed with processes. */
export async function runReal(seed: number): Promise<RealOutcome> {
  const config = realConfigOf(seed);
  await using stage = new Stage(config);
  await stage.open();
  await stage.trouble();
  await stage.calmDown();
  await stage.close();
  const history = await stage.history();
  return { config, problems: check(history), history, faults: stage.faults };
}

class Stage implements AsyncDisposable {
  readonly faults: Record<string, number> = {};
  readonly #config: Config;
  readonly #folder = Deno.makeTempDirSync({ prefix: "erpc-real-" });
  readonly #dice: Dice;
  /** When calls begin: until then all processes have started, unless the machine has much else to do. */
  readonly #beganAt = performance.timeOrigin + performance.now() + START_MS;
  readonly #starting = new Set<Promise<void>>();
  readonly #records: HistoryRecord[] = [];
  readonly #ports = new Map<string, number>();
  readonly #proxies = new Map<string, FaultyProxy>();
  readonly #nodes = new Map<string, { child: Node; life: number; index: number }>();

  constructor(config: Config) {
    this.#config = config;
    this.#dice = Dice.for(config.seed, "real");
  }

  /** Starts all processes. */
  async open(): Promise<void> {
    const { servers, clients, centers } = this.#config;
    const listening = [...namesOf("center", centers), ...namesOf("server", servers)];
    const all = [...listening, ...namesOf("client", clients)];
    for (const name of listening) this.#ports.set(name, freePort());
    for (const from of all) {
      for (const to of listening) {
        const proxy = await startProxy(`tcp://127.0.0.1:${this.#ports.get(to)}`, { seed: this.#config.seed });
        this.#proxies.set(`${from}>${to}`, proxy);
      }
    }
    const begin = beginOf(this.#config, SLACK_MS);
    this.#records.push({ at: -START_MS, node: "", life: 0, ...begin } as HistoryRecord);
    for (const name of namesOf("center", centers)) await this.#start(name, 0);
    await Promise.all(namesOf("server", servers).map((name, n) => this.#start(name, n)));
    await Promise.all(namesOf("client", clients).map((name, n) => this.#start(name, n)));
  }

  /** Does all kinds of things to ways and processes, until the time for that is over. */
  async trouble(): Promise<void> {
    await Promise.all([this.#troubleWays(), this.#troubleProcesses()]);
  }

  /** Takes everything back, waits until all calls have ended, and lets every client make its last ones. */
  async calmDown(): Promise<void> {
    for (const proxy of this.#proxies.values()) proxy.set({ up: {}, down: {} });
    await Promise.all(this.#starting);
    for (const [name, { child, index }] of this.#nodes) {
      if (child.isPaused) this.#resume(name);
      if (child.isDead) await this.#start(name, index);
    }
    this.#put("", 0, { what: "calm" });
    const clients = this.#clients();
    await Promise.all(clients.map((child) => child.line(new RegExp(`^${IDLE}$`))));
    await sleep(NOTICED_MS);
    for (const child of clients) child.kill(GO);
    await Promise.all(clients.map((child) => child.line(new RegExp(`^${DONE}$`))));
  }

  /** Lets all processes end by themselves. */
  async close(): Promise<void> {
    for (const kind of ["client", "server", "center"]) {
      for (const [name, { child, life }] of this.#nodes) {
        if (!name.startsWith(kind)) continue;
        child.kill(GO);
        const { code, stderr } = await child.ended();
        if (code !== 0) this.#put(name, life, { what: "leak", open: `it ended with ${code}: ${stderr}` });
      }
    }
    this.#put("", 0, { what: "end" });
  }

  /** All that was put down, by everybody. */
  async history(): Promise<HistoryRecord[]> {
    const records: HistoryRecord[] = [...this.#records];
    for await (const { name } of Deno.readDir(this.#folder)) {
      records.push(...parseHistory(await Deno.readTextFile(`${this.#folder}/${name}`)));
    }
    return records.sort((a, b) => a.at - b.at);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { child } of this.#nodes.values()) await child[Symbol.asyncDispose]();
    for (const proxy of this.#proxies.values()) await proxy[Symbol.asyncDispose]();
    await Deno.remove(this.#folder, { recursive: true });
  }

  #start(name: string, index: number): Promise<void> {
    const starting = this.#startNow(name, index);
    this.#starting.add(starting);
    return starting.finally(() => this.#starting.delete(starting));
  }

  async #startNow(name: string, index: number): Promise<void> {
    const life = (this.#nodes.get(name)?.life ?? 0) + 1;
    const others: Record<string, number> = {};
    for (const [way, proxy] of this.#proxies) {
      const [from, to] = way.split(">");
      if (from === name) others[to] = Number(new URL(proxy.endpoint.replace(/^tcp:/, "http:")).port);
    }
    const part: Part = {
      name,
      kind: /^[a-z]+/.exec(name)![0] as Part["kind"],
      life,
      seed: this.#config.seed,
      index,
      beganAt: this.#beganAt,
      port: this.#ports.get(name) ?? 0,
      others,
      file: `${this.#folder}/${name}-${life}.jsonl`,
    };
    const child = new Node(JSON.stringify(part));
    this.#nodes.set(name, { child, life, index });
    await child.line(new RegExp(`^${READY}$`));
    child.isReady = true;
  }

  async #troubleWays(): Promise<void> {
    const ways = [...this.#proxies.keys()];
    while (this.#now() < this.#config.safetyMs) {
      await sleep(this.#dice.around(WAY_EVERY_MS));
      const proxy = this.#proxies.get(this.#dice.pick(ways))!;
      if (this.#dice.chance(0.2)) {
        this.#count("reset now");
        proxy.reset();
        continue;
      }
      const [up, down] = [this.#faultsOf(), this.#faultsOf()];
      proxy.set(this.#dice.pick([{ up }, { down }, { up, down }, { up: {}, down: {} }, { up: {}, down: {} }]));
    }
  }

  #faultsOf(): Faults {
    const dice = this.#dice;
    const [name, faults] = dice.pick<[string, Faults]>([
      ["latency", { latencyMs: dice.between(1, 200) }],
      ["jitter", { jitterMs: dice.between(1, 200) }],
      ["bandwidth", { bytesPerSecond: dice.magnitude(2_000, 1_000_000) }],
      ["slices", { sliceBytes: [1, dice.magnitude(2, 200)] }],
      ["slow close", { closeDelayMs: dice.between(10, 1_000) }],
      ["black hole", { blackhole: true }],
      ["reset at a byte", { resetAtByte: dice.magnitude(100, 20_000) }],
      ["limit", { limitBytes: dice.magnitude(100, 20_000) }],
      ["some", { latencyMs: 50, toxicity: 0.5 }],
    ]);
    this.#count(name);
    return faults;
  }

  async #troubleProcesses(): Promise<void> {
    await sleep(-this.#now());
    while (this.#now() < this.#config.safetyMs) {
      await sleep(this.#dice.around(PROCESS_EVERY_MS));
      const name = this.#dice.pick([...this.#nodes.keys()]);
      const { child, life, index } = this.#nodes.get(name)!;
      if (!child.isReady || child.isDead || child.isPaused) continue;
      if (this.#dice.chance(0.5)) {
        this.#count("SIGKILL");
        this.#put(name, life, { what: "crash" });
        await child.die();
        void sleep(this.#dice.around(800)).then(() => {
          if (this.#now() < this.#config.safetyMs) return this.#start(name, index);
        });
      } else {
        this.#count("SIGSTOP");
        this.#put(name, life, { what: "pause" });
        child.stop();
        void sleep(this.#dice.around(1_000)).then(() => this.#resume(name));
      }
    }
  }

  #resume(name: string): void {
    const { child, life } = this.#nodes.get(name)!;
    if (!child.isPaused) return;
    child.goOn();
    this.#put(name, life, { what: "resume" });
  }

  #clients(): Node[] {
    return [...this.#nodes].filter(([name]) => name.startsWith("client")).map(([, { child }]) => child);
  }

  #count(fault: string): void {
    this.faults[fault] = (this.faults[fault] ?? 0) + 1;
  }

  #now(): number {
    return performance.timeOrigin + performance.now() - this.#beganAt;
  }

  #put(node: string, life: number, happening: Happening): void {
    this.#records.push({ at: this.#now(), node, life, ...happening } as HistoryRecord);
  }
}

/** A process that can be stopped and killed. */
class Node extends Child {
  isReady = false;
  isDead = false;
  isPaused = false;

  constructor(part: string) {
    super(new URL("process.ts", import.meta.url), part);
  }

  /** Ends it at once. */
  async die(): Promise<void> {
    this.isDead = true;
    this.kill("SIGKILL");
    await this.ended();
  }

  stop(): void {
    this.isPaused = true;
    this.kill("SIGSTOP");
  }

  goOn(): void {
    this.isPaused = false;
    this.kill("SIGCONT");
  }
}

/** A port that nobody has, and that no system gives to somebody who asks for any. */
function freePort(): number {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
