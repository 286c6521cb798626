import type { WatchEvent } from "../registry/registry.ts";

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** A watch that begins when what it follows has been read. Leaving it, or its signal, ends it at once, also while it waits. */
export class StoreWatch implements AsyncIterableIterator<WatchEvent> {
  readonly #open: (signal: AbortSignal) => Promise<AsyncIterator<WatchEvent>>;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  #events: Promise<AsyncIterator<WatchEvent>> | undefined;

  /** @param open begins it; its signal ends it */
  constructor(signal: AbortSignal | undefined, open: (signal: AbortSignal) => Promise<AsyncIterator<WatchEvent>>) {
    this.#open = open;
    this.#signal = signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal]);
  }

  async next(): Promise<IteratorResult<WatchEvent, undefined>> {
    if (this.#signal.aborted) return DONE;
    try {
      return await (await (this.#events ??= this.#open(this.#signal))).next();
    } catch (error) {
      if (this.#signal.aborted) return DONE;
      this.#stop.abort();
      throw error;
    }
  }

  return(): Promise<IteratorResult<WatchEvent, undefined>> {
    this.#stop.abort();
    return Promise.resolve(DONE);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
