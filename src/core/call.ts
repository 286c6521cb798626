import { type CallPast, type CallTerms, NO_PAST, termsOf } from "./call_terms.ts";
import type { Codec } from "./codec.ts";
import type { Criticality } from "./criticality.ts";
import type { DedupeKey, ServedBy } from "./dedupe.ts";
import type { RpcError } from "./error.ts";
import type { Attempt } from "./explanation.ts";
import { Metadata } from "./metadata.ts";
import type { MethodKind } from "./service.ts";
import type { TraceContext } from "./trace_context.ts";

/** Carries one call to wherever it is answered. */
export type Invoker = (call: Call) => Promise<Reply>;

/**
 * Wraps an invoker; in a list the first is outermost. The same type serves client and server, unary and streams.
 *
 * ```ts
 * const timed: Interceptor = (next) => async (call) => {
 *   const startedAt = performance.now();
 *   try {
 *     return await next(call);
 *   } finally {
 *     console.log(call.procedure, performance.now() - startedAt);
 *   }
 * };
 * ```
 */
export type Interceptor = (next: Invoker) => Invoker;

/** The other side of a connection, as a handler sees it. */
export interface Peer {
  /** Where the connection came from, as an endpoint URL. */
  readonly endpoint: string;
  /** The instance id that the peer gave, or an empty text. Nothing vouches for it. */
  readonly instance: string;
  /** The zone that the peer gave, or an empty text. */
  readonly zone: string;
  /** What the server's `authenticate` hook returned, or `undefined`. */
  readonly identity: unknown;
}

/** What a handler knows about the call that it answers. */
export interface Context {
  /** The full name of what was called, such as `demo.Words/count`. */
  readonly procedure: string;
  /** Aborts when the caller cancels, when the deadline passes, and when the connection is lost. */
  readonly signal: AbortSignal;
  /** What came with the request. */
  readonly metadata: Metadata;
  /** What goes back before the first reply message. */
  readonly responseMetadata: Metadata;
  /** What goes back after the last reply message, on success and on failure. */
  readonly trailers: Metadata;
  /** Who calls. */
  readonly peer: Peer;
  /**
   * How many attempts came before this one: 0 when it is the first, and so are those of all calls that led to it. More than
   * that means that a handler, here or elsewhere, may have seen the request before.
   */
  readonly attempt: number;
  /** How many calls led to this one: 0 when its caller answers no call itself, or does not say. */
  readonly hop: number;
  /** How much it matters, as its caller says. */
  readonly criticality: Criticality;
  /** Where the caller's trace stands, or `undefined`. Whoever traces the handler writes its own span here, for calls with `parent`. */
  trace: TraceContext | undefined;
  /** How many milliseconds are left until the deadline: `Infinity` without one, 0 when it has passed. */
  remainingMs(): number;
}

/** What a {@link Call} is made from. */
export interface CallInit {
  /** The full name of what is called. */
  procedure: string;
  /** What stands before the slash, where that is known already. */
  service?: string;
  /** Which sides stream. */
  kind: MethodKind;
  /** Whether running it twice does no harm. Default `false`. */
  idempotent?: boolean;
  /** The request, for kinds that send one. */
  message?: unknown;
  /** The requests, for kinds that send many. */
  messages?: AsyncIterable<unknown>;
  /** What goes with the request. */
  metadata?: Metadata;
  /** When it began, on the platform's monotonic clock. Default 0. */
  startedAt?: number;
  /** When it must be over, on the platform's monotonic clock. Default `Infinity`. */
  deadline?: number;
  /** Cancels it. */
  signal?: AbortSignal;
  /** How its messages are encoded. */
  codec?: Codec;
  /** What consistent hashing goes by: at most 20 000 characters. */
  hashKey?: string;
  /** Whether to wait for an instance rather than to fail when there is none. Default `false`. */
  waitForReady?: boolean;
  /** Whether it may be tried again. Default `true`. */
  retry?: boolean;
  /** The id of the one instance that it may go to. Default: whomever balancing picks. */
  instance?: string;
  /** How many attempts came before this one. Default 0. */
  attempt?: number;
  /** How many calls led to this one. Default 0. */
  hop?: number;
  /** How much it matters. Default `default`. */
  criticality?: Criticality;
  /** What lets a server see that it has had it before. */
  dedupe?: DedupeKey;
  /** Where its trace stands. */
  trace?: TraceContext;
  /** The handler's side of it; only on a server. */
  context?: Context;
}

/** What no two calls have in common. */
type CallPart = Pick<
  CallInit,
  "message" | "messages" | "metadata" | "startedAt" | "deadline" | "signal" | "trace" | "context"
>;

/**
 * One call on its way, the same on both sides.
 *
 * An interceptor passes it on as it is, or passes on a copy made by `with`. It belongs to one invocation at a time.
 */
