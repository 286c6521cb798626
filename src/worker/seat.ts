import { RpcError } from "../core/error.ts";
import type { Clock } from "../core/platform.ts";
import type { Job } from "./job.ts";
import type { FromWorker, ToWorker } from "./messages.ts";

/** What a seat tells its pool. */
export interface SeatHooks {
  /** It can take a call. */
  idle(seat: Seat): void;
  /** Its worker went on after its call was over, and was ended. */
  overran(seat: Seat): void;
  /** Its worker failed by itself, or did not start. */
  crashed(seat: Seat, error: Error, wasReady: boolean): void;
}

/** One worker of a pool, and the call that it runs. */
export class Seat {
  /** The call that it runs. */
  job: Job | undefined = undefined;
  readonly #worker: Worker;
  readonly #clock: Clock;
  readonly #hooks: SeatHooks;
  readonly #module: string;
  #isReady = false;
  #ended = false;
  /** Runs while it starts, and while a call that is over goes on. */
  #timer: Disposable | undefined;

  /** Starts a worker. */
  constructor(module: string, clock: Clock, startMs: number, hooks: SeatHooks) {
    this.#module = module;
    this.#clock = clock;
    this.#hooks = hooks;
    this.#worker = new Worker(module, { type: "module" });
    this.#worker.addEventListener("message", ({ data }) => this.#hear(data));
    this.#worker.addEventListener("messageerror", () => this.#crash("it said what can't be copied"));
    this.#worker.addEventListener("error", (event) => {
      event.preventDefault(); // or the whole program would end
      this.#crash(event.message);
    });
    this.#timer = clock.timer(
      startMs,
      () => this.#crash(`it did not call serveWorker() within ${startMs} ms (startMs)`),
    );
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
    try {
      job.begin((message: ToWorker) => this.#worker.postMessage(message));
    } catch (error) {
      job.fail(error);
      return false;
    }
    this.job = job;
    return true;
  }

  /** Nobody waits for its call any more: the handler is told, and after `graceMs` the worker is ended. */
  leave(graceMs: number): void {
    const { job } = this;
    if (job === undefined || this.#timer !== undefined) return;
    job.cancel();
    this.#timer = this.#clock.timer(graceMs, () => {
      this.end();
      job.fail(
        new RpcError("deadline_exceeded", `The worker went on for ${graceMs} ms after its call was over (graceMs)`),
      );
      this.#hooks.overran(this);
    });
  }

  /** Ends the worker at once. */
  end(): void {
    this.#ended = true;
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#worker.terminate();
  }

  #hear(message: FromWorker): void {
    if (this.#ended) return;
    if (message.kind === "ready") {
      if (this.#isReady) return;
      this.#isReady = true;
    } else {
      this.job?.take(message);
      if (this.job?.isOver === false) return;
      this.job = undefined;
    }
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#hooks.idle(this);
  }

  #crash(why: string): void {
    if (this.#ended) return;
    this.end();
    const wasReady = this.#isReady;
    const error = new Error(`The worker ${this.#module} ${wasReady ? "failed" : "did not start"}: ${why}`);
    this.job?.fail(error);
    this.#hooks.crashed(this, error, wasReady);
  }
}
