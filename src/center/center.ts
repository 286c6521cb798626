import { RpcError } from "../core/error.ts";
import { hexId } from "../core/platform.ts";
import { Host, type HostOptions } from "../host/host.ts";
import { DEFAULT_MEMORY_REGISTRY, MemoryRegistry } from "../registry/memory_registry.ts";
import type { Registry, WatchEvent } from "../registry/registry.ts";
import type { TlsClientOptions, TlsServerOptions } from "../transport/tls_options.ts";
import { dialling } from "../transport/transport.ts";
import { RuleBook } from "../routing/rule_book.ts";
import { CENTER_ENDPOINT, CenterContract, type WatchRequest } from "./contract.ts";
import { dialBack } from "./dial_back.ts";
import { answerRules, CenterRules, type RuleAccess } from "./rules.ts";

/** How a center is made. */
export interface CenterOptions extends Omit<HostOptions, "interceptors"> {
  /** What it keeps its instances in. Default: its own memory, which it closes with itself; another one is left open. */
  registry?: Registry;
  /** The routing rules that it begins with. Default: none. */
  rules?: RuleBook;
  /** How long a lease lasts without renewal unless its server says otherwise, in milliseconds, 1 to a day. Default 15 000. */
  ttlMs?: number;
  /** How instances at `tls://` endpoints are dialled, to see whether those live that were not heard. */
  dialTls?: TlsClientOptions;
}

/** One time to live, and a beat of a third of it with the tenth that is left to chance. */
const WARMING_TIMES = 1 + 1.1 / 3;
const DAY_MS = 24 * 60 * 60_000;

/** Who may read and write the routing rules of a service: everybody who may connect. */
const EVERYBODY: RuleAccess = () => true;

/**
 * Where services are found: keeps instances listed while their leases last, and tells watchers of every change.
 *
 * ```ts
 * await using center = new Center();
 * await center.listen("tcp://127.0.0.1:7700");
 * ```
 */
export class Center implements AsyncDisposable {
  /** What it keeps its instances in. */
  readonly registry: Registry;
  /** Its routing rules, to be read and set in this process. */
  readonly rules: RuleBook;
  readonly #host: Host;
  /** Its own memory, if that is what it keeps its instances in. */
  readonly #memory: MemoryRegistry | undefined;
  readonly #ttlMs: number;
  #endpoint: string | undefined;

  /** Makes a center that listens nowhere yet. */
  constructor(options: CenterOptions = {}) {
    const { registry, rules, ttlMs = DEFAULT_MEMORY_REGISTRY.ttlMs, dialTls, ...host } = options;
    this.#host = new Host(host);
    const { settings, transport } = this.#host;
    const { platform, logger } = settings;
    this.#ttlMs = ttlMs;
    if (registry === undefined) {
      const dial = dialBack(settings, dialling(transport, dialTls));
      this.#memory = new MemoryRegistry({ platform, logger, ttlMs, dial });
    }
    this.registry = registry ?? this.#memory!;
    this.rules = rules ?? new RuleBook(hexId(platform.random, 16));
    this.#serve();
  }

  /** Where it can be reached. @throws {TypeError} before it listens */
  get endpoint(): string {
    if (this.#endpoint === undefined) throw new TypeError("Cannot give the center's endpoint: it does not listen yet");
    return this.#endpoint;
  }

  /**
   * Listens from now on.
   * @param endpoint default `tcp://127.0.0.1:7700`
   * @throws {TypeError} when the address can't be parsed
   * @throws {RpcError} `unavailable` when it is taken, or not allowed
   */
  async listen(endpoint: string = CENTER_ENDPOINT): Promise<void> {
    const real = await this.#host.listen(endpoint);
    if (this.#endpoint === undefined) {
      // Whoever was registered with it before has time for a beat, and whoever is gone would have expired.
      this.#memory?.warm(Math.min(Math.ceil(this.#ttlMs * WARMING_TIMES), DAY_MS));
      this.#endpoint = real;
    }
    this.#host.settings.logger.info(`The center listens on ${real}`);
  }

  /**
   * Shows another certificate to those who connect to `tls://` endpoints from now on. Connections that are open live on.
   * @throws {TypeError} when it can't be used; then the one before stays
   */
  replaceCertificate(tls: TlsServerOptions): void {
    this.#host.replaceCertificate(tls);
  }

  /** Ends everything at once. */
  async close(): Promise<void> {
    await this.#memory?.close();
    await this.#host.close();
    this.#host.settings.logger.info("The center is closed");
  }

  /** Closes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #serve(): void {
    const { registry } = this;
    this.#host.handle(CenterRules, answerRules(this.rules, EVERYBODY, this.#host.settings.logger));
    this.#host.handle(CenterContract, {
      register: ({ instance, ttlMs }) => valid(() => registry.register(instance, { ttlMs })),
      renew: async ({ lease, load }) => ({ result: await valid(() => registry.renew(lease, { load })) }),
      deregister: async ({ lease, cause }) => {
        await valid(() => registry.deregister(lease, cause));
        return {};
      },
      settled: async ({ lease }, ctx) => {
        if (registry.settled === undefined) {
          throw new RpcError("unimplemented", "The center's registry can't tell", NOT_RUN);
        }
        await valid(() => registry.settled!(lease, { signal: ctx.signal }));
        return {};
      },
      lookup: ({ service }) => valid(() => registry.lookup(service)),
      watch: (requests, ctx) => this.#watch(requests, ctx.signal),
      observe: (_, ctx) => ({ endpoint: ctx.peer.endpoint, clients: this.#host.connections }),
    });
  }

  /** Tells of one event, and of the next when that is acknowledged: who reads slowly keeps nothing waiting here but itself. */
  async *#watch(requests: AsyncIterable<WatchRequest>, signal: AbortSignal): AsyncGenerator<WatchEvent> {
    const asked = requests[Symbol.asyncIterator]();
    const { value: first } = await asked.next();
    if (first === undefined || !("service" in first)) {
      throw new RpcError("invalid_argument", "Cannot watch: the first message must name a service", NOT_RUN);
    }
    const { service, after } = first;
    const events = await valid(() => this.registry.watch(service, { after, signal }));
    for await (const event of events) {
      yield event;
      for (let revision = -1; revision < event.revision;) {
        const { done, value } = await asked.next();
        if (done) return;
        if ("acknowledged" in value) revision = value.acknowledged.revision;
      }
    }
  }
}

const NOT_RUN = { executed: "no" } as const;

/** What a caller got wrong is told to the caller; it is no failure of the center. */
async function valid<T>(run: () => T | Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) {
      throw new RpcError("invalid_argument", error.message, { executed: "yes" });
    }
    throw error;
  }
}