export class Call {
  /** The request, for kinds that send one. */
  readonly message: unknown;
  /** The requests, for kinds that send many. */
  readonly messages: AsyncIterable<unknown> | undefined;
  /** When it began, on the platform's monotonic clock; 0 when nobody said. */
  readonly startedAt: number;
  /** When it must be over, on the platform's monotonic clock; `Infinity` when never. */
  readonly deadline: number;
  /** Where its trace stands, or `undefined`. Whoever traces the call writes its own span here. */
  trace: TraceContext | undefined;
  /** The handler's side of it; only on a server. */
  readonly context: Context | undefined;
  /** Where balancing sent it. Written on the way out. */
  endpoint: string | undefined = undefined;
  /** When it was put on its way, on the platform's clock. Written on the way out. */
  sentAt: number | undefined = undefined;
  // What calls have in common, and what most of them never have, stands apart: a small call is made faster than a large one.
  readonly #terms: CallTerms;
  #past: CallPast = NO_PAST;
  #signal: AbortSignal | undefined;
  #metadata: Metadata | undefined;

  /**
   * Makes a call. Users get theirs from a client; tests and adapters make them.
   * @throws {RangeError} {TypeError} when the hash key can't travel
   */
  constructor(init: CallInit);
  /** @internal Makes one of many that go by the same terms. */
  constructor(part: CallPart, terms: CallTerms);
  constructor(init: CallPart, terms?: CallTerms) {
    this.#terms = terms ?? termsOf(init as CallInit);
    this.message = init.message;
    this.messages = init.messages;
    this.startedAt = init.startedAt ?? 0;
    this.deadline = init.deadline ?? Infinity;
    this.trace = init.trace;
    this.context = init.context;
    this.#signal = init.signal;
    this.#metadata = init.metadata;
  }

  /** The full name of what is called, such as `demo.Words/count`. */
  get procedure(): string {
    return this.#terms.procedure;
  }

  /** Which sides stream. */
  get kind(): MethodKind {
    return this.#terms.kind;
  }

  /** Whether running it twice does no harm. */
  get idempotent(): boolean {
    return this.#terms.idempotent;
  }

  /** How its messages are encoded; `undefined` leaves it to the connection. */
  get codec(): Codec | undefined {
    return this.#terms.codec;
  }

  /** What consistent hashing goes by. */
  get hashKey(): string | undefined {
    return this.#terms.hashKey;
  }

  /** Whether to wait for an instance rather than to fail when there is none. */
  get waitForReady(): boolean {
    return this.#terms.waitForReady;
  }

  /** Whether it may be tried again. */
  get retry(): boolean {
    return this.#terms.retry;
  }

  /** The id of the one instance that it may go to; `undefined` leaves it to balancing. */
  get instance(): string | undefined {
    return this.#terms.instance;
  }

  /** How many attempts came before this one, those of the calls that led to it included. */
  get attempt(): number {
    return this.#terms.attempt;
  }

  /** How many calls led to this one. */
  get hop(): number {
    return this.#terms.hop;
  }

  /** How much it matters. */
  get criticality(): Criticality {
    return this.#terms.criticality;
  }

  /** What lets a server see that it has had it before. */
  get dedupe(): DedupeKey | undefined {
    return this.#terms.dedupe;
  }

  /** Endpoints where an earlier attempt failed, which balancing goes round while others are left. */
  get avoid(): readonly string[] | undefined {
    return this.#past.avoid;
  }

  /** Where alone its key is known, so that it may go nowhere else. */
  get bound(): ServedBy | undefined {
    return this.#past.bound;
  }

  set bound(bound: ServedBy | undefined) {
    this.#past = { ...this.#past, bound };
  }

  /** Where its key was sent to. Written on the way out. */
  get servedBy(): ServedBy | undefined {
    return this.#past.servedBy;
  }

  set servedBy(servedBy: ServedBy | undefined) {
    this.#past = { ...this.#past, servedBy };
  }

  /** Whether it must go to an endpoint that is none of `avoid`, or nowhere. */
  get elsewhere(): boolean {
    return this.#past.elsewhere;
  }

  set elsewhere(elsewhere: boolean) {
    this.#past = { ...this.#past, elsewhere };
  }

  /** Whether it was sent beside an attempt that is still under way. */
  get hedge(): boolean {
    return this.#past.hedge;
  }

  set hedge(hedge: boolean) {
    this.#past = { ...this.#past, hedge };
  }

  /** How earlier attempts failed; shared by its copies. */
  get history(): Attempt[] | undefined {
    return this.#past.history;
  }

  set history(history: Attempt[] | undefined) {
    this.#past = { ...this.#past, history };
  }

  /** Whether its requests have begun to be read, so that nobody can read them again. Written on the way out. */
  get requestsTaken(): boolean {
    return this.#past.requestsTaken;
  }

  set requestsTaken(requestsTaken: boolean) {
    this.#past = { ...this.#past, requestsTaken };
  }

  /** The service's full name: what stands before the slash. */
  get service(): string {
    return this.#terms.service;
  }

