/**
 * Listens, takes connections, and runs handlers. It knows no registry: a center is a host, and a server is a host that
 * registers itself.
 */
import { Gate } from "../admission/gate.ts";
import { type AdmissionOptions, checkAdmission } from "../admission/options.ts";
import { compose, type Interceptor, type Invoker } from "../core/call.ts";
import { checkCodec, type Codec } from "../core/codec.ts";
import { asRpcError, RpcError } from "../core/error.ts";
import { checkLimits, type Limits } from "../core/limits.ts";
import { containLogger, type Logger } from "../core/logger.ts";
import { hexId, type Platform, runtimePlatform } from "../core/platform.ts";
import { checkBoolean, checkText, MAX_TEXT, type OptionNames } from "../core/options.ts";
import type { Methods, Service } from "../core/service.ts";
import { Timers } from "../core/timers.ts";
import { bytes } from "../codec/bytes.ts";
import { json } from "../codec/json.ts";
import { Connection } from "../connection/connection.ts";
import { Counters } from "../connection/counters.ts";
import { type Authenticate, greetAsServer, refusal } from "../connection/handshake.ts";
import type { Responder, Settings } from "../connection/settings.ts";
import { checkReplies } from "../interceptor/contain.ts";
import type { ByteConnection, ByteListener } from "../transport/byte_connection.ts";
import type { ListenOptions } from "../transport/options.ts";
import { checkTlsServerOptions, type TlsServerOptions } from "../transport/tls_options.ts";
import { systemTransport, type Transport } from "../transport/transport.ts";
import type { Implementation, PlainHandler } from "./handler.ts";
import { Health, HealthBoard, Reflection } from "./introspection.ts";
import { Once } from "./once.ts";
import { Router } from "./router.ts";

/** What every host can be told. */
export interface HostOptions {
  /** The instance id. Default: chosen by chance. */
  id?: string;
  /** Where it stands, for balancing. Default: an empty text. */
  zone?: string;
  /** Codecs beside `json`, `bytes`, and those that handled contracts name. */
  codecs?: readonly Codec[];
  /** Wrapped around every handler; the first is outermost. */
  interceptors?: readonly Interceptor[];
  /** Decides who may connect; what it returns is `ctx.peer.identity`, what it throws is `unauthenticated`. */
  authenticate?: Authenticate;
  /** Certificate and key for `tls://` endpoints, and whether clients must show a certificate of their own. */
  tls?: TlsServerOptions;
  /** Whether it answers `erpc.Health`. Default `true`. */
  health?: boolean;
  /** Whether it answers `erpc.Reflection`. Default `true`. */
  reflection?: boolean;
  /** What a peer may cost. */
  limits?: Partial<Limits>;
  /**
   * What it does with more calls than it can run. `false` runs every call as it comes. By default calls wait while the event
   * loop is late, and are refused when they would have to for too long.
   */
  admission?: AdmissionOptions | false;
  /** Where things are reported. Default: nowhere. */
  logger?: Logger;
  /** Time and chance. Default: the runtime's. */
  platform?: Platform;
  /** Where to listen and dial. Default: the system's sockets. */
  transport?: Transport;
}

/** What every host can be told. */
export const HOST_OPTIONS: OptionNames<HostOptions> = Object.freeze({
  id: true,
  zone: true,
  codecs: true,
  interceptors: true,
  authenticate: true,
  tls: true,
  health: true,
  reflection: true,
  limits: true,
  admission: true,
  logger: true,
  platform: true,
  transport: true,
});

/** How a drain went. */
export interface DrainReport {
  /** Whether every call that was running could end. */
  readonly complete: boolean;
  /** How many calls were cut. */
  readonly cutCalls: number;
  /** How many connections there were. */
  readonly connections: number;
  /** How many of them have acknowledged that they begin nothing more here, or were closed by the other side. */
  readonly told: number;
}

const ACCEPT_PAUSE_FIRST_MS = 10;
const ACCEPT_PAUSE_MAX_MS = 1_000;
/** How long clients get to stop opening calls, once they were told that the server goes away. */
const ANNOUNCE_MS = 1_000;

/** Listens, takes connections, and runs handlers. */
export class Host {
  /** What it shares with everything that belongs to it. */
  readonly settings: Settings;
  /** Where to listen and dial. */
  readonly transport: Transport;
  /** Who answers what. */
  readonly router: Router = new Router();
  readonly #once: Once;
  readonly #health = new HealthBoard(this.router);
  readonly #codecs: Map<string, Codec>;
  readonly #authenticate: Authenticate | undefined;
  readonly #listeners = new Set<ByteListener>();
  readonly #loops = new Set<Promise<void>>();
  readonly #connections = new Set<Connection>();
  readonly #closing = new AbortController();
  readonly #greeting = new Map<ByteConnection, Promise<void>>();
  #tls: TlsServerOptions | undefined;
  #draining: { promise: Promise<DrainReport>; cut: () => void } | undefined;
  #closed = false;

