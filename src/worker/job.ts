/** A call on its way through a worker: waiting for one, running in one, or over. */
import type { Context } from "../core/call.ts";
import { Metadata } from "../core/metadata.ts";
import { fromPlain, type FromWorker, type Pairs, type ToWorker } from "./messages.ts";

/** One message of a stream, or its end. */
export type Pulled = { readonly done: false; readonly value: unknown } | { readonly done: true };

const END: Pulled = { done: true };

/** What holds for a call in its worker. */
export type JobLimits = Pick<ToWorker & { kind: "call" }, "graceMs" | "stallMs" | "over">;

/** A call on its way through a worker. It settles once, whatever comes late. */
export class Job {
  /** Which call it is among those of its pool. */
  readonly id: number;
  /** What is called. */
  readonly procedure: string;
  /** Resolves with the reply of a call that has one, or at the end of a stream. */
  readonly ended: Promise<unknown>;
  /** Whether it is over. */
  isOver = false;
  readonly #request: unknown;
  readonly #ctx: Context;
  readonly #resolve: (reply: unknown) => void;
  readonly #reject: (error: unknown) => void;
  #send: ((message: ToWorker) => void) | undefined;
  #wanted: PromiseWithResolvers<Pulled> | undefined;
  #headTold = false;

  constructor(id: number, request: unknown, ctx: Context) {
    this.id = id;
    this.procedure = ctx.procedure;
    this.#request = request;
    this.#ctx = ctx;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.ended = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    promise.catch(() => {}); // a stream that is left early is not asked again
  }

  /** Aborts when nobody waits for it any more. */
  get signal(): AbortSignal {
    return this.#ctx.signal;
  }

  /** Begins in a worker. Throws when the request can't be copied. */
  begin(send: (message: ToWorker) => void, limits: JobLimits): void {
    const { procedure, metadata, peer } = this.#ctx;
    const { endpoint, instance, zone } = peer;
    const { attempt, hop, criticality, trace } = this.#ctx;
    send({
      kind: "call",
      id: this.id,
      procedure,
      request: this.#request,
      metadata: [...metadata],
      remainingMs: this.#ctx.remainingMs(),
      peer: { endpoint, instance, zone },
      ...limits,
      attempt,
      hop,
      criticality,
      trace: trace && { words: trace.words, flags: trace.flags, state: trace.state },
    });
    this.#send = send;
    if (this.#wanted !== undefined) send({ kind: "pull", id: this.id });
  }

  /** Asks the handler to end soon; harmless before it has begun. */
  cancel(): void {
    this.#send?.({ kind: "cancel", id: this.id });
  }

  /** The next message of a stream. One at a time. */
  pull(): Promise<Pulled> {
    if (this.isOver) return this.ended.then(() => END);
    this.#wanted = Promise.withResolvers();
    this.#send?.({ kind: "pull", id: this.id });
    return this.#wanted.promise;
  }

  /** Takes what its worker says. */
  take(message: FromWorker): void {
    if (this.isOver || message.kind === "ready" || message.kind === "heard" || message.id !== this.id) return;
    this.#head(message.responseMetadata);
    if (message.kind === "item") {
      this.#wanted?.resolve({ done: false, value: message.value });
      this.#wanted = undefined;
      return;
    }
    this.#ctx.trailers.absorb(Metadata.received(message.trailers));
    if (!message.ok) return this.fail(fromPlain(message.error));
    this.isOver = true;
    this.#resolve(message.reply);
    this.#wanted?.resolve(END);
  }

  /** Ends it with an error. */
  fail(error: unknown): void {
    this.isOver = true;
    this.#reject(error);
    this.#wanted?.reject(error);
  }

  #head(pairs: Pairs): void {
    if (this.#headTold) return;
    this.#headTold = true;
    this.#ctx.responseMetadata.absorb(Metadata.received(pairs));
  }
}
