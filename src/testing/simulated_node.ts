import { type Clock, MAX_TIMER_MS, type Platform, type Random } from "../core/platform.ts";
import type { Transport } from "../transport/transport.ts";
import type { NodeContext, NodeUsage, SimulatedNode } from "./simulated.ts";
import type { Life, Machine, Scheduler, SimulationEvent } from "./scheduler.ts";
import { seededRandom } from "./seeded_random.ts";

/** Where wall clocks begin: 14 November 2023, 22:13:20 UTC. */
const WALL_START = 1_700_000_000_000;
/** How far the wall clocks of two nodes may be apart at the beginning. */
const WALL_SKEW_MS = 10_000;

/** What a node needs of its network. */
export interface NodeNetwork {
  /** The network as one life of a node sees it. */
  transportOf(node: NodeModel, life: NodeLife): Transport;
  /** What a node has open. */
  usageOf(node: NodeModel): { connections: number; listeners: number };
  /** The node's life is over; `silent` when the machine is gone, and the system on it says nothing to anybody. */
  crashed(node: NodeModel, silent: boolean): void;
  /** The machine is there again. */
  restarted(node: NodeModel): void;
}

/** One life of a node. */
export class NodeLife implements Life, NodeContext, Clock {
  ended = false;
  timers = 0;
  readonly incarnation: number;
  readonly platform: Platform;
  readonly transport: Transport;
  readonly #node: NodeModel;
  readonly #scheduler: Scheduler;
  /** What the monotonic clock showed when the simulation began: no two machines agree on that. */
  readonly #base: number;

