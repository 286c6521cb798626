/**
 * Listens on TLS, with `node:tls`: the runtime's own listeners can neither ask for client certificates nor take another
 * certificate.
 *
 * Invariants: a connection is handed on only after its handshake, and after `#identify` has let it in; nothing that a client
 * does or leaves undone delays another one; whatever waits here has a time limit or a number.
 */
import type { Socket } from "node:net";
import type { Server, TLSSocket } from "node:tls";
import { checkDuration, checkInteger } from "../core/options.ts";
import { type Clock, runtimePlatform } from "../core/platform.ts";
import type { ByteConnection, ByteListener, PeerCertificate } from "./byte_connection.ts";
import { checkAuthorities, checkPair, describeCertificate, outOfTime, whatIsWrong } from "./certificate.ts";
import type { Endpoint } from "./endpoint.ts";
import type { ListenOptions } from "./options.ts";
import { TlsConnection, urlOf } from "./tls_connection.ts";
import { type CheckedTlsServerOptions, checkTlsServerOptions, type TlsServerOptions } from "./tls_options.ts";

const DEFAULT_HANDSHAKE_MS = 5_000;
const DEFAULT_MAX_HANDSHAKES = 256;
/** How many certificates are remembered for clients that resume sessions. */
const MAX_TRUSTED = 4_096;

/** A connection on its way to `accept`. */
interface Newcomer {
  readonly socket: Socket;
  readonly timer: Disposable;
  readonly begunAt: number;
  /** What the certificates were when it came. */
  readonly tls: CheckedTlsServerOptions;
  /** Why it will have been dropped. */
  why: string;
}

/** Listens on TLS. @throws {TypeError} when certificate and key can't be used */
export async function listenTls(
  { host, port }: Extract<Endpoint, { host: string }>,
  options: ListenOptions,
): Promise<ByteListener> {
  const [{ createServer }, crypto] = await Promise.all([import("node:tls"), import("node:crypto")]);
  const listener = new TlsListener(createServer, crypto, options);
  await listener.listen(host, port);
  return listener;
}

class TlsListener implements ByteListener {
  readonly #crypto: typeof import("node:crypto");
  readonly #options: ListenOptions;
  readonly #clock: Clock;
  readonly #handshakeMs: number;
  readonly #maxHandshakes: number;
  readonly #server: Server;
  readonly #newcomers = new Map<string, Newcomer>();
  readonly #trusted = new Set<string>();
  #tls: CheckedTlsServerOptions;
  #endpoint = "";
  #waiting: TlsConnection[] = [];
  #takers: { resolve(conn: ByteConnection): void; reject(error: Error): void }[] = [];
  #closed = false;

