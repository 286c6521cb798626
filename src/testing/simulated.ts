import type { Platform } from "../core/platform.ts";
import type { Transport } from "../transport/transport.ts";
import type { LinkOptions } from "./link.ts";

/** What a node's program gets. It dies with the life that it was made for. */
export interface NodeContext {
  /** The node's name, which is also the host under which others dial it. */
  readonly name: string;
  /** Which life of the node this is: 1, 2, … */
  readonly incarnation: number;
  /** Time and chance, for `Server`, `Client`, `Center` and all that takes a platform. */
  readonly platform: Platform;
  /** The network as the node sees it: `tcp://<name of a node>:<port>`. Listening on a loopback or wildcard address is
   * listening under the node's own name, and dialling a loopback address is dialling oneself. */
  readonly transport: Transport;
  /** What outlives a crash, as a disk does. */
  readonly durable: Map<string, unknown>;
  /** Resolves after `ms` of virtual time, unless the node has crashed by then: then never. */
  sleep(ms: number): Promise<void>;
}

/** What a node has open. */
export interface NodeUsage {
  /** Timers that are set. */
  readonly timers: number;
  /** Connections that are not closed. */
  readonly connections: number;
  /** Listeners that are not closed. */
  readonly listeners: number;
}

/**
 * A machine in a simulation, and the program on it. Its program lives until `crash` or `stop`; `restart` begins another life of
 * it under the same name.
 */
export interface SimulatedNode {
  /** Its name: the host under which others dial it. */
  readonly name: string;
  /** Which life it is in, or was in last; 0 before it was started. */
  readonly incarnation: number;
  /** Whether its program is alive. */
  readonly isUp: boolean;
  /** Whether it stands still. */
  readonly isPaused: boolean;
  /** What outlives its crashes. */
  readonly durable: Map<string, unknown>;
  /** What its program has open, or has left open when it was stopped: then all of it is 0, or something leaks. */
  readonly usage: NodeUsage;
  /** What its program was given in this life. @throws {TypeError} when it is not up */
  readonly context: NodeContext;
  /**
   * Runs a program on it, and again after each `restart`. Resolves with what the program returns, never if the node crashes
   * before; `stop` disposes that if it can be disposed. @throws {TypeError} when it is up already
   */
  start<T>(program: (context: NodeContext) => Promise<T> | T): Promise<T>;
  /** Begins another life with the same program. @throws {TypeError} when it is up, or was never started */
  restart(): Promise<unknown>;
  /**
   * Ends its life at once, as `kill -9` does: nothing of the program runs any more, and the system closes its connections.
   * With `silent` the machine itself is gone, so that others hear nothing at all until it is restarted.
   */
  crash(options?: { silent?: boolean }): void;
  /** Ends its life in good order: what the program returned is disposed, and then nothing of it may be left. */
  stop(): Promise<void>;
  /** Makes it stand still, as SIGSTOP or a long collection of garbage does. What comes meanwhile waits. */
  pause(): void;
  /** Lets it go on. */
  resume(): void;
  /** Moves its wall clock, as an operator or a bad time server does. Monotonic clocks know nothing of that. */
  jumpWallClock(ms: number): void;
  /** Makes everything that it does take so long, in milliseconds: a slow processor. 0 is fast again. */
  slowDown(costMs: number): void;
}

/** What lies between the nodes of a simulation: a link each way between any two. */
export interface SimulatedNetwork {
  /** Changes how bytes go on every link, from now on; what is not named stays. @throws {RangeError} when it is out of range */
  set(options: LinkOptions): void;
  /** Changes how bytes go from one node to another, from now on. @throws {RangeError} when it is out of range */
  setLink(from: string, to: string, options: LinkOptions): void;
  /** Lets nothing through any more from one node to another: a black hole. What is under way waits; nobody is told. */
  block(from: string, to: string): void;
  /** Lets everything through again from one node to another, also what has waited. */
  unblock(from: string, to: string): void;
  /** Blocks all links between the nodes of two groups, both ways. */
  partition(left: Iterable<string>, right: Iterable<string>): void;
  /** Unblocks every link. */
  heal(): void;
  /** Resets every connection between two nodes. */
  reset(one: string, other: string): void;
}
