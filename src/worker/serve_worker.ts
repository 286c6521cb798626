/**
 * The worker's side: a module that a pool runs in a thread of its own calls `serveWorker`, and has no more to do.
 *
 * Invariants: one call at a time; each is settled exactly once; a stream's handler runs only while a message is wanted of it.
 */
import type { Context } from "../core/call.ts";
import type { Criticality } from "../core/criticality.ts";
import { RpcError, textOf } from "../core/error.ts";
import { Metadata } from "../core/metadata.ts";
import { runtimePlatform } from "../core/platform.ts";
import type { Method, Methods, ReplyOf, RequestOf, Service } from "../core/service.ts";
import { TraceContext } from "../core/trace_context.ts";
import { Interrupted, limited } from "./limited.ts";
import { type FromWorker, toPlain, type ToWorker } from "./messages.ts";

/**
 * What answers one method in a worker, by its kind. Methods that take many requests can't be answered there. Of the context, the
 * peer's `identity` is missing: it stays in the server's thread.
 */
export type WorkerHandler<M extends Method> = {
  unary: (request: RequestOf<M>, ctx: Context) => ReplyOf<M> | Promise<ReplyOf<M>>;
  serverStream: (request: RequestOf<M>, ctx: Context) => AsyncIterable<ReplyOf<M>> | Iterable<ReplyOf<M>>;
  oneway: (request: RequestOf<M>, ctx: Context) => void | Promise<void>;
  clientStream: never;
  bidi: never;
}[M["kind"]];

/** What answers some methods of a contract in a worker. */
export type WorkerImplementation<S extends Service> = S extends Service<infer M extends Methods>
  ? { readonly [Name in keyof M]?: WorkerHandler<M[Name]> }
  : never;

/** What a worker finds in its global scope. */
interface Scope {
  readonly postMessage?: (message: FromWorker) => void;
  addEventListener(type: "message", listener: (event: MessageEvent<ToWorker>) => void): void;
}

interface Route {
  readonly streams: boolean;
  readonly run: (request: unknown, ctx: Context) => unknown;
}

type CallMessage = ToWorker & { readonly kind: "call" };

const scope = globalThis as unknown as Scope;
const routes = new Map<string, Route>();
let current: Run | undefined;
let listens = false;

/**
 * Answers methods of a contract in this worker. The methods that are left out are answered in the server's own thread.
 *
 * ```ts ignore
 * // count_worker.ts
 * serveWorker(Words, { count: ({ text }) => ({ words: text.split(/\s+/).length }) });
 * ```
 *
 * A handler may wait, but the worker takes no other call meanwhile. One that computes without a pause is interrupted after its
 * deadline; it can end by itself before that when it looks at `ctx.remainingMs()`, which is 0 as soon as nobody waits for it. What
 * it computes after it has waited for something can't be interrupted. Requests and replies are copied between the threads: they
 * may hold what `structuredClone` can copy.
 *
 * @throws {TypeError} when the module does not run in a worker, or there is no such method, or one of its kind can't be answered
 */
export function serveWorker<M extends Methods>(
  contract: Service<M>,
  implementation: WorkerImplementation<Service<M>>,
): void {
  if (typeof WorkerGlobal !== "function" || scope.postMessage === undefined) {
    throw new TypeError(`Cannot serve "${contract.name}" here: this module does not run in a worker`);
  }
  for (const [name, run] of Object.entries(implementation)) {
    const method = Object.hasOwn(contract.methods, name) ? contract.methods[name] : undefined;
    if (method === undefined) throw new TypeError(`Cannot serve "${contract.name}": it has no method "${name}"`);
    if (typeof run !== "function") throw new TypeError(`Cannot serve "${contract.name}": no function for ${name}`);
    if (method.kind === "clientStream" || method.kind === "bidi") {
      throw new TypeError(`Cannot serve "${contract.name}": ${name} takes many requests, which can't go to a worker`);
    }
    routes.set(`${contract.name}/${name}`, { streams: method.kind === "serverStream", run });
  }
  if (!listens) scope.addEventListener("message", ({ data }) => take(data));
  listens = true;
  scope.postMessage({ kind: "ready" });
}

const WorkerGlobal: unknown = (globalThis as { WorkerGlobalScope?: unknown }).WorkerGlobalScope;

function take(message: ToWorker): void {
  if (message.kind === "call") {
    current = new Run(message);
    void current.begin(message.request);
  } else if (current?.id === message.id) {
    if (message.kind === "pull") void current.pull();
    else void current.cancel();
  }
}

