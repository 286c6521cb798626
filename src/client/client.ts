import { type Call, compose, type Interceptor, type Invoker, type Reply } from "../core/call.ts";
import { checkCodec } from "../core/codec.ts";
import { checkCriticality } from "../core/criticality.ts";
import { RpcError } from "../core/error.ts";
import { checkLimits } from "../core/limits.ts";
import { containLogger } from "../core/logger.ts";
import type { LoadReport } from "../core/load.ts";
import { checkBoolean, checkDuration, checkNames, checkText, MAX_TEXT } from "../core/options.ts";
import { type Platform, runtimePlatform } from "../core/platform.ts";
import {
  type MethodKind,
  type Methods,
  procedureName,
  type ReplyOf,
  type RequestOf,
  type Service,
} from "../core/service.ts";
import type { TextStore } from "../core/store.ts";
import { Timers } from "../core/timers.ts";
import { bytes } from "../codec/bytes.ts";
import { json } from "../codec/json.ts";
import { checkBalancer } from "../balancer/balancer.ts";
import { roundRobin } from "../balancer/round_robin.ts";
import { centerRegistries } from "../center/center_registry.ts";
import { Cluster } from "../cluster/cluster.ts";
import { checkEjection } from "../cluster/ejector.ts";
import type { SourceStatus } from "../cluster/resolver.ts";
import { fixedSource, type Source, sourceOf } from "../cluster/source.ts";
import { Counters } from "../connection/counters.ts";
import type { Settings } from "../connection/settings.ts";
import { type Breaker, breaker, type BreakerState } from "../interceptor/breaker.ts";
import { RetryBudgets } from "../interceptor/budget.ts";
import { contain } from "../interceptor/contain.ts";
import { hedge } from "../interceptor/hedge.ts";
import { checkRetry, retry } from "../interceptor/retry.ts";
import { cacheFolder, fileStore } from "../transport/file_store.ts";
import { dialling, systemTransport } from "../transport/transport.ts";
import { type Answer, broadcast, type BroadcastOptions, checkBroadcast, type UnaryNames } from "./broadcast.ts";
import { CallMaker, joined, type Promises } from "./call_maker.ts";
import { type CallOptions, CLIENT_OPTIONS, type ClientOptions } from "./options.ts";
import { ReplyStream } from "./reply_stream.ts";
import type { ServiceClient } from "./typed.ts";

const DEFAULT_TIMEOUT_MS = 10_000;

/** What a client has done and knows. */
export interface ClientStats {
  /** What was counted since it was made. */
  readonly counters: Readonly<Counters>;
  /** How the circuit breakers stand, if there are any. */
  readonly breakers: readonly BreakerState[];
  /** The routing rules that it goes by. */
  readonly rules: {
    /** Which version of its center's rules it has; 0 when there never was one. */
    readonly version: number;
    /** How many of them there are for it. */
    readonly count: number;
    /** Whether any center can be heard. */
    readonly watching: boolean;
    /** How old they may be, in milliseconds: 0 while the center that they are from can be heard, `Infinity` when none could. */
    readonly staleMs: number;
  };
  /** The services that were called. */
  readonly services: readonly {
    readonly name: string;
    /** Whether any registry can be heard. */
    readonly watching: boolean;
    /** How old what is known may be, in milliseconds: 0 while `watching`, `Infinity` when no registry was ever heard. */
    readonly staleMs: number;
    /** How well each registry can be heard. */
    readonly sources: readonly SourceStatus[];
    /** How many tokens are left for retries and hedges; at half of the budget or fewer there are none. */
    readonly retryTokens: number;
    readonly instances: readonly {
      readonly id: string;
      readonly endpoint: string;
      /** What the channel to it is doing: `idle`, `connecting`, `ready`, `failing` or `closed`. */
      readonly state: string;
      /** How many connections with it are open. */
      readonly connections: number;
      /** How many calls it has running there, streams included. */
      readonly inFlight: number;
      /** How long its replies take, in milliseconds; 0 unless the balancer goes by it. */
      readonly latencyMs: number;
      /** Which share of its calls it failed of late, 0 to 1; 0 unless the balancer goes by it. */
      readonly errorShare: number;
      /** What it last said about its load, if that was a moment ago. */
      readonly load: LoadReport | undefined;
      /** Whether it is left out for a while because it has failed too many calls. */
      readonly ejected: boolean;
      /** How many times it was ejected since it is known. */
      readonly ejections: number;
      /** Whether its registry doubts that it lives. */
      readonly suspect: boolean;
      /** Whether it is a last resort: one registry has missed it, and only one that can't be heard has not. */
      readonly doubtful: boolean;
    }[];
  }[];
}

