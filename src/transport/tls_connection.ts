import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { ByteConnection, PeerCertificate } from "./byte_connection.ts";
import { formatEndpoint } from "./endpoint.ts";
import { asTlsError } from "./tls_error.ts";

/** How much is handed to the socket at once: what it has not written yet does not count as progress. */
const MAX_WRITE_BYTES = 64 * 1024;

/** What stands under a TCP socket of `node:net`, as far as it is used here. */
interface Handle {
  readStart(): void;
  readStop(): void;
}

/** A connection over a TLS socket of `node:tls` whose handshake is over and whose other side is trusted. */
export class TlsConnection implements ByteConnection {
  readonly local: string;
  readonly remote: string;
  readonly peerCertificate: PeerCertificate | undefined;
  readonly begunAt: number | undefined;
  readonly #socket: TLSSocket;
  readonly #tcp: Socket;
  /** What came and was not read yet: of one chunk of TCP, or two. */
  #held: Uint8Array[] = [];
  #stopped = false;
  #ended = false;
  #failure: Error | undefined;
  #closed = false;
  #wakeReader: (() => void) | undefined;
  #failWriter: ((error: Error) => void) | undefined;

  /**
   * @param tcp the socket that `socket` encrypts; reading it is stopped while nobody reads here
   * @param taken what its listener knows
   */
  constructor(
    socket: TLSSocket,
    tcp: Socket,
    remote: string,
    taken: { peerCertificate?: PeerCertificate; begunAt?: number } = {},
  ) {
    this.#socket = socket;
    this.#tcp = tcp;
    this.local = urlOf(tcp.localAddress, tcp.localPort) ?? remote;
    this.remote = remote;
    this.peerCertificate = taken.peerCertificate;
    this.begunAt = taken.begunAt;
    socket.setNoDelay(true); // small frames must not wait for the answer to the one before
    socket.on("data", (chunk: Uint8Array) => {
      this.#held.push(chunk);
      if (this.#wakeReader === undefined) this.#stop();
      else this.#wake();
    });
    socket.on("end", () => {
      this.#ended = true;
      this.#wake();
    });
    socket.on("error", (error) => this.#fail(asTlsError(error)));
    socket.on("close", () => this.#fail(new Error("The connection was closed")));
  }

  async read(target: Uint8Array): Promise<number | null> {
    while (this.#held.length === 0) {
      if (this.#ended) return null;
      if (this.#failure !== undefined) throw this.#failure;
      const chunk = new Promise<void>((resolve) => this.#wakeReader = resolve);
      this.#start();
      await chunk;
    }
    if (this.#closed) throw this.#failure;
    const [chunk] = this.#held;
    const count = Math.min(chunk.length, target.length);
    target.set(count === chunk.length ? chunk : chunk.subarray(0, count));
    if (count === chunk.length) this.#held.shift();
    else this.#held[0] = chunk.subarray(count);
    return count;
  }

  write(source: Uint8Array): Promise<number> {
    const part = source.length > MAX_WRITE_BYTES ? source.subarray(0, MAX_WRITE_BYTES) : source;
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure);
      this.#failWriter = reject;
      this.#socket.write(part, (error) => {
        this.#failWriter = undefined;
        if (error) reject(asTlsError(error));
        else resolve(part.length);
      });
    });
  }

  closeWrite(): Promise<void> {
    return new Promise((resolve) => this.#socket.end(() => resolve()));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    // Says goodbye if there is room for it at once, so that the other side knows that nothing was cut off.
    this.#socket.end();
    this.#socket.destroy();
    this.#held = [];
    this.#fail(new Error("The connection was closed"));
  }

  /**
   * Stops reading where it holds: a TLS socket that is paused has this runtime read on into memory without bound, and
   * forget the end if it comes meanwhile. Where there is no such handle, pausing is what there is.
   */
  #stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    const handle = handleOf(this.#tcp);
    if (handle !== undefined) handle.readStop();
    else this.#socket.pause();
  }

  #start(): void {
    if (!this.#stopped) return;
    this.#stopped = false;
    const handle = handleOf(this.#tcp);
    if (handle !== undefined) handle.readStart();
    else this.#socket.resume();
  }

  #fail(failure: Error): void {
    this.#failure ??= failure;
    this.#failWriter?.(this.#failure);
    this.#failWriter = undefined;
    this.#wake();
  }

  #wake(): void {
    const wake = this.#wakeReader;
    this.#wakeReader = undefined;
    wake?.();
  }
}

/** The URL of one end of a socket, or `undefined` when the socket has gone. */
export function urlOf(host: string | undefined, port: number | undefined): string | undefined {
  return host === undefined || port === undefined ? undefined : formatEndpoint({ scheme: "tls", host, port });
}

function handleOf(tcp: Socket): Handle | undefined {
  const { _handle: handle } = tcp as { _handle?: Partial<Handle> | null };
  return typeof handle?.readStart === "function" && typeof handle.readStop === "function"
    ? handle as Handle
    : undefined;
}