/** A call that runs here, and what its handler sees of it. */
class Run implements Context {
  readonly id: number;
  readonly procedure: string;
  readonly metadata: Metadata;
  readonly responseMetadata = new Metadata();
  readonly trailers = new Metadata();
  readonly peer: Context["peer"];
  readonly #deadline: number;
  readonly #limits: Pick<CallMessage, "graceMs" | "stallMs">;
  readonly #over: Int32Array;
  readonly #abort = new AbortController();
  readonly attempt: number;
  readonly hop: number;
  readonly criticality: Criticality;
  trace: TraceContext | undefined;
  #replies: AsyncIterator<unknown> | Iterator<unknown> | undefined;
  #settled = false;

  constructor(message: CallMessage) {
    const { trace } = message;
    this.id = message.id;
    this.procedure = message.procedure;
    this.metadata = Metadata.received(message.metadata);
    this.peer = { ...message.peer, identity: undefined };
    this.attempt = message.attempt;
    this.hop = message.hop;
    this.criticality = message.criticality;
    this.trace = trace && new TraceContext(trace.words, trace.flags, trace.state);
    this.#deadline = runtimePlatform.clock.now() + message.remainingMs;
    this.#limits = message;
    this.#over = message.over;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  remainingMs(): number {
    if (Atomics.load(this.#over, 0) === this.id) return 0;
    return Math.max(0, this.#deadline - runtimePlatform.clock.now());
  }

  /** Runs the handler. */
  async begin(request: unknown): Promise<void> {
    try {
      const route = routes.get(this.procedure);
      if (route === undefined) {
        throw new RpcError("unimplemented", `The worker has no handler for "${this.procedure}"`, { executed: "no" });
      }
      const result = this.#limited(() => route.run(request, this));
      if (route.streams) this.#replies = iteratorOf(result);
      else this.#succeed(result instanceof Promise ? await result : result);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Sends the next message of a stream. */
  async pull(): Promise<void> {
    try {
      const replies = this.#replies;
      if (replies === undefined) return; // the handler failed at once, which has been told already
      const result = await this.#limited(() => replies.next());
      if (this.#settled) return;
      if (result.done) this.#succeed(undefined);
      else this.#post({ kind: "item", id: this.id, value: result.value, responseMetadata: [...this.responseMetadata] });
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Nobody waits for it any more. */
  async cancel(): Promise<void> {
    if (this.#settled) return;
    this.#post({ kind: "heard", id: this.id });
    const reason = new RpcError("cancelled", "The call ended before its handler in the worker did");
    this.#abort.abort(reason);
    if (this.#replies === undefined) return;
    const replies = this.#replies;
    try {
      await this.#limited(() => replies.return?.());
      this.#fail(reason);
    } catch (error) {
      this.#fail(error);
    }
  }

  #limited<T>(run: () => T): T {
    const { graceMs, stallMs } = this.#limits;
    return limited(Math.max(1, Math.ceil(Math.min(this.remainingMs() + graceMs, stallMs))), run);
  }

  #succeed(reply: unknown): void {
    if (this.#settled) return;
    this.#post({ kind: "settled", id: this.id, ...this.#beside(), interrupted: false, ok: true, reply });
    this.#settled = true;
  }

  #fail(thrown: unknown): void {
    if (this.#settled) return;
    this.#settled = true;
    const interrupted = thrown instanceof Interrupted;
    const error = interrupted
      ? new RpcError("deadline_exceeded", `The handler was interrupted: ${thrown.message}`)
      : thrown;
    const outcome = { kind: "settled", id: this.id, ...this.#beside(), interrupted, ok: false } as const;
    try {
      this.#post({ ...outcome, error: toPlain(error) });
    } catch (failure) {
      const text = `Cannot copy the error of "${this.procedure}" out of its worker: ${textOf(failure)}`;
      this.#post({ ...outcome, error: toPlain(new TypeError(text, { cause: error })) });
    }
  }

  #beside() {
    return { responseMetadata: [...this.responseMetadata], trailers: [...this.trailers] };
  }

  /** Throws when a value can't be copied. */
  #post(message: FromWorker): void {
    scope.postMessage!(message);
  }
}

function iteratorOf(replies: unknown): AsyncIterator<unknown> | Iterator<unknown> {
  if (typeof replies === "object" && replies !== null) {
    if (Symbol.asyncIterator in replies) return (replies as AsyncIterable<unknown>)[Symbol.asyncIterator]();
    if (Symbol.iterator in replies) return (replies as Iterable<unknown>)[Symbol.iterator]();
  }
  throw new TypeError("The handler must give an iterable or an async iterable");
}