/**
 * Where services are called: finds instances, picks one for each call, and shares one connection with each.
 *
 * ```ts ignore
 * await using client = new Client({ center: "tcp://127.0.0.1:7700" });
 * const words = client.service(Words);
 * await words.count({ text: "one two" }, { timeoutMs: 500 });
 * ```
 *
 * Every call ends with a reply or an `RpcError`. Safe for any number of calls at once. Whoever makes it closes it: until then
 * its connections keep the process alive.
 */
export class Client implements AsyncDisposable {
  readonly #settings: Settings;
  readonly #platform: Platform;
  readonly #cluster: Cluster;
  readonly #sources: readonly Source[];
  readonly #invoke: Invoker;
  readonly #budgets: RetryBudgets;
  #breaker: Breaker | undefined;
  readonly #calls: CallMaker;
  readonly #closing = new AbortController();
  #closed = false;

  /**
   * Makes a client. It dials nobody before the first call.
   * @throws {TypeError} {RangeError} when an option can't be used
   */
  constructor(options: ClientOptions = {}) {
    checkNames(options, CLIENT_OPTIONS);
    const places = [options.center, options.endpoints, options.registry].filter((place) => place !== undefined);
    if (places.length > 1) throw new TypeError("Cannot make a client: give one of center, endpoints and registry");
    const platform = options.platform ?? runtimePlatform;
    const codec = checkCodec(options.codec ?? json());
    const transport = dialling(options.transport ?? systemTransport, options.tls);
    this.#platform = platform;
    const timers = new Timers(platform.clock);
    this.#calls = new CallMaker(platform, timers, {
      timeoutMs: checkDuration("timeoutMs", options.timeoutMs ?? DEFAULT_TIMEOUT_MS),
      criticality: checkCriticality(options.criticality ?? "default"),
    });
    const counters = new Counters();
    this.#settings = {
      platform,
      timers,
      limits: checkLimits(options.limits),
      codecs: new Map([codec, json(), bytes()].map((codec) => [codec.name, codec])),
      codec,
      identity: {
        instance: checkText("id", options.id ?? "", MAX_TEXT.id),
        incarnation: 0,
        zone: checkText("zone", options.zone ?? "", MAX_TEXT.zone),
        token: checkText("token", options.token ?? "", MAX_TEXT.token),
        contracts: new Map(),
      },
      checksums: checkBoolean("checksums", options.checksums ?? false),
      logger: containLogger(options.logger, () => void counters.uncaughtErrors++),
      counters,
      respond: undefined,
    };
    if (options.registry !== undefined) this.#sources = [sourceOf(options.registry)];
    else if (options.endpoints !== undefined) this.#sources = [fixedSource(options.endpoints)];
    else {
      // A center speaks JSON, whatever the services speak.
      this.#sources = centerRegistries(options.center, { ...this.#settings, codec: json() }, transport);
    }
    const { balancer = roundRobin(), warmUp = false } = options;
    const ejection = options.ejection === false ? undefined : checkEjection(options.ejection);
    checkBalancer(balancer);
    checkBoolean("warmUp", warmUp);
    const cluster = { balancer, ejection, warmUp, store: storeOf(options) };
    this.#cluster = new Cluster(this.#sources, cluster, this.#settings, transport);
    const policy = checkRetry(options.retry === false ? {} : options.retry ?? {});
    this.#budgets = new RetryBudgets(policy.budgetTokens, policy.tokensPerSuccess);
    this.#invoke = this.#wrap(options);
  }

  /** What stands between a call and the cluster; the first is outermost. */
  #wrap(options: ClientOptions): Invoker {
    const { counters, platform, timers, logger } = this.#settings;
    const shared = { platform, signal: this.#closing.signal, budgets: this.#budgets };
    const own: Interceptor[] = (options.fallbacks ?? []).map((fallback) =>
      fallback({
        onUsed: () => void counters.callsFallenBack++,
        onFailed: ({ procedure }, thrown) => this.#caught(`The fallback of "${procedure}" failed`, thrown),
      })
    );
    if (options.breaker !== undefined) {
      this.#breaker = breaker(options.breaker, {
        platform,
        onRefused: () => void counters.callsBroken++,
        onState: ({ name, state, reason }) => {
          if (state === "open") counters.breakersOpened++;
          logger.info(`The circuit breaker of "${name}" is ${state.replace("_", " ")}${reason && `: ${reason}`}`);
        },
      });
      own.push(this.#breaker);
    }
    if (options.hedge !== undefined) {
      own.push(hedge(options.hedge, {
        ...shared,
        budgets: options.retry === false ? undefined : this.#budgets,
        after: (ms, fire) => timers.after(ms, fire),
        onHedge: () => void counters.callsHedged++,
        onWin: () => void counters.hedgesWon++,
      }));
    }
    if (options.retry !== false) {
      own.push(retry(options.retry, {
        ...shared,
        onRetry: () => void counters.callsRetried++,
        onThrottled: () => void counters.retriesThrottled++,
      }));
    }
    const invoke = compose(own, this.#cluster.invoke);
    const { interceptors = [] } = options;
    if (interceptors.length === 0) return invoke;
    return contain(compose(interceptors, invoke), ({ procedure }, thrown) => {
      this.#caught(`An interceptor failed during "${procedure}"`, thrown);
    });
  }

  /** What a user's function threw must not change how the call ends. */
  #caught(what: string, thrown: unknown): void {
    this.#settings.counters.uncaughtErrors++;
    this.#settings.logger.error(what, thrown);
  }

  /** Tells a callback of a call; what it throws stays there. */
  #tell<T>(callback: ((value: T) => void) | undefined, value: T, procedure: string): void {
    try {
      callback?.(value);
    } catch (error) {
      this.#caught(`A callback of "${procedure}" failed`, error);
    }
  }

  /**
   * A contract as a plain object with one function for each method: of the request, or the requests, and {@link CallOptions}. What
   * has one reply gives a promise of it, what has many an async iterable. It costs nothing to make, and needs no closing.
   * @throws {TypeError} when it is no contract
   */
  service<M extends Methods>(contract: Service<M>): ServiceClient<Service<M>> {
    if (typeof contract?.name !== "string" || typeof contract.methods !== "object") {
      throw new TypeError("Cannot call a contract: make it with service()");
    }
    if (this.#cluster.warmUp && !this.#closed) this.#cluster.follow(contract.name);
    const functions: Record<string, unknown> = {};
    for (const [name, method] of Object.entries(contract.methods)) {
      functions[name] = this.#caller(`${contract.name}/${name}`, method.kind, { ...method, service: contract.name });
    }
    return Object.freeze(functions) as ServiceClient<Service<M>>;
  }

  /**
   * Calls a procedure that has one request and one reply, with no contract at hand. Rejects with an `RpcError`.
   * @param procedure `demo.Words/count`, or `demo.hello` for short
   * @throws {TypeError} {RangeError} when it is no procedure, or an option can't be used
   */
  // deno-lint-ignore no-explicit-any
  call(procedure: string, request?: unknown, options: CallOptions = NO_OPTIONS): Promise<any> {
    return this.#one(procedureName(procedure), "unary", PLAIN, request, undefined, options);
  }

  /**
   * Calls a procedure that has one request and many replies, with no contract at hand. Leaving the loop over them cancels it.
   * @param procedure `demo.Words/search`, or `demo.hello` for short
   * @throws {TypeError} {RangeError} when it is no procedure, or an option can't be used
   */
  // deno-lint-ignore no-explicit-any
  stream(procedure: string, request?: unknown, options: CallOptions = NO_OPTIONS): AsyncIterableIterator<any> {
    return this.#many(procedureName(procedure), "serverStream", PLAIN, request, undefined, options);
  }

  /**
   * Sends one request to many instances at once, and gathers what they say: to all, or to some of them, until all have
   * answered, or enough. Only those are asked to whom routing rules would send such a call.
   *
   * ```ts ignore
   * const answers = await client.broadcast(Words, "count", { text: "one two" }); // everybody's, good or bad
   * for (const { instance, reply, error } of answers) console.log(instance.id, error?.code ?? reply);
   *
   * const two = await client.broadcast(Store, "read", { key }, { to: 3, wait: 2, hashKey: key }); // two good ones of three
   * ```
   *
   * Resolves with what each said, in the order in which they were asked; those who were not waited for have the error
   * `cancelled`. Rejects when nobody is known; when fewer than `wait` answers were good, with the same list as the error's
   * `details`; and when it is cancelled. The time-out holds for all of them together.
   *
   * @throws {TypeError} {RangeError} when there is no such method with one request and one reply, or an option can't be used
   */
  broadcast<M extends Methods, Name extends UnaryNames<M>>(
    contract: Service<M>,
    method: Name,
    request: RequestOf<M[Name]>,
    options: BroadcastOptions = {},
  ): Promise<Answer<ReplyOf<M[Name]>>[]> {
    const declared = Object.hasOwn(contract.methods, method) ? contract.methods[method] : undefined;
    const procedure = `${contract.name}/${method}`;
    if (declared?.kind !== "unary") throw new TypeError(`Cannot broadcast "${procedure}": it is no unary method`);
    const counts = checkBroadcast(options);
    const stop = new AbortController();
    const promises = { ...declared, service: contract.name };
    const call = this.#calls.make(procedure, "unary", promises, request, undefined, options, stop.signal);
    const explained = (call: Call) => (error: unknown) => {
      throw this.#explain(error, call);
    };
    return broadcast(call, counts, joined(undefined, options.signal, options.parent?.signal), {
      reach: (call, count) => this.#cluster.reach(call, count),
      ask: (call) => this.#carry(call).then(messageOf, explained(call)),
      cancel: () => stop.abort(),
    }).catch(explained(call)) as Promise<Answer<ReplyOf<M[Name]>>[]>;
  }

  /** What it has done and knows. */
  stats(): ClientStats {
    const { rules } = this.#cluster;
    return {
      counters: { ...this.#settings.counters },
      breakers: this.#breaker?.states() ?? [],
      rules: {
        version: rules?.version ?? 0,
        count: rules?.size ?? 0,
        watching: rules?.watching ?? false,
        staleMs: rules?.staleMs ?? Infinity,
      },
      services: this.#cluster.views.map((view) => ({
        name: view.service,
        watching: view.resolver.watching,
        staleMs: view.resolver.staleMs,
        sources: view.resolver.sources,
        retryTokens: this.#budgets.tokens(view.service),
        instances: view.members.map((member) => ({
          id: member.instance.id,
          endpoint: member.endpoint,
          state: member.channel.state,
          connections: member.channel.connectionCount,
          inFlight: member.inFlight,
          latencyMs: member.latencyMs,
          errorShare: member.errorShare,
          load: member.load && { ...member.load },
          ejected: member.ejectedAt !== undefined,
          ejections: member.ejections,
          suspect: member.suspect,
          doubtful: member.doubtful,
        })),
      })),
    };
  }

  /** Ends everything at once: calls that are running fail with `unavailable`. Harmless the second time. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#closing.abort();
    await this.#cluster.close();
    await Promise.all(this.#sources.map((source) => source.close()));
    this.#settings.timers[Symbol.dispose]();
  }

  /** Closes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #caller(procedure: string, kind: MethodKind, method: Promises): unknown {
    switch (kind) {
      case "unary":
      case "oneway":
        return (request: unknown, options: CallOptions = NO_OPTIONS) =>
          this.#one(procedure, kind, method, request, undefined, options);
      case "clientStream":
        return (requests: AsyncIterable<unknown>, options: CallOptions = NO_OPTIONS) =>
          this.#one(procedure, kind, method, undefined, toAsync(requests), options);
      case "serverStream":
        return (request: unknown, options: CallOptions = NO_OPTIONS) =>
          this.#many(procedure, kind, method, request, undefined, options);
      case "bidi":
        return (requests: AsyncIterable<unknown>, options: CallOptions = NO_OPTIONS) =>
          this.#many(procedure, kind, method, undefined, toAsync(requests), options);
    }
  }

  #carry(call: Call): Promise<Reply> {
    if (!this.#closed) return this.#invoke(call);
    return Promise.reject(
      new RpcError("unavailable", `Cannot call "${call.procedure}": the client was closed`, { executed: "no" }),
    );
  }

  /** Puts into an error what was known and tried. */
  #explain(error: unknown, call: Call): unknown {
    if (!(error instanceof RpcError)) return error;
    const now = this.#platform.clock.now();
    if (call.history === undefined || call.history.length === 0) call.note(error, now);
    error.explain = {
      procedure: call.procedure,
      ...this.#cluster.resolved(call.service),
      ...error.explain?.rule !== undefined && { rule: error.explain.rule },
      attempts: call.history!,
      totalMs: now - call.startedAt,
    };
    return error;
  }

  #one(
    procedure: string,
    kind: MethodKind,
    method: Promises,
    message: unknown,
    messages: AsyncIterable<unknown> | undefined,
    options: CallOptions,
  ): Promise<unknown> {
    const { onMetadata, onTrailers } = options;
    const call = this.#calls.make(procedure, kind, method, message, messages, options);
    return this.#carry(call).then(
      onMetadata === undefined && onTrailers === undefined ? messageOf : (reply) => {
        this.#tell(onMetadata, reply.metadata, procedure);
        this.#tell(onTrailers, reply.trailers, procedure);
        return reply.message;
      },
      (error) => {
        if (error instanceof RpcError && error.metadata !== undefined) {
          this.#tell(onTrailers, error.metadata, procedure);
        }
        throw this.#explain(error, call);
      },
    );
  }

  #many(
    procedure: string,
    kind: MethodKind,
    method: Promises,
    message: unknown,
    messages: AsyncIterable<unknown> | undefined,
    options: CallOptions,
  ): ReplyStream {
    const cancel = new AbortController();
    const call = this.#calls.make(procedure, kind, method, message, messages, options, cancel.signal);
    const { onMetadata, onTrailers } = options;
    return new ReplyStream(this.#carry(call), {
      onMetadata: (metadata) => this.#tell(onMetadata, metadata, procedure),
      onTrailers: (trailers) => this.#tell(onTrailers, trailers, procedure),
      signal: call.signal ?? cancel.signal,
      cancel: () => cancel.abort(),
      explain: (error) => this.#explain(error, call),
    });
  }
}