  constructor(node: NodeModel, scheduler: Scheduler, network: NodeNetwork, incarnation: number, random: Random) {
    this.#node = node;
    this.#scheduler = scheduler;
    this.incarnation = incarnation;
    this.#base = random.u32() % 1_000_000;
    this.platform = { clock: this, random, turn: () => this.#event(0, "turn") };
    this.transport = network.transportOf(node, this);
  }

  get name(): string {
    return this.#node.name;
  }

  get durable(): Map<string, unknown> {
    return this.#node.durable;
  }

  now(): number {
    this.#scheduler.look();
    return this.#base + this.#scheduler.now;
  }

  wall(): number {
    return Math.floor(WALL_START + this.#node.wallOffsetMs + this.#scheduler.now);
  }

  timer(ms: number, fire: () => void): Disposable {
    return new SimulatedTimer(this, this.#scheduler, this.#node, ms > 0 ? Math.min(ms, MAX_TIMER_MS) : 0, fire);
  }

  /** Programs take it out of what they are given. */
  readonly sleep = (ms: number): Promise<void> => this.#event(ms, "sleep");

  #event(ms: number, what: string): Promise<void> {
    return new Promise((resolve) => this.#scheduler.after(ms, what, resolve, this.#node, this));
  }
}

class SimulatedTimer implements Disposable {
  readonly #life: NodeLife;
  readonly #event: SimulationEvent;
  #set = true;

  constructor(life: NodeLife, scheduler: Scheduler, node: NodeModel, ms: number, fire: () => void) {
    this.#life = life;
    life.timers++;
    const run = () => {
      this.#over();
      fire();
    };
    this.#event = scheduler.after(ms, "timer", run, node, life);
  }

  [Symbol.dispose](): void {
    this.#event[Symbol.dispose]();
    this.#over();
  }

  #over(): void {
    if (!this.#set) return;
    this.#set = false;
    this.#life.timers--;
  }
}

/** A node as it works. */
export class NodeModel implements SimulatedNode, Machine {
  readonly name: string;
  readonly durable: Map<string, unknown> = new Map();
  /** How far its wall clock is from that of the simulation, in milliseconds. */
  wallOffsetMs: number;
  readonly #scheduler: Scheduler;
  readonly #network: NodeNetwork;
  readonly #random: Random;
  readonly #postponed: SimulationEvent[] = [];
  #program: ((context: NodeContext) => unknown) | undefined;
  #made: unknown;
  #stopping: Promise<void> | undefined;
  #life: NodeLife | undefined;
  /** The life that it is in, or that ended in good order. */
  #left: NodeLife | undefined;
  #lives = 0;
  #paused = false;
  #costMs = 0;
  #busyUntil = 0;
  #reachable = true;

  /** Simulations make nodes. */
  constructor(name: string, scheduler: Scheduler, network: NodeNetwork, random: Random) {
    this.name = name;
    this.#scheduler = scheduler;
    this.#network = network;
    this.#random = random;
    this.wallOffsetMs = (random.u32() % (2 * WALL_SKEW_MS)) - WALL_SKEW_MS;
  }

  get incarnation(): number {
    return this.#lives;
  }

  get isUp(): boolean {
    return this.#life !== undefined;
  }

  /** Whether its system answers others, with a program or without. */
  get isReachable(): boolean {
    return this.#reachable;
  }

  get isPaused(): boolean {
    return this.#paused;
  }

  get busyUntil(): number {
    return this.#busyUntil;
  }

  get usage(): NodeUsage {
    return { timers: this.#left?.timers ?? 0, ...this.#network.usageOf(this) };
  }

  get context(): NodeContext {
    if (this.#life === undefined) throw new TypeError(`Cannot use node "${this.name}": it is not up`);
    return this.#life;
  }

  start<T>(program: (context: NodeContext) => Promise<T> | T): Promise<T> {
    if (this.#life !== undefined) throw new TypeError(`Cannot start node "${this.name}": it is up`);
    this.#program = program;
    return this.#begin() as Promise<T>;
  }

  restart(): Promise<unknown> {
    if (this.#program === undefined || this.#life !== undefined) {
      throw new TypeError(`Cannot restart node "${this.name}": it ${this.#life ? "is up" : "was never started"}`);
    }
    return this.#begin();
  }

  crash(options: { silent?: boolean } = {}): void {
    const life = this.#life;
    if (life === undefined) return;
    const silent = options.silent === true;
    this.#scheduler.log.event(this.#scheduler.now, this.name, silent ? "vanishes" : "crashes");
    this.resume();
    life.ended = true;
    this.#life = this.#left = undefined;
    this.#made = this.#stopping = undefined;
    this.#reachable = !silent;
    this.#network.crashed(this, silent);
  }

  stop(): Promise<void> {
    if (this.#stopping !== undefined) return this.#stopping;
    const stopping = this.#stop().finally(() => {
      if (this.#stopping === stopping) this.#stopping = undefined;
    });
    return this.#stopping = stopping;
  }

  pause(): void {
    if (this.#life === undefined || this.#paused) return;
    this.#scheduler.log.event(this.#scheduler.now, this.name, "stands still");
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#scheduler.log.event(this.#scheduler.now, this.name, "goes on");
    this.#paused = false;
    for (const event of this.#postponed.splice(0)) this.#scheduler.again(event);
  }

  jumpWallClock(ms: number): void {
    this.#scheduler.log.event(this.#scheduler.now, this.name, `sets its clock by ${ms} ms`);
    this.wallOffsetMs += ms;
  }

  slowDown(costMs: number): void {
    this.#costMs = costMs;
  }

  postpone(event: SimulationEvent): void {
    this.#postponed.push(event);
  }

  worked(): void {
    if (this.#costMs > 0) this.#busyUntil = this.#scheduler.now + this.#costMs;
  }

  async #stop(): Promise<void> {
    const made = this.#made;
    const life = this.#life;
    this.#made = undefined;
    if (typeof made === "object" && made !== null) {
      if (Symbol.asyncDispose in made) await (made as AsyncDisposable)[Symbol.asyncDispose]();
      else if (Symbol.dispose in made) (made as Disposable)[Symbol.dispose]();
    }
    if (life === undefined || this.#life !== life) return;
    life.ended = true;
    this.#life = undefined;
  }

  async #begin(): Promise<unknown> {
    const seed = this.#random.u32();
    const life = new NodeLife(this, this.#scheduler, this.#network, ++this.#lives, seededRandom(seed));
    this.#scheduler.log.event(this.#scheduler.now, this.name, `starts, life ${this.#lives}`);
    this.#life = this.#left = life;
    this.#busyUntil = 0;
    if (!this.#reachable) {
      this.#reachable = true;
      this.#network.restarted(this);
    }
    const made = await this.#program!(life);
    if (!life.ended) this.#made = made;
    return made;
  }
}
