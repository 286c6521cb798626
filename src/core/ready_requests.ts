/** Requests that are there already, or are made as soon as they are asked for: whoever sends them need not wait for each. */
export class ReadyRequests implements AsyncIterable<unknown> {
  readonly #requests: Iterable<unknown>;

  /** @param requests as the caller gave them */
  constructor(requests: Iterable<unknown>) {
    this.#requests = requests;
  }

  /** One pass over them. */
  [Symbol.asyncIterator](): ReadyIterator {
    return new ReadyIterator(this.#requests[Symbol.iterator]());
  }
}

/** One pass over requests that are there. A request that is a promise stands for what it resolves to. */
export class ReadyIterator implements AsyncIterableIterator<unknown> {
  readonly #source: Iterator<unknown>;

  constructor(source: Iterator<unknown>) {
    this.#source = source;
  }

  /** The next one, at once; it may be a promise. */
  take(): IteratorResult<unknown> {
    return this.#source.next();
  }

  async next(): Promise<IteratorResult<unknown>> {
    const { done, value } = this.take();
    return { done, value: await value } as IteratorResult<unknown>;
  }

  return(): Promise<IteratorResult<unknown>> {
    return Promise.try(() => this.#source.return?.()).then(() => ({ done: true, value: undefined }));
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
