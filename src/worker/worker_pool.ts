/**
 * Threads that run handlers, so that a method which computes for long holds up nobody: not the heartbeats of its server, nor its
 * other calls.
 *
 * Invariants: a worker has one call at a time; one that goes on after its call is over is ended, and another takes its place; no
 * timer and no worker outlives `close`.
 */
import type { Context } from "../core/call.ts";
import { type Executed, RpcError } from "../core/error.ts";
import { checkInteger, withDefaults } from "../core/options.ts";
import { type Platform, runtimePlatform } from "../core/platform.ts";
import type { MethodKind, Methods, Service } from "../core/service.ts";
import { IncomingCall } from "../connection/incoming_call.ts";
import type { Handler } from "../host/handler.ts";
import { Job } from "./job.ts";
import { Seat } from "./seat.ts";

/** How a pool works. */
export interface WorkerPoolOptions {
  /** How many workers there may be, 1 to 1024. They start when they are first needed. Default: one for each core but one. */
  size?: number;
  /** How many calls may wait for a worker, 0 to 1 000 000; more are refused with `resource_exhausted`. Default 128. */
  maxQueue?: number;
  /**
   * How long a handler may go on after its deadline, or after nobody waits for it any more, in milliseconds, 0 to 60 000. Then its
   * worker is ended. Default 100.
   */
  graceMs?: number;
  /** How long a handler may compute without a pause, whatever its deadline, in milliseconds, 1 to 3 600 000. Default 30 000. */
  stallMs?: number;
  /** How long a worker may take to start, in milliseconds, 1 to 600 000. Default 30 000. */
  startMs?: number;
  /** Time. Default: the runtime's. */
  platform?: Platform;
}

/** What a pool has done and does. */
export interface WorkerPoolStats {
  /** How many workers there are. */
  readonly workers: number;
  /** How many of them run a call. */
  readonly busy: number;
  /** How many calls wait. */
  readonly queued: number;
  /** How many calls began. */
  readonly begun: number;
  /** How many calls were refused because too many waited. */
  readonly refused: number;
  /** How many workers were ended because their handler did not end. */
  readonly overran: number;
  /** How many workers did not say anything any more, and were given up: each may compute until the process ends. */
  readonly lost: number;
  /** How many workers failed by themselves. */
  readonly crashed: number;
}

const cores = (globalThis as { navigator?: { hardwareConcurrency?: number } }).navigator?.hardwareConcurrency ?? 2;

const DEFAULTS: Readonly<Required<WorkerPoolOptions>> = Object.freeze({
  size: Math.min(1024, Math.max(1, cores - 1)),
  maxQueue: 128,
  graceMs: 100,
  stallMs: 30_000,
  startMs: 30_000,
  platform: runtimePlatform,
});

/**
 * Workers that answer methods in threads of their own. Each runs the same module, with the permissions of the program.
 *
 * ```ts ignore
 * await using pool = new WorkerPool(new URL("./count_worker.ts", import.meta.url), { size: 2 });
 * server.handle(Words, { ...others, count: pool.method(Words, "count") });
 * ```
 *
 * A handler that goes on after its deadline is ended with its worker, and another worker takes its place. One that computes
 * without a pause when its caller leaves is ended at its deadline, too; until then its worker takes no other call. What a handler
 * computes after it has waited for something can't be interrupted: its worker is given up after `stallMs`, and its thread goes
 * on. Whoever makes a pool closes it, after the servers that use it: workers keep the process alive.
 */
export class WorkerPool implements AsyncDisposable {
  readonly #module: string;
  readonly #options: Required<WorkerPoolOptions>;
  readonly #seats = new Set<Seat>();
  readonly #queue = new Set<Job>();
  readonly #counts = { begun: 0, refused: 0, overran: 0, lost: 0, crashed: 0 };
  #lastId = 0;
  #closed = false;

  /**
   * Makes a pool, which starts no worker yet.
   * @param module the module that calls `serveWorker`
   * @throws {RangeError} {TypeError} when an option can't be used
   */
  constructor(module: URL, options?: WorkerPoolOptions) {
    if (!(module instanceof URL)) {
      throw new TypeError('Cannot make a pool of workers: write their module as new URL("./x.ts", import.meta.url)');
    }
    this.#module = module.href;
    this.#options = withDefaults(DEFAULTS, options);
    const { size, maxQueue, graceMs, stallMs, startMs } = this.#options;
    checkInteger("size", size, 1, 1024);
    checkInteger("maxQueue", maxQueue, 0, 1_000_000);
    checkInteger("graceMs", graceMs, 0, 60_000);
    checkInteger("stallMs", stallMs, 1, 3_600_000);
    checkInteger("startMs", startMs, 1, 600_000);
  }

  /**
   * The handler that has a method answered in a worker, to be given to `server.handle`.
   * @throws {TypeError} when there is no such method, or it takes many requests
   */
  method<M extends Methods, Name extends keyof M & string>(contract: Service<M>, name: Name): Handler<M[Name]> {
    const method = Object.hasOwn(contract.methods, name) ? contract.methods[name] : undefined;
    if (method === undefined) throw new TypeError(`Cannot answer "${contract.name}": it has no method "${name}"`);
    return this.#handler(`${contract.name}/${name}`, method.kind) as Handler<M[Name]>;
  }