/** Where what registries list is kept for a later start. @throws {TypeError} when there is nothing to keep, or no place for it */
function storeOf({ cache, endpoints, registry }: ClientOptions): TextStore | undefined {
  if (cache === undefined) return undefined;
  if (endpoints !== undefined) throw new TypeError("Cannot keep a cache: endpoints that are given need none");
  if (typeof cache !== "string") {
    if (typeof cache?.load === "function" && typeof cache.save === "function") return cache;
    throw new TypeError('Cannot keep a cache: it must be "file", the path of a folder, or a store with load and save');
  }
  if (cache === "") throw new TypeError("Cannot keep a cache: the path of its folder is empty");
  if (cache !== "file") return fileStore(cache);
  // Registries of one's own have no address that would tell one from another.
  if (registry !== undefined) {
    throw new TypeError("Cannot keep a cache of a registry: give the path of a folder for it");
  }
  return fileStore(cacheFolder());
}

const NO_OPTIONS: CallOptions = Object.freeze({});

const PLAIN: Promises = {
  idempotent: false,
  codec: undefined,
  timeoutMs: undefined,
  criticality: undefined,
  dedupe: undefined,
};

function messageOf(reply: Reply): unknown {
  return reply.message;
}

function toAsync(requests: AsyncIterable<unknown> | Iterable<unknown>): AsyncIterable<unknown> {
  if (requests !== null && typeof requests === "object") {
    if (Symbol.asyncIterator in requests) return requests;
    if (Symbol.iterator in requests) {
      return async function* () {
        yield* requests;
      }();
    }
  }
  throw new TypeError("Cannot send requests: they must be an iterable or an async iterable");
}