  constructor(
    createServer: typeof import("node:tls").createServer,
    crypto: typeof import("node:crypto"),
    options: ListenOptions,
  ) {
    this.#crypto = crypto;
    this.#options = options;
    this.#clock = options.clock ?? runtimePlatform.clock;
    this.#handshakeMs = checkDuration("handshakeMs", options.handshakeMs ?? DEFAULT_HANDSHAKE_MS);
    this.#maxHandshakes = checkInteger("maxHandshakes", options.maxHandshakes ?? DEFAULT_MAX_HANDSHAKES, 1);
    this.#tls = this.#check(options.tls);
    this.#server = createServer({
      ...contextOf(this.#tls),
      requestCert: this.#tls.clientCa !== undefined,
      // The runtime checks certificates all the same; `#identify` acts on it and, unlike the runtime, can say why.
      rejectUnauthorized: false,
      allowHalfOpen: true,
      // Never: the runtime's own timer outlives a handshake that fails.
      handshakeTimeout: -1,
    });
    this.#server.on("connection", (socket) => this.#onConnection(socket));
    this.#server.on("secureConnection", (socket) => this.#onSecure(socket));
    this.#server.on("tlsClientError", (error, socket) => {
      const newcomer = this.#newcomers.get(keyOf(socket) ?? "");
      if (newcomer !== undefined) newcomer.why = error.message;
      socket.destroy();
    });
  }

  get endpoint(): string {
    return this.#endpoint;
  }

  async listen(host: string, port: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once("error", reject);
    this.#server.listen({ host, port }, resolve);
    await promise;
    this.#server.off("error", reject);
    // Accepting failed, for want of descriptors say: whoever accepts decides when to go on.
    this.#server.on("error", (error) => this.#takers.shift()?.reject(error));
    const address = this.#server.address();
    if (address !== null && typeof address === "object") this.#endpoint = urlOf(address.address, address.port) ?? "";
  }

  accept(): Promise<ByteConnection> {
    if (this.#closed) return Promise.reject(new Error("The listener was closed"));
    const conn = this.#waiting.shift();
    if (conn !== undefined) return Promise.resolve(conn);
    return new Promise((resolve, reject) => this.#takers.push({ resolve, reject }));
  }

  replaceCertificate(given: TlsServerOptions): void {
    const tls = this.#check(given);
    if ((tls.clientCa === undefined) !== (this.#tls.clientCa === undefined)) {
      throw new TypeError("Cannot replace the certificate: whether there is tls.clientCa can't be changed");
    }
    this.#server.setSecureContext(contextOf(tls));
    this.#tls = tls;
    this.#trusted.clear();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#server.close();
    for (const { socket } of this.#newcomers.values()) socket.destroy();
    for (const conn of this.#waiting) conn.close();
    for (const taker of this.#takers) taker.reject(new Error("The listener was closed"));
    this.#waiting = [];
    this.#takers = [];
  }

  #check(given: TlsServerOptions | undefined): CheckedTlsServerOptions {
    const tls = checkTlsServerOptions(given);
    const certificate = checkPair(this.#crypto, tls.cert, tls.key);
    if (tls.clientCa !== undefined) checkAuthorities(this.#crypto, "tls.clientCa", tls.clientCa);
    const invalid = outOfTime(certificate, this.#clock.wall());
    if (invalid !== undefined) throw new TypeError(`Cannot use tls.cert: the certificate ${invalid.text}`);
    return tls;
  }

  #onConnection(socket: Socket): void {
    const key = keyOf(socket);
    if (key === undefined || this.#closed) return void socket.destroy();
    if (this.#newcomers.size + this.#waiting.length >= this.#maxHandshakes) this.#makeRoom(socket);
    const newcomer: Newcomer = {
      socket,
      timer: this.#clock.timer(this.#handshakeMs, () => {
        newcomer.why = `it took over ${this.#handshakeMs} ms`;
        socket.destroy();
      }),
      begunAt: this.#clock.now(),
      tls: this.#tls,
      why: "the other side ended it",
    };
    this.#newcomers.set(key, newcomer);
    socket.once("close", () => {
      if (this.#newcomers.get(key) !== newcomer) return;
      this.#forget(key, newcomer);
      this.#options.onFailure?.(newcomer.why);
    });
  }

  /** The oldest newcomer has had the longest time to shake hands; without one, those who wait are not being accepted. */
  #makeRoom(latest: Socket): void {
    for (const oldest of this.#newcomers.values()) {
      oldest.why = `more than ${this.#maxHandshakes} connections were shaking hands`;
      return void oldest.socket.destroy();
    }
    latest.destroy();
  }

  #forget(key: string, newcomer: Newcomer): void {
    this.#newcomers.delete(key);
    newcomer.timer[Symbol.dispose]();
  }

  #onSecure(socket: TLSSocket): void {
    const key = keyOf(socket);
    const newcomer = this.#newcomers.get(key ?? "");
    const remote = urlOf(socket.remoteAddress, socket.remotePort);
    if (key === undefined || newcomer === undefined || remote === undefined) return void socket.destroy();
    let peerCertificate: PeerCertificate | undefined;
    try {
      peerCertificate = this.#identify(socket, newcomer);
    } catch (error) {
      newcomer.why = (error as Error).message;
      return this.#turnAway(socket, newcomer.why);
    }
    this.#forget(key, newcomer);
    const conn = new TlsConnection(socket, newcomer.socket, remote, { peerCertificate, begunAt: newcomer.begunAt });
    const taker = this.#takers.shift();
    if (taker !== undefined) taker.resolve(conn);
    else this.#waiting.push(conn);
  }

  /** The client's certificate, if it showed one. @throws {Error} with the reason when the client is not let in */
  #identify(socket: TLSSocket, { tls }: Newcomer): PeerCertificate | undefined {
    if (tls.clientCa === undefined) return undefined;
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined) {
      if (tls.requireClientCert) throw new Error("the client showed no certificate");
      return undefined;
    }
    const wallMs = this.#clock.wall();
    const fingerprint = certificate.fingerprint256;
    if (socket.isSessionReused()) {
      // Nothing was checked now. Sessions are the same for all listeners of a process, and are given to those whom
      // `#turnAway` gets, too: only what this listener has seen checked against its own authorities counts.
      if (!this.#trusted.has(fingerprint)) throw new Error("the client's certificate was not checked in this session");
      const invalid = outOfTime(certificate, wallMs);
      if (invalid !== undefined) throw new Error(`the client's certificate ${invalid.text}`);
    } else if (!socket.authorized) {
      throw new Error(whatIsWrong(socket, "client", wallMs).text);
    } else if (tls === this.#tls) {
      for (const oldest of this.#trusted.size < MAX_TRUSTED ? [] : this.#trusted) {
        this.#trusted.delete(oldest);
        break;
      }
      this.#trusted.add(fingerprint);
    }
    return describeCertificate(certificate);
  }

  /** Says why, and waits for the other side to go; the time limit of the handshake still holds. */
  #turnAway(socket: TLSSocket, why: string): void {
    socket.on("error", () => {});
    socket.on("end", () => socket.destroy());
    // What the client has sent already must be read: closing with bytes unread would take the reason back.
    socket.resume();
    const words = this.#options.refusal?.(why);
    if (words === undefined) socket.end();
    else socket.end(words);
  }
}

function contextOf(tls: CheckedTlsServerOptions): { cert: string; key: string; ca: string | undefined } {
  return { cert: tls.cert, key: tls.key, ca: tls.clientCa };
}

/** What a connection is known by on both layers: the runtime does not tell which TCP socket is below a TLS socket. */
function keyOf(socket: Socket): string | undefined {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  return remoteAddress === undefined ? undefined : [remoteAddress, remotePort, localAddress, localPort].join(" ");
}
