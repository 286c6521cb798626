/** The network of a simulation: hosts are the names of its nodes, and between any two of them there is a link each way. */
import type { Random } from "../core/platform.ts";
import type { ByteConnection, ByteListener } from "../transport/byte_connection.ts";
import { formatEndpoint, isWildcardHost, parseEndpoint } from "../transport/endpoint.ts";
import type { ConnectOptions } from "../transport/options.ts";
import type { Transport } from "../transport/transport.ts";
import { checkLink, DEFAULT_LINK, Link, type LinkOptions } from "./link.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SimulatedNetwork } from "./simulated.ts";
import type { NodeLife, NodeModel, NodeNetwork } from "./simulated_node.ts";
import { ConnectionError, Pipe, type PipeEnd } from "./simulated_pipe.ts";

/** How long the system tries to connect before it gives up. */
const CONNECT_TIMEOUT_MS = 127_000;
/** How many connections wait to be accepted; beyond that the system answers nobody. */
const BACKLOG = 128;
/** When the system tries again to reach whom it could not. */
const RETRY_MS = 1_000;
const FIRST_FREE_PORT = 40_001;

/** A network as it works. */
export class NetworkModel implements SimulatedNetwork, NodeNetwork {
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #nodes: ReadonlyMap<string, NodeModel>;
  readonly #links = new Map<string, Link>();
  readonly #listeners = new Map<string, Listener>();
  readonly #ends = new Map<NodeModel, Set<End>>();
  #options: Required<LinkOptions>;
  #nextPort = FIRST_FREE_PORT;

