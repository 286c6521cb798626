import type { AdmissionStats } from "../admission/admission.ts";
import {
  checkDuration,
  checkInteger,
  checkNames,
  checkNumber,
  checkText,
  MAX_TEXT,
  type OptionNames,
} from "../core/options.ts";
import { isOwnService, type Methods, type Service } from "../core/service.ts";
import { centerRegistries } from "../center/center_registry.ts";
import type { Counters } from "../connection/counters.ts";
import type { Implementation, PlainHandler } from "../host/handler.ts";
import { closedError, type DrainReport, Host, HOST_OPTIONS, type HostOptions } from "../host/host.ts";
import { checkInstance } from "../registry/check_instance.ts";
import type { Instance } from "../registry/instance.ts";
import type { Farewell } from "../registry/registrar.ts";
import type { Registry } from "../registry/registry.ts";
import { isLoopbackHost } from "../transport/endpoint.ts";
import type { TlsClientOptions, TlsServerOptions } from "../transport/tls_options.ts";
import { dialling } from "../transport/transport.ts";
import { type Advertise, type Advertised, checkAdvertise, reachable } from "./advertise.ts";
import { type NamedRegistry, Registration, type RegistrationStatus } from "./registration.ts";

/** How a server is made. Without `center` and `registry` it is called directly, by its endpoint. */
export interface ServerOptions extends HostOptions {
  /** The address of a center to register with, or several of them. */
  center?: string | readonly string[];
  /** A registry to register with. It is not closed with the server. */
  registry?: Registry;
  /**
   * What to register instead of the addresses that are listened on, for servers behind another address: an endpoint;
   * `{ env: "NAME" }` or `"$NAME"` for an environment variable that holds one; or a function that is given the addresses that are
   * listened on, with their real ports, and gives one or several endpoints, best first, whenever the server registers.
   *
   * Default: the addresses that are listened on, as far as others can dial them. `0.0.0.0` and `[::]` become the address under
   * which the center sees this server; addresses of this machine alone are only registered with a center on this machine.
   * When none is left, `registration` says why.
   */
  advertise?: Advertise;
  /** What proves to the center who this is. */
  token?: string;
  /** How centers at `tls://` addresses are dialled. */
  centerTls?: TlsClientOptions;
  /** How long the registration lasts without a beat, in milliseconds, 1 to a day. Default 15 000. */
  ttlMs?: number;
  /** How often the registration is renewed, give or take a tenth, in milliseconds. Default: a third of `ttlMs`. */
  beatMs?: number;
  /** Its share of the calls beside that of others. Default 1. */
  weight?: number;
  /** Which version of the program it runs. */
  version?: string;
  /** Whatever else others should know of it. */
  metadata?: Readonly<Record<string, string>>;
}

/** What a server can be told. */
const SERVER_OPTIONS: OptionNames<ServerOptions> = {
  ...HOST_OPTIONS,
  center: true,
  registry: true,
  advertise: true,
  token: true,
  centerTls: true,
  ttlMs: true,
  beatMs: true,
  weight: true,
  version: true,
  metadata: true,
};

/** What a server has done. */
export interface ServerStats {
  /** What was counted since it was made. */
  readonly counters: Readonly<Counters>;
  /** How many connections it holds. */
  readonly connections: number;
  /** How many handlers are running. */
  readonly handlers: number;
  /** What became of calls on their way to their handlers; `undefined` with `admission: false`. */
  readonly admission: AdmissionStats | undefined;
}

/** How a drain went, and who is known to know that the server has left. */
export interface ServerDrainReport extends DrainReport {
  /** Whether all who follow a center where it was listed, and all clients that were connected, have acknowledged that it has left. */
  readonly proven: boolean;
  /** What each center had to say. */
  readonly centers: readonly Farewell[];
}

const DAY_MS = 24 * 60 * 60_000;
const DEFAULT_TTL_MS = 15_000;
const DEFAULT_GRACE_MS = 30_000;
/** How long those who follow a center get to act on the removal, before the others are told to go. */
const WATCH_MS = 1_000;

/**
 * Where services run: listens, answers calls with handlers, and keeps itself registered.
 *
 * ```ts ignore
 * await using server = new Server({ center: "tcp://127.0.0.1:7700" });
 * server.handle(Words, { count: ({ text }) => ({ words: text.split(/\s+/).length }) });
 * await server.listen("tcp://127.0.0.1:0");
 * ```
 */
export class Server implements AsyncDisposable {
  readonly #host: Host;
  readonly #options: ServerOptions;
  readonly #ttlMs: number;
  readonly #beatMs: number;
  readonly #advertised: Advertised | undefined;
  /** Under which host each registry sees this process. */
  readonly #observed = new Map<Registry, string>();
  readonly #registries: readonly NamedRegistry[];
  readonly #ownsRegistries: boolean;
  #registration: Registration | undefined;
  #endpoint: string | undefined;
  #draining: { report: Promise<ServerDrainReport>; cut: AbortController } | undefined;
  #closing: Promise<void> | undefined;

