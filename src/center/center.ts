import { asRpcError } from "../core/error.ts";
import { checkFunction, checkInteger, checkNames, type OptionNames, withDefaults } from "../core/options.ts";
import { hexId } from "../core/platform.ts";
import type { TextStore } from "../core/store.ts";
import { Host, HOST_OPTIONS, type HostOptions } from "../host/host.ts";
import {
  DEFAULT_MEMORY_REGISTRY,
  DEFAULT_QUOTAS,
  MemoryRegistry,
  type RegistryQuotas,
} from "../registry/memory_registry.ts";
import type { Registry } from "../registry/registry.ts";
import { RuleBook } from "../routing/rule_book.ts";
import { fileStore } from "../transport/file_store.ts";
import type { TlsClientOptions, TlsServerOptions } from "../transport/tls_options.ts";
import { dialling } from "../transport/transport.ts";
import { Access, type CenterToken } from "./access.ts";
import { answerAdmin, CenterAdmin } from "./admin.ts";
import { CENTER_ENDPOINT, CenterContract } from "./contract.ts";
import { type AllowEndpoint, type ConnectionQuotas, Desk } from "./desk.ts";
import { dialBack } from "./dial_back.ts";
import { answerRules, CenterRules } from "./rules.ts";
import { type CenterState, StateKeeper } from "./state.ts";

/** How much a center takes; what goes beyond is `resource_exhausted`, and harms nothing that is there. */
export type CenterQuotas = RegistryQuotas & ConnectionQuotas;

/** How a center is made. */
export interface CenterOptions extends Omit<HostOptions, "interceptors" | "admission"> {
  /** What it keeps its instances in. Default: its own memory, which it closes with itself; another one is left open. */
  registry?: Registry;
  /** The routing rules that it begins with. Default: those that it kept in `data`, or none. */
  rules?: RuleBook;
  /** How long a lease lasts without renewal unless its server says otherwise, in milliseconds, 1 to a day. Default 15 000. */
  ttlMs?: number;
  /**
   * Who may register what, who may watch what, and who looks after it; then nobody may do anything without one. Default: whoever
   * passes `authenticate` may register and watch everything, or without such a hook whoever is on the same machine, and nobody else.
   */
  tokens?: readonly CenterToken[];
  /**
   * How much it takes. Default: 20 000 instances, also of one owner, and 1 000 over one connection; 20 000 services; 64 MiB of what
   * was registered; 20 000 watchers, and 200 over one connection; 2 MiB of its history in a second over one connection.
   */
  quotas?: Partial<CenterQuotas>;
  /**
   * Decides which endpoints may be registered, and by whom. Default: every address that others can reach; whoever is not on the
   * same machine can't register one that only its own machine can reach.
   */
  allowEndpoint?: AllowEndpoint;
  /**
   * How instances at `tls://` endpoints are dialled, to see whether those live that were not heard. No instance is dialled at an
   * address of one link (169.254.0.0/16, fe80::/10), nor for somebody on another machine at this one, nor for somebody without a
   * token at any machine but his own; and in vain no more than 1 000 times for one owner, and once more each second.
   */
  dialTls?: TlsClientOptions;
  /**
   * A folder, or a store, that keeps its epoch, how far its revisions have come, and its routing rules when it ends. Only one center
   * may use it at a time. Default: nothing is kept.
   */
  data?: string | TextStore;
}

const { interceptors: _, admission: __, ...HOSTED } = HOST_OPTIONS;

/** What a center can be told. */
const CENTER_OPTIONS: OptionNames<CenterOptions> = {
  ...HOSTED,
  registry: true,
  rules: true,
  ttlMs: true,
  tokens: true,
  quotas: true,
  allowEndpoint: true,
  dialTls: true,
  data: true,
};

/** What a center takes where nothing is said. */
export const DEFAULT_CENTER_QUOTAS: Readonly<CenterQuotas> = Object.freeze({
  ...DEFAULT_QUOTAS,
  instancesPerConnection: 1_000,
  watchersPerConnection: 200,
  historyBytesPerSecond: 2 * 1024 * 1024,
});

