import type { Random } from "../core/platform.ts";
import type { LinkOptions } from "./link.ts";
import { Scheduler } from "./scheduler.ts";
import { seededRandom } from "./seeded_random.ts";
import type { SimulatedNetwork, SimulatedNode } from "./simulated.ts";
import { NetworkModel } from "./simulated_network.ts";
import { NodeModel } from "./simulated_node.ts";

/** How a simulation is made. */
export interface SimulationOptions {
  /** Where all its chance comes from: the same seed gives the same run. A whole number from 0 to 2^32 − 1. Default 1. */
  seed?: number;
  /** How bytes go on every link at first. Default: 1 ms each way, and no faults. */
  link?: LinkOptions;
  /** Told of every line of the log, for those who want more than the last 200. */
  onLine?: (line: string) => void;
}

/**
 * A world in one process, in which time, chance and the network are the test's: nodes run programs made of real clients, servers
 * and centers, an hour passes in a second, and every run of a seed is the same to the last event.
 *
 * ```ts
 * import { Client, Server } from "@erpc/erpc";
 * import { Simulation } from "@erpc/erpc/testing";
 *
 * const simulation = new Simulation({ seed: 7 });
 * await simulation.run(async () => {
 *   await simulation.node("stock").start(async ({ platform, transport }) => {
 *     const server = new Server({ platform, transport });
 *     server.handle("demo.hello", (name) => `Hello, ${name}!`);
 *     await server.listen("tcp://stock:4000");
 *     return server;
 *   });
 *   const client = await simulation.node("shop").start(({ platform, transport }) =>
 *     new Client({ endpoints: ["tcp://stock:4000"], platform, transport })
 *   );
 *   simulation.network.partition(["shop"], ["stock"]);
 *   const call = client.call("demo.hello", "you", { timeoutMs: 60_000 });
 *   await simulation.sleep(3_000);
 *   simulation.network.heal();
 *   console.log(await call, simulation.now); // Hello, you! and some three seconds
 *   await simulation.stop();
 * });
 * ```
 *
 * Programs must take time, chance and the network from what they are given, and wait for nothing outside the simulation: no
 * real timers, sockets, files or workers.
 */
export class Simulation {
  /** Its seed. */
  readonly seed: number;
  /** Chance for the test itself. What it draws changes nothing in nodes and network. */
  readonly random: Random;
  /** What lies between the nodes. */
  readonly network: SimulatedNetwork;
  readonly #nodes = new Map<string, NodeModel>();
  readonly #network: NetworkModel;
  readonly #scheduler: Scheduler;
  readonly #chance: Random;
  #driven = false;

  /** Makes a world without nodes, whose time stands still. @throws {RangeError} when an option is out of range */
  constructor(options: SimulationOptions = {}) {
    this.seed = options.seed ?? 1;
    this.#chance = seededRandom(this.seed);
    const part = () => seededRandom(this.#chance.u32());
    this.random = part();
    this.#scheduler = new Scheduler(part(), options.onLine);
    this.network = this.#network = new NetworkModel(this.#scheduler, part(), this.#nodes, options.link);
  }

  /** Milliseconds since it was made. */
  get now(): number {
    return this.#scheduler.now;
  }

  /** How many events have happened. */
  get events(): number {
    return this.#scheduler.events;
  }

  /** The last 200 lines of what has happened. */
  get log(): readonly string[] {
    return this.#scheduler.log.last;
  }

  /** The same for two runs in which the same has happened: 16 hexadecimal digits. */
  get hash(): string {
    return this.#scheduler.log.hash;
  }

  /** The nodes, in the order in which they were made. */
  get nodes(): readonly SimulatedNode[] {
    return [...this.#nodes.values()];
  }

  /** The node of a name, which is made when it is first asked for. Names are host names: letters, digits, `-` and `.`. */
  node(name: string): SimulatedNode {
    let node = this.#nodes.get(name);
    if (node === undefined) {
      if (!/^[A-Za-z](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(name) || name === "localhost") {
        throw new TypeError(`Cannot make node "${name}": its name must be a host name`);
      }
      const random = seededRandom(this.#chance.u32());
      this.#nodes.set(name, node = new NodeModel(name, this.#scheduler, this.#network, random));
    }
    return node;
  }

  /** Adds a line to the log, and so to the hash. */
  note(what: string): void {
    this.#scheduler.log.event(this.now, "note", what);
  }

  /** Resolves after `ms` of virtual time, for the test itself; a node's program takes the `sleep` that it is given. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.#scheduler.after(ms, "sleep", resolve));
  }

  /** Runs something after `ms` of virtual time, whatever has become of the nodes. Disposing the result before that cancels it. */
  after(ms: number, run: () => void): Disposable {
    return this.#scheduler.after(ms, "step", run);
  }

  /**
   * Runs a test in it: time passes whenever the test waits, for as long as it takes, and stands still when it has ended.
   * Resolves and rejects as the test does; rejects as well when the test waits and nothing at all is going to happen, and when
   * something throws that a timer runs. One at a time.
   * @param options `limitMs`: how much virtual time may pass, without end unless it is given
   * @throws {Error} when the limit is reached
   */
  async run<T>(test: () => Promise<T> | T, options: { limitMs?: number } = {}): Promise<T> {
    const until = this.now + (options.limitMs ?? Infinity);
    return await this.#drive(async () => {
      let outcome: { value: T } | { error: unknown } | undefined;
      Promise.try(test).then((value) => outcome = { value }, (error) => outcome = { error });
      await this.#scheduler.settle();
      while (outcome === undefined) {
        if (await this.#scheduler.step(until)) continue;
        await this.#scheduler.settle();
        if (outcome === undefined) throw new Error(this.#stuck(until));
      }
      // Narrowed by hand: it is assigned in a callback.
      const settled = outcome as { value: T } | { error: unknown };
      if ("error" in settled) throw settled.error;
      return settled.value;
    });
  }

  /** Lets `ms` of virtual time pass, with all that happens in it. Rejects with what a timer throws. One at a time. */
  async advance(ms: number): Promise<void> {
    await this.#drive(async () => {
      const until = this.now + ms;
      await this.#scheduler.settle();
      while (await this.#scheduler.step(until));
    });
  }

  /** Stops every node in good order, in the order in which they were made. */
  async stop(): Promise<void> {
    for (const node of this.nodes) {
      node.resume();
      await node.stop();
    }
  }

  async #drive<T>(drive: () => Promise<T>): Promise<T> {
    if (this.#driven) throw new TypeError("Cannot drive a simulation: it is driven already");
    this.#driven = true;
    try {
      return await drive();
    } finally {
      this.#driven = false;
    }
  }

  #stuck(until: number): string {
    return until === Infinity
      ? `Cannot go on at ${this.now} ms: the test waits, and nothing is going to happen any more`
      : `Cannot go on: ${until} ms of virtual time have passed, and the test still waits`;
  }
}
