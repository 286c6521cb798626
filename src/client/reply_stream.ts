import type { Reply } from "../core/call.ts";
import { RpcError } from "../core/error.ts";
import type { CallOptions } from "./options.ts";

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** The replies of a call that has begun, before anybody knows whether there will be any. Leaving it early cancels the call. */
export class ReplyStream implements AsyncIterableIterator<unknown> {
  readonly #options: CallOptions;
  readonly #cancel: () => void;
  readonly #explain: (error: unknown) => unknown;
  readonly #iterator: Promise<AsyncIterator<unknown>>;
  #reply: Reply | undefined;
  #open: AsyncIterator<unknown> | undefined;
  #over = false;

  /**
   * @param cancel ends the call while there is no reply yet
   * @param explain puts into an error what was known and tried
   */
  constructor(reply: Promise<Reply>, options: CallOptions, cancel: () => void, explain: (error: unknown) => unknown) {
    this.#options = options;
    this.#cancel = cancel;
    this.#explain = explain;
    this.#iterator = reply.then((reply) => {
      this.#reply = reply;
      options.onMetadata?.(reply.metadata);
      return this.#open = (reply.messages ?? nothing())[Symbol.asyncIterator]();
    });
    this.#iterator.catch(() => {}); // whoever reads is told; nobody need read
  }

  async next(): Promise<IteratorResult<unknown, undefined>> {
    if (this.#over) return DONE;
    try {
      const result = await (this.#open ?? await this.#iterator).next();
      if (!result.done) return result;
      this.#finish();
      return DONE;
    } catch (error) {
      this.#over = true;
      if (error instanceof RpcError && error.metadata !== undefined) this.#options.onTrailers?.(error.metadata);
      throw this.#explain(error);
    }
  }

  async return(): Promise<IteratorResult<unknown, undefined>> {
    if (this.#over) return DONE;
    this.#over = true;
    if (this.#open === undefined) this.#cancel();
    else await this.#open.return?.();
    return DONE;
  }

  async throw(error: unknown): Promise<IteratorResult<unknown, undefined>> {
    await this.return();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #finish(): void {
    this.#over = true;
    if (this.#reply !== undefined) this.#options.onTrailers?.(this.#reply.trailers);
  }
}

async function* nothing(): AsyncGenerator<unknown> {}