/** One time to live, and a beat of a third of it with the tenth that is left to chance. */
const WARMING_TIMES = 1 + 1.1 / 3;
const DAY_MS = 24 * 60 * 60_000;

/**
 * Where services are found: keeps instances listed while their leases last, and tells watchers of every change.
 *
 * ```ts
 * await using center = new Center({ logger: console });
 * await center.listen("tcp://127.0.0.1:0"); // port 0 is any that is free; 7700 is usual
 * console.log(center.endpoint);
 * ```
 *
 * It serves its own machine; for others it needs `tokens`, and an address that they can reach. Whoever makes it closes it.
 */
export class Center implements AsyncDisposable {
  /** What it keeps its instances in. */
  readonly registry: Registry;
  readonly #host: Host;
  readonly #access: Access;
  readonly #desk: Desk;
  /** Its own memory, if that is what it keeps its instances in. */
  readonly #memory: MemoryRegistry | undefined;
  readonly #quotas: ConnectionQuotas;
  readonly #ttlMs: number;
  readonly #store: TextStore | undefined;
  readonly #closing = new AbortController();
  #rules: RuleBook | undefined;
  #keeper: StateKeeper | undefined;
  #begun: Promise<void> | undefined;
  #saving: Promise<void> | undefined;
  #endpoint: string | undefined;

