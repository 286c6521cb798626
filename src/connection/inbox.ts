/**
 * Messages of one stream that were received and not consumed yet, as an async iterator.
 *
 * Its size is bounded by the credit of the stream: whoever takes a message out reports what it cost.
 */

interface Waiter {
  resolve(result: IteratorResult<unknown, undefined>): void;
  reject(error: unknown): void;
}

/** How many places at the front may be empty before the queue is moved up. */
const COMPACT_AT = 1024;
const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** What a stream has for its reader. */
export class Inbox implements AsyncIterableIterator<unknown> {
  readonly #consumed: (costBytes: number) => void;
  readonly #left: () => void;
  #messages: unknown[] = [];
  #costs: number[] = [];
  #head = 0;
  #waiters: Waiter[] = [];
  #ended = false;
  #error: unknown = undefined;

  /**
   * @param consumed is told what a message cost when it is taken out, or thrown away
   * @param left is told when the reader stops before the end
   */
  constructor(consumed: (costBytes: number) => void, left: () => void) {
    this.#consumed = consumed;
    this.#left = left;
  }

  /** Adds a message. After the end it is thrown away. */
  push(message: unknown, costBytes: number): void {
    if (this.#ended) return this.#consumed(costBytes);
    if (this.#waiters.length > 0) {
      this.#consumed(costBytes);
      return this.#waiters.shift()!.resolve({ done: false, value: message });
    }
    this.#messages.push(message);
    this.#costs.push(costBytes);
  }

  /** Ends it behind what is in it; with an error the reader gets that once. */
  end(error?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#waiters.length === 0) {
      this.#error = error;
      return;
    }
    const [first, ...rest] = this.#waiters;
    this.#waiters = [];
    if (error === undefined) first.resolve(DONE);
    else first.reject(error);
    for (const waiter of rest) waiter.resolve(DONE);
  }

  /** Ends it at once and throws away what is in it. */
  drop(error?: unknown): void {
    this.#discard();
    if (this.#ended) this.#error = error;
    else this.end(error);
  }

  /** The next message. */
  next(): Promise<IteratorResult<unknown, undefined>> {
    const result = this.take();
    if (result !== undefined) return Promise.resolve(result);
    if (!this.#ended) return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
    const error = this.#error;
    this.#error = undefined;
    return error === undefined ? Promise.resolve(DONE) : Promise.reject(error);
  }

  /** The next message if it is there: whoever asks for it otherwise may as well wait. */
  take(): IteratorYieldResult<unknown> | undefined {
    const head = this.#head;
    if (head === this.#messages.length) return undefined;
    const value = this.#messages[head];
    const cost = this.#costs[head];
    this.#messages[head] = undefined;
    if (++this.#head === this.#messages.length) {
      this.#messages.length = this.#costs.length = this.#head = 0;
    } else if (this.#head === COMPACT_AT) {
      this.#messages.splice(0, this.#head);
      this.#costs.splice(0, this.#head);
      this.#head = 0;
    }
    this.#consumed(cost);
    return { done: false, value };
  }

  /** The reader stops. */
  return(): Promise<IteratorResult<unknown, undefined>> {
    this.#discard();
    this.#error = undefined;
    if (!this.#ended) {
      this.end();
      this.#left();
    }
    return Promise.resolve(DONE);
  }

  /** The reader fails. */
  throw(error: unknown): Promise<IteratorResult<unknown, undefined>> {
    this.return();
    return Promise.reject(error);
  }

  /** An iterator is its own iterable. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  #discard(): void {
    for (let i = this.#head; i < this.#costs.length; i++) this.#consumed(this.#costs[i]);
    this.#messages = [];
    this.#costs = [];
    this.#head = 0;
  }
}