  /** Aborts when the caller has lost interest. On a server it is the handler's. */
  get signal(): AbortSignal | undefined {
    return this.#signal ?? this.context?.signal;
  }

  /** What goes with the request; made when it is first asked for. */
  get metadata(): Metadata {
    return this.#metadata ??= new Metadata();
  }

  /** Whether there is any metadata, without making it. */
  get hasMetadata(): boolean {
    return this.#metadata !== undefined && this.#metadata.size > 0;
  }

  /**
   * Takes note of how this attempt failed, for whoever explains the failure in the end. Only the first time counts.
   * @param stoppedBy what kept it from being sent at all, such as `breaker`
   */
  note({ code, executed, message }: RpcError, now: number, stoppedBy?: string): void {
    const { endpoint, sentAt, startedAt, hedge } = this;
    // A hedge for which there was no other instance was no attempt.
    if (this.#past.noted || (hedge && endpoint === undefined)) return;
    const history = this.history ?? [];
    this.#past = { ...this.#past, history, noted: true };
    const before = history.at(-1);
    const begunAt = startedAt + (before?.endedMs ?? 0);
    const sent = sentAt !== undefined;
    history.push({
      endpoint,
      stoppedBy,
      hedge,
      sent,
      queuedMs: Math.max(0, (sentAt ?? now) - begunAt),
      waitedMs: sent ? Math.max(0, now - sentAt) : 0,
      endedMs: now - startedAt,
      code,
      executed,
      message,
    });
  }

  /** A copy with some things changed. The copy has its own metadata. */
  with(changes: Partial<CallInit> & { avoid?: readonly string[] }): Call {
    const copy = new Call({
      procedure: this.procedure,
      service: changes.procedure === undefined ? this.service : undefined,
      kind: this.kind,
      idempotent: this.idempotent,
      message: this.message,
      messages: this.messages,
      startedAt: this.startedAt,
      deadline: this.deadline,
      codec: this.codec,
      hashKey: this.hashKey,
      waitForReady: this.waitForReady,
      retry: this.retry,
      instance: this.instance,
      attempt: this.attempt,
      hop: this.hop,
      criticality: this.criticality,
      dedupe: this.dedupe,
      trace: this.trace,
      context: this.context,
      signal: this.#signal,
      metadata: this.hasMetadata ? new Metadata(this.#metadata) : undefined,
      ...changes,
    });
    const past = this.#past;
    const history = this.history ??= [];
    copy.#past = { ...past, avoid: changes.avoid ?? past.avoid, history, servedBy: undefined, noted: false };
    return copy;
  }
}

/** What a {@link Reply} is made from. */
export interface ReplyInit {
  /** The reply, for kinds that get one. */
  message?: unknown;
  /** The replies, for kinds that get many. */
  messages?: AsyncIterable<unknown>;
  /** What came before the first message. */
  metadata?: Metadata;
  /** What comes after the last message. */
  trailers?: Metadata;
}

/**
 * The answer to a call that got one. For kinds that get many messages it is there as soon as the first has come, or the
 * end; what fails before that rejects the invocation, what fails later ends `messages`.
 */
export class Reply {
  /** The reply, for kinds that get one. */
  readonly message: unknown;
  /** The replies, for kinds that get many. */
  readonly messages: AsyncIterable<unknown> | undefined;
  #metadata: Metadata | undefined;
  #trailers: Metadata | undefined;

  /** Makes a reply. */
  constructor(init: ReplyInit) {
    this.message = init.message;
    this.messages = init.messages;
    this.#metadata = init.metadata;
    this.#trailers = init.trailers;
  }

  /** What came before the first message. */
  get metadata(): Metadata {
    return this.#metadata ??= new Metadata();
  }

  /** What comes after the last message: complete once `messages` has ended. */
  get trailers(): Metadata {
    return this.#trailers ??= new Metadata();
  }

  /** Whether anything came before the first message, without making it. */
  get hasMetadata(): boolean {
    return this.#metadata !== undefined && this.#metadata.size > 0;
  }

  /** Whether anything came after the last message so far, without making it. */
  get hasTrailers(): boolean {
    return this.#trailers !== undefined && this.#trailers.size > 0;
  }

  /** A copy with some things changed. It shares metadata and trailers, which may not be complete yet. */
  with(changes: ReplyInit): Reply {
    return new Reply({
      message: this.message,
      messages: this.messages,
      metadata: this.metadata,
      trailers: this.trailers,
      ...changes,
    });
  }
}

/** Wraps `innermost` in interceptors; the first of the list is outermost. Without any it is `innermost` itself. */
export function compose(interceptors: readonly Interceptor[], innermost: Invoker): Invoker {
  if (!Array.isArray(interceptors) || interceptors.some((wrap) => typeof wrap !== "function")) {
    throw new TypeError("Cannot use interceptors: they must be a list of functions");
  }
  return interceptors.reduceRight((next, wrap) => wrap(next), innermost);
}