  /** Makes a center that listens nowhere yet. @throws {TypeError} {RangeError} when an option can't be used */
  constructor(options: CenterOptions = {}) {
    const { registry, rules, ttlMs, tokens, quotas, allowEndpoint, dialTls, data, authenticate, ...host } = checkNames(
      options,
      CENTER_OPTIONS,
    );
    this.#access = new Access(tokens, authenticate);
    this.#host = new Host({ ...host, authenticate: this.#access.authenticate, admission: false });
    const { settings, transport } = this.#host;
    const { platform, logger } = settings;
    this.#ttlMs = checkInteger("ttlMs", ttlMs ?? DEFAULT_MEMORY_REGISTRY.ttlMs, 1, DAY_MS);
    const { instancesPerConnection, watchersPerConnection, historyBytesPerSecond, ...held } = withDefaults(
      DEFAULT_CENTER_QUOTAS,
      quotas,
    );
    this.#quotas = {
      instancesPerConnection: checkInteger("quotas.instancesPerConnection", instancesPerConnection, 0),
      watchersPerConnection: checkInteger("quotas.watchersPerConnection", watchersPerConnection, 0),
      historyBytesPerSecond: checkInteger("quotas.historyBytesPerSecond", historyBytesPerSecond, 1),
    };
    if (registry === undefined) {
      this.#memory = new MemoryRegistry({
        platform,
        logger,
        ttlMs: this.#ttlMs,
        quotas: held,
        dial: dialBack(settings, dialling(transport, dialTls)),
        onChange: ({ revision }) => this.#keeper?.reached(revision),
      });
    } else checkForeign({ dialTls, ...withoutConnectionQuotas(quotas) });
    this.registry = registry ?? this.#memory!;
    this.#desk = new Desk(this.registry, this.#access, {
      quotas: this.#quotas,
      allow: checkFunction("allowEndpoint", allowEndpoint),
      ttlMs: this.#ttlMs,
      clients: () => this.#host.connections,
      now: () => platform.clock.now(),
    });
    if (rules !== undefined && !(rules instanceof RuleBook)) {
      throw new TypeError("Cannot make a center: rules must be a RuleBook");
    }
    if (data !== undefined) this.#store = storeOf(data);
    this.#rules = rules ?? (data === undefined ? new RuleBook(hexId(platform.random, 16)) : undefined);
  }

  /** Its routing rules, to be read and set in this process. @throws {TypeError} before it listens, if it keeps them in `data` */
  get rules(): RuleBook {
    if (this.#rules === undefined) throw new TypeError("Cannot give the center's rules: it has not read them yet");
    return this.#rules;
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
   * @throws {RpcError} `unavailable` when it is taken, or not allowed, or when `data` can't be read or written
   */
  async listen(endpoint: string = CENTER_ENDPOINT): Promise<void> {
    await (this.#begun ??= this.#begin());
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

  /** Ends everything at once. What is to be kept in `data` has been when it resolves, or it is logged that it could not be. */
  async close(): Promise<void> {
    const { logger } = this.#host.settings;
    this.#closing.abort();
    await this.#begun?.catch(() => {});
    await this.#memory?.close();
    await this.#host.close();
    await this.#saving;
    await this.#keeper?.close().catch((error) => logger.error("Cannot keep the state of the center", error));
    this.#keeper = undefined;
    logger.info("The center is closed");
  }

  /** Closes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #begin(): Promise<void> {
    const { logger, platform } = this.#host.settings;
    try {
      if (this.#store !== undefined) await this.#restore(this.#store);
    } catch (error) {
      this.#begun = undefined;
      throw asRpcError(error, "unavailable", "Cannot use the data of the center", { executed: "no" });
    }
    const keep = () => this.#keeper?.save() ?? Promise.resolve();
    const mayRule: Parameters<typeof answerRules>[1] = ({ peer }, action, service) => {
      const grant = this.#access.grantOf(peer);
      return action === "write" ? grant.admin : grant.mayWatch(service);
    };
    this.#host.handle(CenterContract, this.#desk.implementation);
    this.#host.handle(
      CenterAdmin,
      answerAdmin(this.registry, this.#access, { quotas: this.#quotas, now: () => platform.clock.now() }),
    );
    const rules = answerRules(this.rules, mayRule, logger, keep);
    this.#host.handle(CenterRules, {
      ...rules,
      // Who may see no service at all is told so, rather than that there are no rules.
      list: (request, ctx) => this.#access.grantOf(ctx.peer) && rules.list(request, ctx),
      watch: (request, ctx) => this.#access.grantOf(ctx.peer) && rules.watch(request, ctx),
    });
  }

  async #restore(store: TextStore): Promise<void> {
    const { logger, platform } = this.#host.settings;
    const keeper = new StateKeeper(store, logger, () => this.#state());
    const kept = await keeper.load();
    // Another epoch than before: a change that was told of and not kept must not be taken for the one in its place.
    const epoch = hexId(platform.random, 16);
    this.#rules ??= kept === undefined ? new RuleBook(epoch) : RuleBook.from({ ...kept.rules, epoch });
    // Its memory is empty: whoever resumes from before must not be told that nothing has changed.
    if (kept !== undefined) this.#memory?.restore({ epoch: kept.epoch, revision: kept.revision + 1 });
    await keeper.save();
    this.#keeper = keeper;
    this.#saving = this.#saveRules(keeper);
  }

  /** Rules that are set in this process are kept too. */
  async #saveRules(keeper: StateKeeper): Promise<void> {
    const { signal } = this.#closing;
    for await (const _ of this.rules.watch({ signal, after: this.rules.after() })) {
      await keeper.save().catch((error) => {
        this.#host.settings.logger.error("Cannot keep the routing rules of the center", error);
      });
    }
  }

  #state(): CenterState {
    const { epoch, revision } = this.#memory?.cursor ?? { epoch: "", revision: 0 };
    return { epoch, revision, rules: this.rules.toJSON() };
  }
}

function storeOf(data: string | TextStore): TextStore {
  if (typeof data === "string" && data !== "") return fileStore(data);
  if (typeof data === "object" && typeof data?.load === "function" && typeof data.save === "function") return data;
  throw new TypeError("Cannot make a center: data must be the path of a folder, or a store with load and save");
}

function withoutConnectionQuotas(quotas: Partial<CenterQuotas> = {}): Partial<RegistryQuotas> {
  const {
    instancesPerConnection: _instances,
    watchersPerConnection: _watchers,
    historyBytesPerSecond: _bytes,
    ...rest
  } = quotas;
  return rest;
}

/** What says how the center's own memory works says nothing about another registry. */
function checkForeign(options: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined) throw new TypeError(`Cannot use option "${name}" of the center together with registry`);
  }
}