  /** What it has done and does. */
  stats(): WorkerPoolStats {
    const busy = [...this.#seats].filter((seat) => seat.job !== undefined).length;
    return { workers: this.#seats.size, busy, queued: this.#queue.size, ...this.#counts };
  }

  /** Ends all workers at once: calls that run or wait fail with `unavailable`. Harmless the second time. */
  close(): Promise<void> {
    this.#closed = true;
    const error = closedError("maybe");
    for (const job of this.#queue) job.fail(closedError("no"));
    this.#queue.clear();
    for (const seat of this.#seats) {
      seat.end();
      seat.job?.fail(error);
    }
    this.#seats.clear();
    return Promise.resolve();
  }

  /** Closes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #handler(procedure: string, kind: MethodKind): unknown {
    switch (kind) {
      case "unary":
      case "oneway":
        return (request: unknown, ctx: Context) => this.#one(request, ctx);
      case "serverStream":
        return (request: unknown, ctx: Context) => this.#many(request, ctx);
      default:
        throw new TypeError(`Cannot answer "${procedure}" in a worker: it takes many requests`);
    }
  }

  async #one(request: unknown, ctx: Context): Promise<unknown> {
    const job = this.#enter(request, ctx);
    using _watch = this.#watch(job);
    return await job.ended;
  }

  async *#many(request: unknown, ctx: Context): AsyncGenerator<unknown> {
    const job = this.#enter(request, ctx);
    using _watch = this.#watch(job);
    try {
      for (;;) {
        const pulled = await job.pull();
        if (pulled.done) return;
        yield pulled.value;
      }
    } finally {
      if (!job.isOver) {
        this.#leave(job);
        await job.ended.catch(() => {});
      }
    }
  }

  /** Takes a call, or refuses it. */
  #enter(request: unknown, ctx: Context): Job {
    if (this.#closed) throw unrun(ctx, closedError("no"));
    const job = new Job(++this.#lastId, request, ctx);
    this.#queue.add(job);
    this.#dispatch();
    const waiting = this.#queue.size - this.#starting;
    if (this.#queue.has(job) && waiting > this.#options.maxQueue) {
      this.#queue.delete(job);
      this.#counts.refused++;
      const text = `Cannot run "${ctx.procedure}" in a worker: ${this.#options.maxQueue} calls wait already (maxQueue)`;
      throw unrun(ctx, new RpcError("resource_exhausted", text, { executed: "no" }));
    }
    return job;
  }

  /** Looks to it that a call which nobody waits for any more ends. */
  #watch(job: Job): Disposable {
    const { signal } = job;
    const leave = () => this.#leave(job);
    if (signal.aborted) leave();
    else signal.addEventListener("abort", leave);
    return { [Symbol.dispose]: () => signal.removeEventListener("abort", leave) };
  }

  /** Nobody waits for a call any more. */
  #leave(job: Job): void {
    if (job.isOver) return;
    if (this.#queue.delete(job)) {
      return job.fail(job.signal.reason ?? new RpcError("cancelled", "The call left the queue", { executed: "no" }));
    }
    [...this.#seats].find((seat) => seat.job === job)?.leave();
  }

  /** Gives waiting calls to workers that have nothing to do, and starts workers for the others as far as there may be more. */
  #dispatch(): void {
    for (const seat of this.#seats) {
      if (this.#queue.size === 0) return;
      if (seat.isIdle) this.#give(seat);
    }
    while (this.#queue.size > this.#starting && this.#seats.size < this.#options.size) this.#start();
  }

  /** How many workers are about to take a call. */
  get #starting(): number {
    let count = 0;
    for (const seat of this.#seats) if (!seat.isReady) count++;
    return count;
  }

  #give(seat: Seat): void {
    for (const job of this.#queue) {
      this.#queue.delete(job);
      this.#counts.begun++;
      if (seat.take(job)) return;
    }
  }

  #start(): void {
    const seat = new Seat(this.#module, this.#options, {
      idle: () => this.#dispatch(),
      overran: (seat) => {
        this.#counts.overran++;
        this.#replace(seat);
      },
      lost: (seat) => {
        this.#counts.lost++;
        this.#replace(seat);
      },
      crashed: (seat, error, wasReady) => {
        this.#counts.crashed++;
        this.#seats.delete(seat);
        if (wasReady) return this.#dispatch();
        // The next would fail in the same way: whoever calls next finds out. Those that wait may still get one that runs.
        if (this.#seats.size > 0) return;
        for (const job of this.#queue) job.fail(error);
        this.#queue.clear();
      },
    });
    this.#seats.add(seat);
  }

  /** Another takes its place at once, so that the next call does not wait for it to start. */
  #replace(seat: Seat): void {
    this.#seats.delete(seat);
    this.#start();
  }
}

function closedError(executed: Executed): RpcError {
  return new RpcError("unavailable", "The pool of workers was closed", { executed });
}

/** An error of a call whose handler has not begun, and the server may say so. */
function unrun(ctx: Context, error: RpcError): RpcError {
  if (ctx instanceof IncomingCall) ctx.started = false;
  return error;
}