  /** Simulations make networks. @throws {RangeError} when an option is out of range */
  constructor(
    scheduler: Scheduler,
    random: Random,
    nodes: ReadonlyMap<string, NodeModel>,
    options: LinkOptions | undefined,
  ) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.#nodes = nodes;
    this.#options = checkLink(DEFAULT_LINK, options);
  }

  set(options: LinkOptions): void {
    this.#options = checkLink(this.#options, options);
    for (const link of this.#links.values()) link.options = checkLink(link.options, options);
  }

  setLink(from: string, to: string, options: LinkOptions): void {
    const link = this.#link(from, to);
    link.options = checkLink(link.options, options);
  }

  block(from: string, to: string): void {
    this.#tell(`no way from ${from} to ${to}`);
    this.#link(from, to).blocked = true;
  }

  unblock(from: string, to: string): void {
    this.#tell(`a way from ${from} to ${to}`);
    this.#link(from, to).unblock();
  }

  partition(left: Iterable<string>, right: Iterable<string>): void {
    const others = [...right];
    for (const one of left) {
      for (const other of others) {
        if (one === other) continue;
        this.block(one, other);
        this.block(other, one);
      }
    }
  }

  heal(): void {
    this.#tell("heals");
    for (const link of this.#links.values()) link.unblock();
  }

  reset(one: string, other: string): void {
    this.#tell(`resets ${one} and ${other}`);
    for (const [node, ends] of this.#ends) {
      for (const end of [...ends]) {
        if (node.name === one && end.peer.node.name === other) {
          end.onReset();
          end.peer.onReset();
        }
      }
    }
  }

  transportOf(node: NodeModel, life: NodeLife): Transport {
    return {
      connect: (endpoint, options = {}) => this.#connect(node, life, endpoint, options),
      listen: (endpoint) => Promise.try(() => this.#listen(node, life, endpoint)),
    };
  }

  usageOf(node: NodeModel): { connections: number; listeners: number } {
    let listeners = 0;
    for (const listener of this.#listeners.values()) if (listener.node === node) listeners++;
    return { connections: this.#endsOf(node).size, listeners };
  }

  crashed(node: NodeModel, silent: boolean): void {
    for (const [endpoint, listener] of [...this.#listeners]) {
      if (listener.node !== node) continue;
      this.#listeners.delete(endpoint);
      listener.vanish();
    }
    for (const end of [...this.#endsOf(node)]) end.vanish(silent);
  }

  restarted(node: NodeModel): void {
    // Whoever still sends to it learns that it knows nothing of that.
    for (const ends of this.#ends.values()) {
      for (const end of ends) if (end.peer.node === node) end.retransmit();
    }
  }

  #tell(what: string): void {
    this.#scheduler.log.event(this.#scheduler.now, "network", what);
  }

  #link(from: string, to: string): Link {
    const key = `${from}>${to}`;
    let link = this.#links.get(key);
    if (link === undefined) {
      // What a node tells itself does not leave it.
      const options = from === to ? { ...DEFAULT_LINK, latencyMs: 0 } : this.#options;
      this.#links.set(key, link = new Link(options, this.#random));
    }
    return link;
  }

  #endsOf(node: NodeModel): Set<End> {
    let ends = this.#ends.get(node);
    if (ends === undefined) this.#ends.set(node, ends = new Set());
    return ends;
  }

  #listen(node: NodeModel, life: NodeLife, text: string): ByteListener {
    const { host, port } = addressOf(text);
    if (host !== node.name && !isOwnHost(host)) {
      throw new Error(`Cannot listen on ${text}: node "${node.name}" has no such address`);
    }
    const endpoint = formatEndpoint({ scheme: "tcp", host: node.name, port: port || this.#nextPort++ });
    if (this.#listeners.has(endpoint)) throw new Error(`Cannot listen on ${endpoint}: the address is in use`);
    const gone = () => this.#listeners.delete(endpoint);
    const listener = new Listener(endpoint, node, life, this.#scheduler, gone);
    this.#listeners.set(endpoint, listener);
    return listener;
  }

  #connect(node: NodeModel, life: NodeLife, text: string, { signal }: ConnectOptions): Promise<ByteConnection> {
    const { promise, resolve, reject } = Promise.withResolvers<ByteConnection>();
    let target: string;
    try {
      const { host, port } = addressOf(text);
      signal?.throwIfAborted();
      target = formatEndpoint({ scheme: "tcp", host: isOwnHost(host) ? node.name : host, port });
      if (!this.#nodes.has(addressOf(target).host)) throw new Error(`Cannot dial ${text}: there is no such host`);
    } catch (error) {
      return Promise.reject(error);
    }
    const local = formatEndpoint({ scheme: "tcp", host: node.name, port: this.#nextPort++ });
    const dial = new Dial(local, target, node, life, resolve, (error) => reject(error));
    const late = () => dial.fail(new ConnectionError("TimedOut", `Cannot dial ${text}: nobody answered`));
    const timer = this.#scheduler.after(CONNECT_TIMEOUT_MS, "gives up dialling", late, node, life);
    const aborted = () => dial.fail(signal!.reason);
    signal?.addEventListener("abort", aborted);
    dial.onOver = () => {
      timer[Symbol.dispose]();
      signal?.removeEventListener("abort", aborted);
    };
    this.#knock(dial);
    return promise;
  }

  /** The first segment goes there. */
  #knock(dial: Dial): void {
    if (dial.over) return;
    const far = this.#nodes.get(addressOf(dial.target).host)!;
    const there = this.#link(dial.node.name, far.name);
    if (there.blocked) return there.whenFree(() => this.#knock(dial));
    const { lostDials, refusals } = there.options;
    if (there.happens(lostDials)) return;
    const refused = there.happens(refusals);
    this.#scheduler.after(there.delayMs(), `dials ${dial.local}>${dial.target}`, () => {
      if (dial.over || dial.life.ended) return;
      if (there.blocked || !far.isReachable) return this.#knockLater(dial);
      const listener = this.#listeners.get(dial.target);
      if (refused || listener === undefined) return this.#answer(dial, far, undefined);
      if (listener.waiting >= BACKLOG) return this.#knockLater(dial);
      const back = this.#link(far.name, dial.node.name);
      const near = new End(this.#endsOf(dial.node), dial.node, dial.life, dial.local, dial.target);
      const other = new End(this.#endsOf(far), far, listener.life, dial.target, dial.local);
      const pipe = (from: End, to: End, links: { there: Link; back: Link }) =>
        new Pipe(`${from.local}>${to.local}`, this.#scheduler, this.#random, links, from, to);
      const up = pipe(near, other, { there, back });
      const down = pipe(other, near, { there: back, back: there });
      near.join(other, down, up);
      other.join(near, up, down);
      listener.offer(other, there);
      this.#answer(dial, far, near);
    }, far);
  }

  #knockLater(dial: Dial): void {
    this.#scheduler.after(RETRY_MS, "dials again", () => this.#knock(dial), dial.node, dial.life);
  }

  /** The answer comes back: a connection, or that nobody listens. */
  #answer(dial: Dial, far: NodeModel, near: End | undefined): void {
    const back = this.#link(far.name, dial.node.name);
    if (back.blocked) return back.whenFree(() => this.#answer(dial, far, near));
    this.#scheduler.after(back.delayMs(), `answers ${dial.target}>${dial.local}`, () => {
      if (back.blocked) return this.#answer(dial, far, near);
      if (dial.over || dial.life.ended) return near?.close();
      if (near === undefined) {
        dial.fail(new ConnectionError("ConnectionRefused", `Cannot dial ${dial.target}: nobody listens there`));
      } else dial.succeed(near);
    }, dial.node);
  }
}

/** Somebody who dials. */
class Dial {
  over = false;
  onOver: (() => void) | undefined;
  readonly #resolve: (connection: ByteConnection) => void;
  readonly #reject: (error: unknown) => void;

  constructor(
    readonly local: string,
    readonly target: string,
    readonly node: NodeModel,
    readonly life: NodeLife,
    resolve: (connection: ByteConnection) => void,
    reject: (error: unknown) => void,
  ) {
    this.#resolve = resolve;
    this.#reject = reject;
  }

  succeed(near: End): void {
    this.#end();
    this.#resolve(near);
  }

  fail(error: unknown): void {
    if (this.over) return;
    this.#end();
    this.#reject(error);
  }

  #end(): void {
    this.over = true;
    this.onOver?.();
  }
}

/** One end of a connection. It is in the set of its node's ends while it is open. */
class End implements ByteConnection, PipeEnd {
  readonly node: NodeModel;
  readonly life: NodeLife;
  readonly local: string;
  readonly remote: string;
  peer!: End;
  isGone = false;
  readonly #ends: Set<End>;
  #incoming!: Pipe;
  #outgoing!: Pipe;

  constructor(ends: Set<End>, node: NodeModel, life: NodeLife, local: string, remote: string) {
    this.#ends = ends;
    this.node = node;
    this.life = life;
    this.local = local;
    this.remote = remote;
    ends.add(this);
  }

  join(peer: End, incoming: Pipe, outgoing: Pipe): void {
    this.peer = peer;
    this.#incoming = incoming;
    this.#outgoing = outgoing;
  }

  get machine(): NodeModel {
    return this.node;
  }

  get isOpen(): boolean {
    return this.#ends.has(this);
  }

  read(target: Uint8Array): Promise<number | null> {
    if (!this.isOpen) return Promise.reject(closedError("read"));
    return this.#incoming.read(target);
  }

  write(source: Uint8Array): Promise<number> {
    if (!this.isOpen) return Promise.reject(closedError("write"));
    return this.#outgoing.write(source);
  }

  closeWrite(): Promise<void> {
    if (!this.isOpen) return Promise.reject(closedError("close for writing"));
    this.#outgoing.end();
    return Promise.resolve();
  }

  /** As the system does it: with a reset when something was not read, in good order otherwise. */
  close(): void {
    if (!this.#ends.delete(this)) return;
    if (this.#incoming.hasUnread) this.#outgoing.reset();
    else this.#outgoing.end();
    this.#incoming.closeReader(closedError("read"));
    this.#outgoing.closeWriter(closedError("write"));
  }

  /** Its program is dead, and nobody waits for anything any more. */
  vanish(silent: boolean): void {
    this.#ends.delete(this);
    if (silent) this.isGone = true;
    else if (this.#incoming.hasUnread) this.#outgoing.reset();
    else this.#outgoing.end();
    this.#incoming.closeReader(undefined);
    this.#outgoing.closeWriter(undefined);
  }

  /** Its peer's machine is there again. */
  retransmit(): void {
    this.peer.isGone = false;
    this.#outgoing.retransmit();
  }

  onReset(): void {
    if (!this.isOpen) return;
    const error = new ConnectionError("ConnectionReset", `Cannot go on: ${this.remote} reset the connection`);
    // Systems differ on whether what came before the reset can still be read.
    this.#incoming.closeReader(error, this.local < this.remote);
    this.#outgoing.closeWriter(error);
  }

  refuse(): void {
    this.#outgoing.reset();
  }
}

function closedError(what: string): ConnectionError {
  return new ConnectionError("BadResource", `Cannot ${what}: the connection was closed`);
}

class Listener implements ByteListener {
  readonly endpoint: string;
  readonly node: NodeModel;
  readonly life: NodeLife;
  readonly #scheduler: Scheduler;
  readonly #gone: () => void;
  #backlog: End[] = [];
  #takers: { resolve(end: End): void; reject(error: Error): void }[] = [];
  #open = true;

  constructor(endpoint: string, node: NodeModel, life: NodeLife, scheduler: Scheduler, gone: () => void) {
    this.endpoint = endpoint;
    this.node = node;
    this.life = life;
    this.#scheduler = scheduler;
    this.#gone = gone;
  }

  get waiting(): number {
    return this.#backlog.length;
  }

  accept(): Promise<ByteConnection> {
    if (!this.#open) return Promise.reject(listenerClosed());
    const end = this.#backlog.shift();
    if (end !== undefined) return Promise.resolve(end);
    return new Promise((resolve, reject) => this.#takers.push({ resolve, reject }));
  }

  offer(end: End, link: Link): void {
    const taker = this.#takers.shift();
    if (taker === undefined) this.#backlog.push(end);
    else if (link.happens(link.options.acceptErrors)) {
      this.#backlog.push(end);
      taker.reject(new Error("Cannot accept a connection: too many open files"));
    } else taker.resolve(end);
  }

  close(): void {
    if (!this.#open) return;
    this.vanish();
    for (const taker of this.#takers.splice(0)) taker.reject(listenerClosed());
    this.#gone();
  }

  /** Nobody takes connections any more, and nobody is told. */
  vanish(): void {
    this.#open = false;
    for (const end of this.#backlog.splice(0)) end.close();
  }
}

function listenerClosed(): Error {
  return new ConnectionError("BadResource", "Cannot accept a connection: the listener was closed");
}

function isOwnHost(host: string): boolean {
  return host === "127.0.0.1" || host === "localhost" || host === "::1" || isWildcardHost(host);
}

/** @throws {TypeError} when it is not `tcp://host:port` */
function addressOf(text: string): { host: string; port: number } {
  const endpoint = parseEndpoint(text);
  if (endpoint.scheme !== "tcp") {
    throw new TypeError(`Cannot use ${text} in a simulation: its network carries tcp://host:port alone`);
  }
  return endpoint;
}
