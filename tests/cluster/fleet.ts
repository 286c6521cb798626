/** Servers of one service in a simulation, each of which can be told how to behave, and clients of them. */
import { Center, Client, type ClientOptions, type Code, RpcError, Server, type ServerOptions } from "@erpc/erpc";
import { Simulation } from "@erpc/erpc/testing";
import { ANYBODY } from "../support/anybody.ts";

/** How a server answers. */
export interface Behaviour {
  /** How long it takes, in milliseconds, or what says so for each call. */
  delayMs: number | (() => number);
  /** What it fails with: a code, or `Error` for a handler that breaks. */
  fails: Code | "Error" | undefined;
}

const CENTER = "tcp://center:7700";

/** A world with servers `s0`, `s1`, …, which answer `t.work` with their names. */
export class Fleet {
  readonly world: Simulation;
  /** How each server behaves, by its name; may be changed at any time. */
  readonly behaviours = new Map<string, Behaviour>();
  /** How many calls each has got, by its name. */
  readonly calls = new Map<string, number>();
  readonly #client: ClientOptions;
  readonly #server: ServerOptions;

  constructor(world: Simulation, client: ClientOptions, server: ServerOptions) {
    this.world = world;
    this.#client = client;
    this.#server = server;
  }

  /** Starts a center. Servers and clients that are started after it use it. */
  async center(): Promise<void> {
    await this.world.node("center").start(async ({ platform, transport }) => {
      const center = new Center({ platform, transport, tokens: ANYBODY });
      await center.listen(CENTER);
      return center;
    });
  }

  /** Starts a server. */
  async server(name: string, options: ServerOptions = {}): Promise<Server> {
    this.behaviours.set(name, { delayMs: 1, fails: undefined });
    return await this.world.node(name).start(async ({ platform, transport, sleep }) => {
      const server = new Server({ platform, transport, id: name, ...this.#found(), ...this.#server, ...options });
      server.handle("t.work", async () => {
        this.calls.set(name, (this.calls.get(name) ?? 0) + 1);
        const { delayMs, fails } = this.behaviours.get(name)!;
        const ms = typeof delayMs === "number" ? delayMs : delayMs();
        if (ms > 0) await sleep(ms);
        if (fails === "Error") throw new Error("the disk is full");
        if (fails !== undefined) throw new RpcError(fails, "as it was told");
        return name;
      });
      await server.listen("tcp://0.0.0.0:4000");
      return server;
    });
  }

  /** Starts so many servers. */
  async servers(count: number, options?: ServerOptions): Promise<void> {
    for (let n = 0; n < count; n++) await this.server(`s${n}`, options);
  }

  /** Starts a client, of the center if there is one, otherwise of all servers that there are. */
  client(options: ClientOptions = {}, name = "client"): Promise<Client> {
    const endpoints = [...this.behaviours.keys()].map((name) => `tcp://${name}:4000`);
    const found = this.#found() ?? { endpoints };
    return this.world.node(name).start(({ platform, transport }) =>
      new Client({ platform, transport, ...found, ...this.#client, ...options })
    );
  }

  /** Calls so often, evenly spread over a time, and waits for the answers. */
  async load(client: Client, perSecond: number, ms: number): Promise<Load> {
    const load = new Load();
    const { world } = this;
    const calls: Promise<void>[] = [];
    const call = async () => {
      const from = world.now;
      try {
        const name: string = await client.call("t.work");
        load.answered.set(name, (load.answered.get(name) ?? 0) + 1);
      } catch (error) {
        load.failures.push(error as RpcError);
      }
      load.tookMs.push(world.now - from);
    };
    for (let n = 0; n < perSecond * ms / 1_000; n++) {
      calls.push(call());
      await world.sleep(1_000 / perSecond);
    }
    await Promise.all(calls);
    return load;
  }

  #found(): { center: string } | undefined {
    return this.world.nodes.some(({ name }) => name === "center") ? { center: CENTER } : undefined;
  }
}

/** What became of some calls. */
export class Load {
  /** How many each server has answered, by its name. */
  readonly answered = new Map<string, number>();
  readonly failures: RpcError[] = [];
  readonly tookMs: number[] = [];

  /** How long all but so many of a hundred took at most, in milliseconds. */
  percentile(percent: number): number {
    return this.tookMs.toSorted((a, b) => a - b)[Math.ceil(this.tookMs.length * percent / 100) - 1];
  }
}

/** What clients and servers of a fleet are told, and the seed of its world. */
export interface FleetOptions {
  client?: ClientOptions;
  server?: ServerOptions;
  seed?: number;
}

/** Runs something in a world of its own, and checks that nothing is left of it. */
export async function inFleet<T>(run: (fleet: Fleet) => Promise<T>, options: FleetOptions = {}): Promise<T> {
  const world = new Simulation({ seed: options.seed ?? 1 });
  const result = await world.run(async () => {
    const result = await run(new Fleet(world, options.client ?? {}, options.server ?? {}));
    await world.stop();
    return result;
  });
  for (const { name, usage } of world.nodes) {
    const left = usage.timers + usage.connections + usage.listeners;
    if (left !== 0) throw new Error(`Node ${name} has left ${JSON.stringify(usage)} behind`);
  }
  return result;
}

/** A test in a world of its own. */
export function fleetTest(name: string, test: (fleet: Fleet) => Promise<void>, options?: FleetOptions): void {
  Deno.test(name, () => inFleet(test, options));
}