  /** Makes a host that listens nowhere yet. */
  constructor(options: HostOptions = {}) {
    const platform = options.platform ?? runtimePlatform;
    const codecs = [json(), bytes(), ...(options.codecs ?? []).map(checkCodec)];
    const interceptors = options.interceptors ?? [];
    const respond: Responder = interceptors.length === 0
      ? this.router.respond
      : respondWith(checkReplies(compose(interceptors, this.router.invoke)));
    const counters = new Counters();
    this.#codecs = new Map(codecs.map((codec) => [codec.name, codec]));
    this.transport = options.transport ?? systemTransport;
    this.#authenticate = options.authenticate;
    if (typeof this.#authenticate !== "function" && this.#authenticate !== undefined) {
      throw new TypeError("Cannot use authenticate: it must be a function");
    }
    if (options.tls !== undefined) this.#tls = checkTlsServerOptions(options.tls);
    const timers = new Timers(platform.clock);
    this.settings = {
      platform,
      timers,
      limits: checkLimits(options.limits),
      codecs: this.#codecs,
      codec: codecs[0],
      identity: {
        instance: checkText("id", options.id ?? hexId(platform.random, 16), MAX_TEXT.id),
        incarnation: platform.clock.wall(),
        zone: checkText("zone", options.zone ?? "", MAX_TEXT.zone),
        token: "",
        contracts: this.router.contracts,
      },
      logger: containLogger(options.logger, () => void counters.uncaughtErrors++),
      counters,
      respond,
      gate: options.admission === false ? undefined : new Gate(checkAdmission(options.admission), timers, platform),
    };
    const { limits } = this.settings;
    this.#once = this.router.once = new Once(limits, timers, () => void counters.callsRepeated++);
    if (checkBoolean("health", options.health ?? true)) this.handle(Health, this.#health.implementation);
    if (checkBoolean("reflection", options.reflection ?? true)) {
      this.handle(Reflection, { services: () => ({ services: this.router.describe() }) });
    }
  }

  /** Where it listens, in the order in which it began to. */
  get endpoints(): readonly string[] {
    return [...this.#listeners].map((listener) => listener.endpoint);
  }

  /** How many connections it holds. */
  get connections(): number {
    return this.#connections.size;
  }

  /** How many handlers are running. */
  get handlers(): number {
    let count = 0;
    for (const connection of this.#connections) count += connection.handlers;
    return count;
  }

  /** Answers all methods of a contract. */
  handle<M extends Methods>(contract: Service<M>, implementation: Implementation<Service<M>>): void;
  /** Answers one procedure. */
  handle(procedure: string, handler: PlainHandler): void;
  handle(what: Service<Methods> | string, how: unknown): void {
    if (typeof what === "string") this.router.addPlain(what, how as PlainHandler);
    else {
      this.router.addContract(what, how as Readonly<Record<string, unknown>>);
      for (const { codec } of Object.values(what.methods)) {
        if (codec !== undefined && !this.#codecs.has(codec.name)) this.#codecs.set(codec.name, codec);
      }
    }
    this.#health.refresh();
  }

  /**
   * Listens, and takes connections from now on.
   * @throws {TypeError} when the address can't be parsed, or the certificate can't be used
   * @throws {RpcError} `unavailable` when it is taken, or not allowed
   */
  async listen(endpoint: string): Promise<string> {
    if (this.#closed) throw closedError();
    let listener: ByteListener;
    try {
      listener = await this.transport.listen(endpoint, this.#listening());
    } catch (error) {
      if (error instanceof TypeError) throw error;
      throw asRpcError(error, "unavailable", `Cannot listen on ${endpoint}`, { executed: "no" });
    }
    if (this.#closed) {
      listener.close();
      throw closedError();
    }
    this.#listeners.add(listener);
    const loop = this.#accept(listener);
    this.#loops.add(loop);
    void loop.then(() => this.#loops.delete(loop));
    return listener.endpoint;
  }

  /**
   * Shows another certificate to those who connect to `tls://` endpoints from now on. Connections that are open live on.
   * @throws {TypeError} when it can't be used; then the one before stays everywhere
   */
  replaceCertificate(tls: TlsServerOptions): void {
    const listeners = [...this.#listeners].filter((listener) => listener.replaceCertificate !== undefined);
    if (listeners.length === 0) {
      throw new TypeError("Cannot replace the certificate: no tls:// endpoint is listened on");
    }
    // All are of one kind: what the first takes, all take.
    for (const listener of listeners) listener.replaceCertificate!(tls);
    this.#tls = tls;
    this.settings.logger.info("The certificate was replaced");
  }

  /**
   * Takes no new calls, lets those that run end for `graceMs`, and closes. Always ends; called a second time it cuts at once.
   */
  drain(graceMs: number): Promise<DrainReport> {
    if (this.#draining !== undefined) {
      this.#draining.cut();
      return this.#draining.promise;
    }
    const { promise: cutNow, resolve: cut } = Promise.withResolvers<void>();
    const promise = this.#drain(graceMs, cutNow);
    this.#draining = { promise, cut };
    return promise;
  }

  /** Closes everything now: handlers are aborted, and calls that none has begun to run may go elsewhere. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#stopListening();
    this.#closing.abort(new Error("the server was closed"));
    await Promise.all([...this.#greeting.values()]);
    await Promise.all([...this.#connections].map((connection) => connection.close("the server was closed")));
    this.#once.close();
    await Promise.all(this.#loops);
    this.settings.timers[Symbol.dispose]();
  }

  async #drain(graceMs: number, cutNow: Promise<void>): Promise<DrainReport> {
    const { platform } = this.settings;
    const started = platform.clock.now();
    const connections = [...this.#connections];
    this.#health.drain();
    const why = "the server is draining";
    let told = 0;
    const taken = connections.map(async (connection) => {
      connection.announceGoAway(why);
      // The answer says that the client has read the announcement, and that what it sent before has arrived.
      await connection.ping().catch(() => {});
      if (!connection.isLate) told++;
    });
    await this.#within(Math.min(ANNOUNCE_MS, graceMs), [Promise.all(taken), cutNow]);
    this.#stopListening();
    // Until a client has read it, what it sends may be a call, and must find somebody who refuses it.
    for (const [i, connection] of connections.entries()) void taken[i].then(() => connection.goAway(why));
    const leftMs = Math.max(0, started + graceMs - platform.clock.now());
    const open = [...this.#connections];
    const ended = Promise.all([this.#once.idle(), ...open.map((connection) => connection.closed)]);
    await this.#within(leftMs, [ended, cutNow]);
    for (const connection of this.#connections) connection.giveBack();
    const cutCalls = this.handlers + this.#once.orphans;
    const report: DrainReport = { complete: cutCalls === 0, cutCalls, connections: connections.length, told };
    this.settings.logger.info(
      `Drained ${connections.length} connections in ${
        Math.round(platform.clock.now() - started)
      } ms, cut ${cutCalls} calls`,
    );
    await this.close();
    return report;
  }

  #listening(): ListenOptions {
    const { limits, platform, counters, logger } = this.settings;
    return {
      tls: this.#tls,
      handshakeMs: limits.handshakeMs,
      maxHandshakes: limits.maxHandshakes,
      clock: platform.clock,
      refusal,
      onFailure: (why) => {
        counters.handshakesFailed++;
        logger.debug(`Cannot shake hands: ${why}`);
      },
    };
  }

  async #within(ms: number, waits: Promise<unknown>[]): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    using _timer = this.settings.platform.clock.timer(ms, resolve);
    await Promise.race([...waits, promise]);
  }

  #stopListening(): void {
    for (const listener of this.#listeners) listener.close();
    this.#listeners.clear();
  }

  /** One loop per listener. Errors of one connection, or a lack of descriptors, never end it. */
  async #accept(listener: ByteListener): Promise<void> {
    const { logger } = this.settings;
    const { signal } = this.#closing;
    const closed = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    let pauseMs = ACCEPT_PAUSE_FIRST_MS;
    while (this.#listeners.has(listener)) {
      let socket: ByteConnection;
      try {
        socket = await listener.accept();
      } catch (error) {
        if (!this.#listeners.has(listener)) return;
        logger.warn(`Cannot accept a connection on ${listener.endpoint}, next attempt in ${pauseMs} ms`, error);
        await this.#within(pauseMs, [closed]);
        pauseMs = Math.min(pauseMs * 2, ACCEPT_PAUSE_MAX_MS);
        continue;
      }
      pauseMs = ACCEPT_PAUSE_FIRST_MS;
      this.#welcome(socket);
    }
  }

  #welcome(socket: ByteConnection): void {
    const { limits, counters } = this.settings;
    if (this.#connections.size >= limits.maxConnections) {
      counters.connectionsRefused++;
      return socket.close();
    }
    if (this.#greeting.size >= limits.maxHandshakes) {
      // The oldest has had the longest time to say hello.
      for (const oldest of this.#greeting.keys()) {
        oldest.close();
        break;
      }
    }
    this.#greeting.set(socket, this.#greet(socket));
  }

  async #greet(socket: ByteConnection): Promise<void> {
    const { settings } = this;
    try {
      const greeted = await greetAsServer(socket, settings, this.#authenticate, this.#closing.signal);
      if (this.#closed) return socket.close();
      const connection = new Connection(greeted, settings);
      this.#connections.add(connection);
      if (this.#draining !== undefined) connection.goAway("the server is draining");
      void connection.closed.then(() => this.#connections.delete(connection));
    } catch (error) {
      settings.logger.debug(asRpcError(error, "unavailable", "Cannot shake hands").message);
    } finally {
      this.#greeting.delete(socket);
    }
  }
}

/** What whoever listens is told who came too late. */
export function closedError(): RpcError {
  return new RpcError("unavailable", "Cannot listen: the server was closed", { executed: "no" });
}

/** Answers by an invoker, which wants the whole call. */
function respondWith(invoke: Invoker): Responder {
  return (arrival) => invoke(arrival.toCall());
}
