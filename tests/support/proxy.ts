/**
 * A TCP proxy that does to connections what networks do: late, slow, in crumbs, not at all, and wrong.
 *
 * Built on `node:net`, because its `resetAndDestroy` sends a real RST at any time; `Deno.Conn` can only close with a FIN.
 */
import { connect, createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { below, fraction, type Random, runtimePlatform } from "../../src/core/platform.ts";
import { parseEndpoint } from "../../src/transport/endpoint.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";

/** What happens to the bytes of one direction. Positions count from the first byte of each connection, which is 0. */
export interface Faults {
  /** How much later bytes arrive, in milliseconds. */
  readonly latencyMs?: number;
  /** Up to how much later still, in milliseconds. Order is kept. */
  readonly jitterMs?: number;
  /** How many bytes arrive in a second. */
  readonly bytesPerSecond?: number;
  /** The fewest and the most bytes that arrive at once. */
  readonly sliceBytes?: readonly [min: number, max: number];
  /** How much later the end arrives than the last byte, in milliseconds. */
  readonly closeDelayMs?: number;
  /** Whether nothing arrives, neither bytes nor the end; what was sent arrives once this is lifted. */
  readonly blackhole?: boolean;
  /** The position from which on nothing arrives: both sides see the end instead. */
  readonly limitBytes?: number;
  /** The position where both sides see a reset instead. */
  readonly resetAtByte?: number;
  /** The position of a byte that arrives changed. */
  readonly corruptAtByte?: number;
  /** Which share of the connections all this happens to, 0 to 1. Default 1. */
  readonly toxicity?: number;
}

/** Faults of both directions. */
export interface ProxyFaults {
  /** From the side that dialled to the target. */
  readonly up?: Faults;
  /** From the target to the side that dialled. */
  readonly down?: Faults;
}

/** How a proxy is made. */
export interface ProxyOptions extends ProxyFaults {
  /** Where its chance comes from: the same for the same connection and direction. Default 1. */
  readonly seed?: number;
}

/** How many bytes one direction holds before it reads no more. */
const HELD_BYTES = 256 * 1024;
/** How often a direction with a bandwidth delivers. */
const BANDWIDTH_STEP_MS = 10;

/** While it is busy, the runtime looks at its sockets only every 61st turn: sooner, what was written is not read yet. */
const POLL_TURNS = 64;

/** Starts a proxy in front of `target`, an endpoint such as `tcp://127.0.0.1:4000`. Whoever starts it disposes it. */
export async function startProxy(target: string, options: ProxyOptions = {}): Promise<FaultyProxy> {
  const proxy = new FaultyProxy(target, options);
  await proxy.enable();
  return proxy;
}

/** A proxy that was started. */
export class FaultyProxy implements AsyncDisposable {
  readonly #target: { host: string; port: number };
  readonly #seed: number;
  readonly #links = new Set<Link>();
  #faults: { up: Faults; down: Faults };
  #server: Server | undefined;
  #port = 0;
  #accepted = 0;

  /** Makes a proxy that listens nowhere yet. @throws {TypeError} when the target is not `tcp://host:port` */
  constructor(target: string, { up = {}, down = {}, seed = 1 }: ProxyOptions) {
    const endpoint = parseEndpoint(target);
    if (endpoint.scheme !== "tcp") {
      throw new TypeError(`Cannot stand in front of ${target}: it must be tcp://host:port`);
    }
    this.#target = endpoint;
    this.#faults = { up, down };
    this.#seed = seed;
  }

  /** Where it can be dialled. It stays the same while it is disabled. */
  get endpoint(): string {
    return `tcp://127.0.0.1:${this.#port}`;
  }

  /** How many connections it has accepted. */
  get accepted(): number {
    return this.#accepted;
  }

  /** How many connections go through it now. */
  get connections(): number {
    return this.#links.size;
  }

  /** Replaces the faults of the directions that are named, at once and also for connections that are open. */
  set(faults: ProxyFaults): void {
    this.#faults = { ...this.#faults, ...faults };
    for (const link of this.#links) link.set(this.#faults);
  }

  /** Resets every connection now. */
  reset(): void {
    for (const link of this.#links) link.reset();
  }

  /** Refuses connections from now on, and resets those that are open. */
  async disable(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    const links = [...this.#links];
    this.reset();
    await Promise.all([closed, ...links.map((link) => link.closed)]);
  }

  /** Takes connections, again where it did before. */
  async enable(): Promise<void> {
    if (this.#server !== undefined) return;
    const server = this.#server = createServer({ allowHalfOpen: true }, (near) => this.#accept(near));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.#port, "127.0.0.1", () => resolve());
    });
    this.#port = (server.address() as AddressInfo).port;
  }

  /** Resets every connection, and is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.disable();
  }

  #accept(near: Socket): void {
    const far = connect({ ...this.#target, allowHalfOpen: true });
    const seed = this.#seed + 2 * this.#accepted++;
    const link = new Link(near, far, seed, this.#faults);
    this.#links.add(link);
    void link.closed.then(() => this.#links.delete(link));
  }
}

/** One connection through the proxy: two sockets, and a pump for each direction. */
class Link {
  /** Resolves when both sockets are gone. */
  readonly closed: Promise<unknown>;
  readonly #sockets: readonly Socket[];
  readonly #up: Pump;
  readonly #down: Pump;

  constructor(near: Socket, far: Socket, seed: number, faults: { up: Faults; down: Faults }) {
    this.#sockets = [near, far];
    for (const socket of this.#sockets) {
      socket.setNoDelay(true); // or the kernel glues slices together
      // A reset of one side is a reset of the other.
      socket.on("error", () => this.reset());
    }
    const cut = { end: () => this.end(), reset: () => this.reset() };
    this.#up = new Pump(near, far, seededRandom(seed), faults.up, cut);
    this.#down = new Pump(far, near, seededRandom(seed + 1), faults.down, cut);
    const gone = this.#sockets.map((socket) => new Promise<void>((resolve) => socket.once("close", resolve)));
    this.closed = Promise.all(gone).then(() => this.#stop());
  }

  set({ up, down }: { up: Faults; down: Faults }): void {
    this.#up.set(up);
    this.#down.set(down);
  }

  end(): void {
    this.#stop();
    for (const socket of this.#sockets) socket.destroy();
  }

  reset(): void {
    this.#stop();
    for (const socket of this.#sockets) if (!socket.destroyed) socket.resetAndDestroy();
  }

  #stop(): void {
    this.#up.stop();
    this.#down.stop();
  }
}

/** One direction of one connection. */
class Pump {
  readonly #source: Socket;
  readonly #target: Socket;
  readonly #random: Random;
  readonly #cut: { end(): void; reset(): void };
  readonly #luck: number;
  readonly #held: { bytes: Uint8Array; dueAt: number }[] = [];
  #faults!: Faults;
  #heldBytes = 0;
  #position = 0;
  #ended = false;
  #stopped = false;
  #changed = Promise.withResolvers<void>();

  constructor(source: Socket, target: Socket, random: Random, faults: Faults, cut: { end(): void; reset(): void }) {
    this.#source = source;
    this.#target = target;
    this.#random = random;
    this.#cut = cut;
    this.#luck = fraction(random);
    this.set(faults);
    void this.#take();
    void this.#deliver();
  }

  set(faults: Faults): void {
    this.#faults = this.#luck < (faults.toxicity ?? 1) ? faults : {};
    this.#change();
  }

  stop(): void {
    this.#stopped = true;
    this.#change();
  }

  async #take(): Promise<void> {
    try {
      for await (const bytes of this.#source.iterator({ destroyOnReturn: false })) {
        const { latencyMs = 0, jitterMs = 0 } = this.#faults;
        const before = this.#held.at(-1)?.dueAt ?? 0;
        const lateMs = latencyMs + fraction(this.#random) * jitterMs;
        this.#held.push({ bytes, dueAt: Math.max(before, runtimePlatform.clock.now() + lateMs) });
        this.#heldBytes += bytes.length;
        this.#change();
        await this.#until(() => this.#heldBytes < HELD_BYTES);
        if (this.#stopped) return;
      }
    } catch {
      return; // the socket's "error" event has told the link
    }
    this.#ended = true;
    this.#change();
  }

  async #deliver(): Promise<void> {
    for (;;) {
      await this.#until(() => this.#held.length > 0 || this.#ended);
      const next = this.#held[0];
      if (next === undefined) break;
      await this.#pauseUntil(next.dueAt);
      for (let at = 0; at < next.bytes.length;) {
        await this.#until(() => !this.#faults.blackhole);
        if (this.#stopped) return;
        at += await this.#deliverSome(next.bytes.subarray(at));
      }
      this.#held.shift();
      this.#heldBytes -= next.bytes.length;
      this.#change();
    }
    await this.#pauseUntil(runtimePlatform.clock.now() + (this.#faults.closeDelayMs ?? 0));
    await this.#until(() => !this.#faults.blackhole);
    if (!this.#stopped) this.#target.end();
  }

  /** Delivers as much at once as the faults allow. */
  async #deliverSome(bytes: Uint8Array): Promise<number> {
    const { sliceBytes, bytesPerSecond, limitBytes = Infinity, resetAtByte = Infinity, corruptAtByte = -1 } =
      this.#faults;
    const from = this.#position;
    if (from >= resetAtByte) this.#cut.reset();
    else if (from >= limitBytes) this.#cut.end();
    if (this.#stopped) return bytes.length;
    let count = Math.min(bytes.length, limitBytes - from, resetAtByte - from);
    if (sliceBytes !== undefined) {
      const [min, max] = sliceBytes;
      count = Math.min(count, min + below(this.#random, max - min + 1));
    }
    if (bytesPerSecond !== undefined) {
      count = Math.min(count, Math.max(1, Math.floor(bytesPerSecond * BANDWIDTH_STEP_MS / 1_000)));
      await this.#pauseUntil(runtimePlatform.clock.now() + count / bytesPerSecond * 1_000);
      if (this.#stopped) return bytes.length;
    }
    if (corruptAtByte >= from && corruptAtByte < from + count) {
      bytes[corruptAtByte - from] ^= 1 + below(this.#random, 255);
    }
    this.#position += count;
    await new Promise<void>((resolve) => this.#target.write(bytes.subarray(0, count), () => resolve()));
    if (sliceBytes !== undefined) {
      // Some slices are read on their own, others together with those behind them; of much that comes at once most, for speed.
      const turns = below(this.#random, bytes.length < 4_096 ? 4 : 32) === 0 ? POLL_TURNS : 4;
      for (let turn = 0; turn < turns; turn++) await runtimePlatform.turn();
    }
    return count;
  }

  /** Waits until something is so, or the pump is stopped. */
  async #until(isSo: () => boolean): Promise<void> {
    while (!this.#stopped && !isSo()) await this.#changed.promise;
  }

  /** Waits until it is so late, or the pump is stopped. */
  async #pauseUntil(time: number): Promise<void> {
    const ms = time - runtimePlatform.clock.now();
    if (ms <= 0) return;
    let over = false;
    using _timer = runtimePlatform.clock.timer(ms, () => {
      over = true;
      this.#change();
    });
    await this.#until(() => over);
  }

  #change(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    resolve();
  }
}