  /** Makes a server that listens nowhere yet. @throws {TypeError} {RangeError} when an option can't be used */
  constructor(options: ServerOptions = {}) {
    checkNames(options, SERVER_OPTIONS);
    if (options.center !== undefined && options.registry !== undefined) {
      throw new TypeError("Cannot make a server: give one of center and registry");
    }
    this.#options = options;
    this.#ttlMs = checkInteger("ttlMs", options.ttlMs ?? DEFAULT_TTL_MS, 1, DAY_MS);
    this.#beatMs = checkInteger("beatMs", options.beatMs ?? Math.ceil(this.#ttlMs / 3), 1, this.#ttlMs);
    checkNumber("weight", options.weight ?? 1, 0, 1_000_000);
    this.#advertised = checkAdvertise(options.advertise);
    this.#host = new Host(options);
    this.#ownsRegistries = options.center !== undefined;
    checkText("token", options.token ?? "", MAX_TEXT.token);
    if (options.center !== undefined || options.registry !== undefined) this.#checkInstance();
    if (options.center !== undefined) {
      const { settings, transport } = this.#host;
      const identity = { ...settings.identity, token: options.token ?? "" };
      const dial = dialling(transport, options.centerTls);
      const centers = centerRegistries(
        options.center,
        { ...settings, identity, respond: undefined, gate: undefined },
        dial,
      );
      this.#registries = centers.map((registry) => ({ name: registry.name, registry }));
    } else this.#registries = options.registry === undefined ? [] : [{ name: "registry", registry: options.registry }];
  }

  /** Its instance id. */
  get id(): string {
    return this.#host.settings.identity.instance;
  }

