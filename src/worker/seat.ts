import { RpcError } from "../core/error.ts";
import type { Platform } from "../core/platform.ts";
import type { Job } from "./job.ts";
import type { FromWorker, ToWorker } from "./messages.ts";

/** How a worker of a pool is to behave. */
export interface SeatOptions {
  readonly platform: Platform;
  readonly startMs: number;
  readonly graceMs: number;
  readonly stallMs: number;
}

/** What a seat tells its pool. */
export interface SeatHooks {
  /** It can take a call. */
  idle(seat: Seat): void;
  /** Its worker was ended because its handler did not end. */
  overran(seat: Seat): void;
  /** Its worker has not said anything for so long that nobody knows what it does: it may compute for ever. */
  lost(seat: Seat): void;
  /** Its worker failed by itself, or did not start. */
  crashed(seat: Seat, error: Error, wasReady: boolean): void;
}

/**
 * One worker of a pool, and the call that it runs.
 *
 * A worker can be ended only while it does not compute: one that does is interrupted by its own watchdog, says so, and is ended
 * then. Until it has said something its seat is taken, so that threads that nobody can end do not become more and more.
 */
export class Seat {
  /** The call that it runs, also when that is over for everybody else. */
  job: Job | undefined = undefined;
  readonly #worker: Worker;
  readonly #options: SeatOptions;
  readonly #hooks: SeatHooks;
  readonly #module: string;
  /** Holds the id of a call that nobody waits for any more. */
  readonly #over = new Int32Array(new SharedArrayBuffer(4));
  #isReady = false;
  /** Whether it knows that nobody waits for its call any more, and so does not compute. */
  #heard = false;
  #ended = false;
  /** Runs while it starts, and while a call that nobody waits for goes on. */
  #timer: Disposable | undefined;

  /** Starts a worker. */
  constructor(module: string, options: SeatOptions, hooks: SeatHooks) {
    this.#module = module;
    this.#options = options;
    this.#hooks = hooks;
    this.#worker = new Worker(module, { type: "module" });
    this.#worker.addEventListener("message", ({ data }) => this.#hear(data));
    this.#worker.addEventListener("messageerror", () => this.#crash("it said what can't be copied"));
    this.#worker.addEventListener("error", (event) => {
      event.preventDefault(); // or the whole program would end
      this.#crash(event.message);
    });
    const { platform, startMs } = options;
    const late = () => this.#crash(`it did not call serveWorker() within ${startMs} ms (startMs)`);
    this.#timer = platform.clock.timer(startMs, late);
  }

  /** Whether it has started. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Whether it can take a call. */
  get isIdle(): boolean {
    return this.#isReady && this.job === undefined;
  }

  /** Begins a call. False when its request can't be copied, of which the call learns. */
  take(job: Job): boolean {
    const { graceMs, stallMs } = this.#options;
    this.#heard = false;
    try {
      job.begin((message: ToWorker) => this.#worker.postMessage(message), { graceMs, stallMs, over: this.#over });
    } catch (error) {
      job.fail(error);
      return false;
    }
    this.job = job;
    return true;
  }

  /** Nobody waits for its call any more: the handler is told, and has a while to end. */
  leave(): void {
    const { job } = this;
    if (job === undefined || this.#timer !== undefined) return;
    const { platform, graceMs, stallMs } = this.#options;
    Atomics.store(this.#over, 0, job.id);
    job.cancel();
    this.#timer = platform.clock.timer(graceMs, () => {
      this.#timer = undefined;
      job.fail(new RpcError("deadline_exceeded", `The handler went on for ${graceMs} ms after its call (graceMs)`));
      if (this.#heard) return this.#overrun();
      // By then it has been interrupted, unless it computes after it has waited, or has closed itself.
      this.#timer = platform.clock.timer(stallMs, () => {
        this.end();
        this.#hooks.lost(this);
      });
    });
  }

  /** Ends the worker: at once, or when it next pauses. */
  end(): void {
    this.#ended = true;
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    if (this.job !== undefined) Atomics.store(this.#over, 0, this.job.id);
    this.#worker.terminate();
  }

  #hear(message: FromWorker): void {
    if (this.#ended) return;
    const { job } = this;
    switch (message.kind) {
      case "ready":
        if (this.#isReady) return;
        this.#isReady = true;
        return this.#rest();
      case "heard":
        if (message.id !== job?.id) return;
        this.#heard = true;
        // It computed for longer than anybody waited for it, and does not end now either.
        if (job.isOver) this.#overrun();
        return;
      case "item":
        return job?.take(message);
      case "settled":
        job?.take(message);
        if (message.interrupted) return this.#overrun();
        this.job = undefined;
        return this.#rest();
    }
  }

  /** It has nothing to do. */
  #rest(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#hooks.idle(this);
  }

  #overrun(): void {
    this.end();
    this.job = undefined;
    this.#hooks.overran(this);
  }

  #crash(why: string): void {
    if (this.#ended) return;
    this.end();
    const wasReady = this.#isReady;
    const error = new Error(`The worker ${this.#module} ${wasReady ? "failed" : "did not start"}: ${why}`);
    this.job?.fail(error);
    this.job = undefined;
    this.#hooks.crashed(this, error, wasReady);
  }
}
