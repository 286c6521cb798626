import type { Reply } from "../core/call.ts";
import { RpcError } from "../core/error.ts";
import type { WatchEvent } from "../registry/registry.ts";

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** A watch of a center's registry. Leaving it, or its signal, ends the stream behind it at once, also while it waits. */
export class CenterWatch implements AsyncIterableIterator<WatchEvent> {
  readonly #open: (signal: AbortSignal) => Promise<Reply>;
  readonly #service: string;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  #events: Promise<AsyncIterator<unknown>> | undefined;

  /** @param open begins the stream; its signal ends it */
  constructor(service: string, signal: AbortSignal | undefined, open: (signal: AbortSignal) => Promise<Reply>) {
    this.#service = service;
    this.#open = open;
    this.#signal = signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal]);
  }

  async next(): Promise<IteratorResult<WatchEvent, undefined>> {
    if (this.#signal.aborted) return DONE;
    try {
      this.#events ??= this.#open(this.#signal).then((reply) => reply.messages![Symbol.asyncIterator]());
      const result = await (await this.#events).next();
      if (!result.done) return result as IteratorYieldResult<WatchEvent>;
    } catch (error) {
      if (this.#signal.aborted) return DONE;
      this.#stop.abort();
      throw error;
    }
    if (this.#signal.aborted) return DONE;
    this.#stop.abort();
    throw new RpcError("unavailable", `The center ended the watch of "${this.#service}"`);
  }

  return(): Promise<IteratorResult<WatchEvent, undefined>> {
    this.#stop.abort();
    return Promise.resolve(DONE);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