  /** Where it can be called: the first address that it listens on, with the real port. @throws {TypeError} before it listens */
  get endpoint(): string {
    if (this.#endpoint === undefined) throw new TypeError("Cannot give the server's endpoint: it does not listen yet");
    return this.#endpoint;
  }

  /** Where its registration stands, with each center, and why. */
  get registration(): RegistrationStatus {
    return this.#registration?.status ?? { state: "none", centers: [] };
  }

  /**
   * Answers all methods of a contract. What is handled after `listen` is registered at once.
   *
   * A handler is given the request, or the requests, and a `Context`; it returns the reply, a promise of it, or for many replies
   * an async iterable. An `RpcError` that it throws reaches the caller as it is; whatever else it throws goes to `logger`, and the
   * caller is told `internal`.
   * @throws {TypeError} when a method has no function, or the contract is handled already
   */
  handle<M extends Methods>(contract: Service<M>, implementation: Implementation<Service<M>>): void;
  /**
   * Answers one procedure that has one request and one reply, with no contract at hand: for `demo.hello` the method `hello` of the
   * service `demo`, all of whose methods every server of `demo` must answer.
   * @param procedure `demo.hello`, or `demo.Words/count`
   * @throws {TypeError} when it is no procedure, or is handled already
   */
  handle(procedure: string, handler: PlainHandler): void;
  handle(what: Service<Methods> | string, how: unknown): void {
    if (typeof what === "string") this.#host.handle(what, how as PlainHandler);
    else this.#host.handle(what, how as Implementation<Service<Methods>>);
    this.#registration?.update();
  }

  /**
   * Listens from now on, and registers. Resolves once any center lists it, or the first attempt has failed with all; a center
   * that can't be reached is tried for as long as the server lives. May be called again, for another address.
   * @param endpoint default `tcp://127.0.0.1:0`, any free port of this machine alone
   * @throws {TypeError} when the address can't be parsed
   * @throws {RpcError} `unavailable` when it is taken, or not allowed
   */
  async listen(endpoint = "tcp://127.0.0.1:0"): Promise<void> {
    const real = await this.#host.listen(endpoint);
    if (this.#closing !== undefined) throw closedError();
    this.#endpoint ??= real;
    this.#host.settings.logger.info(`The server listens on ${real}`);
    if (this.#registries.length === 0) return;
    if (this.#registration === undefined) {
      const { platform, logger } = this.#host.settings;
      const load = () => this.#host.handlers;
      const options = { ttlMs: this.#ttlMs, beatMs: this.#beatMs, load };
      const describe = (named: NamedRegistry) => this.#describe(named);
      this.#registration = new Registration(this.#registries, describe, platform, logger, options);
    } else this.#registration.update();
    await this.#registration.attempted();
  }

  /**
   * Shows another certificate to those who connect to `tls://` endpoints from now on. Connections that are open live on.
   * @throws {TypeError} when it can't be used; then the one before stays
   */
  replaceCertificate(tls: TlsServerOptions): void {
    this.#host.replaceCertificate(tls);
  }

  /** What it has done. */
  stats(): ServerStats {
    const { settings, connections, handlers } = this.#host;
    return { counters: { ...settings.counters }, connections, handlers, admission: settings.gate?.stats() };
  }

  /**
   * Leaves in good order: deregisters, tells clients to go elsewhere, and lets the calls that run end. Resolves when all who follow
   * a center have acted on it, all clients have taken note, and all calls have ended, or when `graceMs` have passed: then calls that
   * no handler has begun are given back, and go elsewhere.
   * @returns what had to be cut because it did not end within `graceMs` (default 30 000), and who is known to know; a second call
   * cuts at once
   */
  drain(options: { graceMs?: number } = {}): Promise<ServerDrainReport> {
    const graceMs = checkDuration("graceMs", options.graceMs ?? DEFAULT_GRACE_MS);
    if (this.#draining !== undefined) this.#draining.cut.abort();
    else {
      const cut = new AbortController();
      this.#draining = { report: this.#drain(graceMs, cut.signal), cut };
    }
    return this.#draining.report;
  }

  /** Ends everything at once: handlers are aborted. Harmless the second time. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  /** Closes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #drain(graceMs: number, cut: AbortSignal): Promise<ServerDrainReport> {
    const { clock } = this.#host.settings.platform;
    const endsAt = clock.now() + graceMs;
    const late = new AbortController();
    using _timer = clock.timer(graceMs, () => late.abort());
    const over = AbortSignal.any([cut, late.signal]);
    const farewells = this.#registration?.leave(over) ?? Promise.resolve([]);
    // Whoever has heard it by then does not even try here; the others are told below.
    await this.#within(WATCH_MS, farewells, over);
    const hosted = this.#host.drain(Math.max(0, endsAt - clock.now()));
    const cutCalls = () => void this.#host.drain(0);
    if (cut.aborted) cutCalls();
    else cut.addEventListener("abort", cutCalls, { once: true });
    const [report, centers] = await Promise.all([hosted, farewells]);
    await this.close();
    const proven = report.told === report.connections && centers.every(({ state }) => state !== "unproven");
    return { ...report, proven, centers };
  }

  /** Waits for something, unless so much time passes or the signal aborts. */
  async #within(ms: number, done: Promise<unknown>, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    using _timer = this.#host.settings.platform.clock.timer(ms, resolve);
    signal.addEventListener("abort", () => resolve(), { once: true });
    if (signal.aborted) resolve();
    await Promise.race([done, promise]);
  }

  async #close(): Promise<void> {
    await this.#registration?.stop();
    if (this.#ownsRegistries) await Promise.all(this.#registries.map(({ registry }) => registry.close()));
    await this.#host.close();
    this.#host.settings.logger.info("The server is closed");
  }

  /** What it says of itself must be what a registry takes, or it would never be listed. @throws {TypeError} */
  #checkInstance(): void {
    const { zone = "", weight = 1, version = "", metadata = {} } = this.#options;
    const { instance: id, incarnation } = this.#host.settings.identity;
    const some = { endpoints: ["memory://some"], services: ["some.Service"] };
    checkInstance({ id, incarnation, zone, weight, version, metadata, ...some });
  }

  async #describe({ name, registry }: NamedRegistry): Promise<Instance> {
    const { zone = "", weight = 1, version = "", metadata = {} } = this.#options;
    const { identity } = this.#host.settings;
    const { endpoints } = this.#host;
    const services = this.#host.router.services.filter((name) => !isOwnService(name));
    if (services.length === 0) throw new TypeError("Cannot register: the server handles nothing yet");
    const observedHost = () => Promise.resolve(registry.observedHost?.());
    const outsideHost = () => this.#outsideHost(registry);
    return {
      id: identity.instance,
      incarnation: identity.incarnation,
      endpoints: await (this.#advertised?.(endpoints) ?? reachable(endpoints, { name, observedHost, outsideHost })),
      services,
      zone,
      weight,
      version,
      metadata,
    };
  }

  /**
   * Under which host others see this process. All registries are told the same one: where one of them is on this machine, and
   * another is not, the one that is not sees what counts.
   */
  async #outsideHost(registry: Registry): Promise<string | undefined> {
    const seen = await registry.observedHost?.();
    const outside = () => [...this.#observed.values()].find((host) => !isLoopbackHost(host));
    const before = outside();
    if (seen === undefined) this.#observed.delete(registry);
    else this.#observed.set(registry, seen);
    const after = outside();
    if (before !== after) this.#registration?.update();
    return after ?? seen;
  }
}
