/**
 * A network inside one process: listeners by name, and pairs of connections that behave like sockets. Writing waits while
 * the other side does not read.
 */
import type { ByteConnection, ByteListener } from "./byte_connection.ts";

/** How many bytes one direction holds. */
const CAPACITY = 256 * 1024;

/** One direction: bytes that were written and not read. */
class Pipe {
  #chunks: Uint8Array[] = [];
  #size = 0;
  #ended = false;
  #broken: Error | undefined;
  #readable: (() => void) | undefined;
  #writable: (() => void) | undefined;

  async read(target: Uint8Array): Promise<number | null> {
    while (this.#size === 0) {
      if (this.#broken !== undefined) throw this.#broken;
      if (this.#ended) return null;
      await new Promise<void>((resolve) => this.#readable = resolve);
    }
    let count = 0;
    while (count < target.length && this.#chunks.length > 0) {
      const chunk = this.#chunks[0];
      const taken = Math.min(chunk.length, target.length - count);
      target.set(taken === chunk.length ? chunk : chunk.subarray(0, taken), count);
      count += taken;
      if (taken === chunk.length) this.#chunks.shift();
      else this.#chunks[0] = chunk.subarray(taken);
    }
    this.#size -= count;
    this.#wakeWriter();
    return count;
  }

  async write(source: Uint8Array): Promise<number> {
    while (this.#size >= CAPACITY && this.#broken === undefined && !this.#ended) {
      await new Promise<void>((resolve) => this.#writable = resolve);
    }
    if (this.#broken !== undefined) throw this.#broken;
    if (this.#ended) throw new Error("Cannot write: the connection was closed for writing");
    const count = Math.min(source.length, CAPACITY - this.#size);
    this.#chunks.push(source.slice(0, count));
    this.#size += count;
    this.#wakeReader();
    return count;
  }

  end(): void {
    this.#ended = true;
    this.#wakeReader();
    this.#wakeWriter();
  }

  break(error: Error): void {
    this.#broken ??= error;
    this.#wakeReader();
    this.#wakeWriter();
  }

  #wakeReader(): void {
    const wake = this.#readable;
    this.#readable = undefined;
    wake?.();
  }

  #wakeWriter(): void {
    const wake = this.#writable;
    this.#writable = undefined;
    wake?.();
  }
}

class MemoryConnection implements ByteConnection {
  readonly local: string;
  readonly remote: string;
  readonly #incoming: Pipe;
  readonly #outgoing: Pipe;

  constructor(local: string, remote: string, incoming: Pipe, outgoing: Pipe) {
    this.local = local;
    this.remote = remote;
    this.#incoming = incoming;
    this.#outgoing = outgoing;
  }

  read(target: Uint8Array): Promise<number | null> {
    return this.#incoming.read(target);
  }

  write(source: Uint8Array): Promise<number> {
    return this.#outgoing.write(source);
  }

  closeWrite(): Promise<void> {
    this.#outgoing.end();
    return Promise.resolve();
  }

  /** The other side reads what was written, then the end; its writes fail. */
  close(): void {
    this.#outgoing.end();
    this.#incoming.break(new Error("The connection was closed"));
  }
}

/** Two ends of one connection in memory. */
export function memoryPair(left: string, right: string): [ByteConnection, ByteConnection] {
  const [there, back] = [new Pipe(), new Pipe()];
  return [new MemoryConnection(left, right, back, there), new MemoryConnection(right, left, there, back)];
}

class MemoryListener implements ByteListener {
  readonly endpoint: string;
  readonly #closed: () => void;
  #waiting: ByteConnection[] = [];
  #takers: { resolve(conn: ByteConnection): void; reject(error: Error): void }[] = [];
  #open = true;

  constructor(endpoint: string, closed: () => void) {
    this.endpoint = endpoint;
    this.#closed = closed;
  }

  accept(): Promise<ByteConnection> {
    if (!this.#open) return Promise.reject(new Error("The listener was closed"));
    const conn = this.#waiting.shift();
    if (conn !== undefined) return Promise.resolve(conn);
    return new Promise((resolve, reject) => this.#takers.push({ resolve, reject }));
  }

  offer(conn: ByteConnection): void {
    const taker = this.#takers.shift();
    if (taker !== undefined) taker.resolve(conn);
    else this.#waiting.push(conn);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#closed();
    for (const conn of this.#waiting) conn.close();
    for (const taker of this.#takers) taker.reject(new Error("The listener was closed"));
  }
}

/** Listeners by name. */
export class MemoryNetwork {
  readonly #listeners = new Map<string, MemoryListener>();
  #dialled = 0;

  /** Connects to a listener. @throws {Error} when there is none of that name */
  connect(name: string): ByteConnection {
    const listener = this.#listeners.get(name);
    if (listener === undefined) throw new Error(`Connection refused: nobody listens on memory://${name}`);
    const [near, far] = memoryPair(`memory://${name}:${++this.#dialled}`, `memory://${name}`);
    listener.offer(far);
    return near;
  }

  /** Listens under a name. @throws {Error} when it is taken */
  listen(name: string): ByteListener {
    if (this.#listeners.has(name)) throw new Error(`Address in use: somebody listens on memory://${name}`);
    const listener = new MemoryListener(`memory://${name}`, () => this.#listeners.delete(name));
    this.#listeners.set(name, listener);
    return listener;
  }
}

/** What `memory://` means in this process. */
export const processMemory: MemoryNetwork = new MemoryNetwork();
