import type { Call, Invoker, Reply } from "../core/call.ts";
import { checkCodec } from "../core/codec.ts";
import { checkCriticality } from "../core/criticality.ts";
import { RpcError } from "../core/error.ts";
import { checkLimits } from "../core/limits.ts";
import { containLogger } from "../core/logger.ts";
import { checkBoolean, checkDuration, checkNames, checkText, MAX_TEXT } from "../core/options.ts";
import { type Platform, runtimePlatform } from "../core/platform.ts";
import { ReadyRequests } from "../core/ready_requests.ts";
import {
  type Methods,
  procedureName,
  type ReplyOf,
  type RequestOf,
  serverStream,
  type Service,
  unary,
} from "../core/service.ts";
import { Timers } from "../core/timers.ts";
import { bytes } from "../codec/bytes.ts";
import { json } from "../codec/json.ts";
import { checkBalancer } from "../balancer/balancer.ts";
import { roundRobin } from "../balancer/round_robin.ts";
import { centerRegistries } from "../center/center_registry.ts";
import { Cluster } from "../cluster/cluster.ts";
import { checkEjection } from "../cluster/ejector.ts";
import { fixedSource, type Source, sourceOf } from "../cluster/source.ts";
import { Counters } from "../connection/counters.ts";
import type { Settings } from "../connection/settings.ts";
import { RetryBudgets } from "../interceptor/budget.ts";
import { checkRetry } from "../interceptor/retry.ts";
import { dialling, systemTransport } from "../transport/transport.ts";
import { type Answer, broadcast, type BroadcastOptions, checkBroadcast, type UnaryNames } from "./broadcast.ts";
import { cacheOf } from "./cache.ts";
import { CallMaker, joined, type Promises, type Target } from "./call_maker.ts";
import { type CallPath, callPath } from "./call_path.ts";
import { PlainCall, type PlainCallHost } from "./plain_call.ts";
import { type CallOptions, CLIENT_OPTIONS, type ClientOptions } from "./options.ts";
import { ReplyStream } from "./reply_stream.ts";
import { type ClientStats, statsOf } from "./stats.ts";
import type { ServiceClient } from "./typed.ts";

const DEFAULT_TIMEOUT_MS = 10_000;

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
  readonly #path: CallPath;
  readonly #plain: PlainCallHost;
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
    const cluster = { balancer, ejection, warmUp, store: cacheOf(options) };
    this.#cluster = new Cluster(this.#sources, cluster, this.#settings, transport);
    const policy = checkRetry(options.retry === false ? {} : options.retry ?? {});
    this.#budgets = new RetryBudgets(policy.budgetTokens, policy.tokensPerSuccess);
    const { signal } = this.#closing;
    const caught = (what: string, thrown: unknown) => this.#caught(what, thrown);
    this.#path = callPath(
      options,
      { settings: this.#settings, budgets: this.#budgets, signal, caught },
      this.#cluster.invoke,
    );
    this.#invoke = this.#path.invoke;
    this.#plain = {
      retrying: this.#path.retrying,
      attempt: this.#cluster.invoke,
      explain: (error, call) => this.#explain(error, call),
    };
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
      functions[name] = this.#caller(this.#calls.target(`${contract.name}/${name}`, method, contract.name));
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
    return this.#one(this.#calls.target(procedureName(procedure), UNARY), request, undefined, options);
  }

  /**
   * Calls a procedure that has one request and many replies, with no contract at hand. Leaving the loop over them cancels it.
   * @param procedure `demo.Words/search`, or `demo.hello` for short
   * @throws {TypeError} {RangeError} when it is no procedure, or an option can't be used
   */
  // deno-lint-ignore no-explicit-any
  stream(procedure: string, request?: unknown, options: CallOptions = NO_OPTIONS): AsyncIterableIterator<any> {
    return this.#many(this.#calls.target(procedureName(procedure), SERVER_STREAM), request, undefined, options);
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
    const target = this.#calls.target(procedure, declared, contract.name);
    const call = this.#calls.make(target, request, undefined, options, stop.signal);
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
    return statsOf(this.#cluster, this.#settings.counters, this.#budgets, this.#path.breaker);
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

  #caller(target: Target): unknown {
    switch (target.promises.kind) {
      case "unary":
      case "oneway":
        return (request: unknown, options: CallOptions = NO_OPTIONS) => this.#one(target, request, undefined, options);
      case "clientStream":
        return (requests: AsyncIterable<unknown>, options: CallOptions = NO_OPTIONS) =>
          this.#one(target, undefined, toAsync(requests), options);
      case "serverStream":
        return (request: unknown, options: CallOptions = NO_OPTIONS) => this.#many(target, request, undefined, options);
      case "bidi":
        return (requests: AsyncIterable<unknown>, options: CallOptions = NO_OPTIONS) =>
          this.#many(target, undefined, toAsync(requests), options);
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
    target: Target,
    message: unknown,
    messages: AsyncIterable<unknown> | undefined,
    options: CallOptions,
  ): Promise<unknown> {
    const { onMetadata, onTrailers } = options;
    const call = this.#calls.make(target, message, messages, options);
    if (this.#path.isPlain && onMetadata === undefined && onTrailers === undefined && !this.#closed) {
      return new Promise((resolve, reject) =>
        this.#cluster.carry(call, new PlainCall(this.#plain, call, resolve, reject))
      );
    }
    const { procedure } = call;
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
    target: Target,
    message: unknown,
    messages: AsyncIterable<unknown> | undefined,
    options: CallOptions,
  ): ReplyStream {
    const cancel = new AbortController();
    const call = this.#calls.make(target, message, messages, options, cancel.signal);
    const { procedure } = call;
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

const NO_OPTIONS: CallOptions = Object.freeze({});

// What is called with no contract at hand promises nothing.
const UNARY: Promises = unary();
const SERVER_STREAM: Promises = serverStream();

function messageOf(reply: Reply): unknown {
  return reply.message;
}

function toAsync(requests: AsyncIterable<unknown> | Iterable<unknown>): AsyncIterable<unknown> {
  if (requests !== null && typeof requests === "object") {
    if (Symbol.asyncIterator in requests) return requests;
    if (Symbol.iterator in requests) return new ReadyRequests(requests);
  }
  throw new TypeError("Cannot send requests: they must be an iterable or an async iterable");
}
