import type { Reply } from "../core/call.ts";
import { RpcError } from "../core/error.ts";
import type { Metadata } from "../core/metadata.ts";
import { Inbox } from "../connection/inbox.ts";

/** What a stream of replies needs of its call. */
export interface StreamOwner {
  /** Told what came before the first reply. It must not throw. */
  onMetadata(metadata: Metadata): void;
  /** Told what came after the last reply. It must not throw. */
  onTrailers(trailers: Metadata): void;
  /** Aborts when the caller takes the call back. */
  readonly signal: AbortSignal;
  /** Ends the call while there is no reply yet. */
  cancel(): void;
  /** Puts into an error what was known and tried. */
  explain(error: unknown): unknown;
}

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** The replies of a call that has begun, before anybody knows whether there will be any. Leaving it early cancels the call. */
export class ReplyStream implements AsyncIterableIterator<unknown> {
  readonly #owner: StreamOwner;
  readonly #iterator: Promise<AsyncIterator<unknown>>;
  #reply: Reply | undefined;
  #open: AsyncIterator<unknown> | undefined;
  #over = false;

  constructor(reply: Promise<Reply>, owner: StreamOwner) {
    this.#owner = owner;
    this.#iterator = reply.then((reply) => {
      this.#reply = reply;
      owner.onMetadata(reply.metadata);
      return this.#open = (reply.messages ?? nothing())[Symbol.asyncIterator]();
    });
    this.#iterator.catch(() => {}); // whoever reads is told; nobody need read
  }

  next(): Promise<IteratorResult<unknown, undefined>> {
    // What is there already costs one promise.
    const ready = !this.#over && this.#open instanceof Inbox && !this.#owner.signal.aborted && this.#open.take();
    return ready ? Promise.resolve(ready) : this.#next();
  }

  async #next(): Promise<IteratorResult<unknown, undefined>> {
    if (this.#over) return DONE;
    try {
      // All replies may have come, with some of them still to be read: nobody wants these any more.
      if (this.#open !== undefined && this.#owner.signal.aborted) await this.#leave(this.#open);
      const result = await (this.#open ?? await this.#iterator).next();
      if (!result.done) return result;
      this.#finish();
      return DONE;
    } catch (error) {
      this.#over = true;
      if (error instanceof RpcError && error.metadata !== undefined) this.#owner.onTrailers(error.metadata);
      throw this.#owner.explain(error);
    }
  }

  async return(): Promise<IteratorResult<unknown, undefined>> {
    if (this.#over) return DONE;
    this.#over = true;
    if (this.#open === undefined) this.#owner.cancel();
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

  /** @throws {RpcError} `cancelled` */
  async #leave(open: AsyncIterator<unknown>): Promise<never> {
    await open.return?.();
    const cause = this.#owner.signal.reason;
    throw new RpcError("cancelled", "The call was cancelled", { executed: "maybe", cause });
  }

  #finish(): void {
    this.#over = true;
    if (this.#reply !== undefined) this.#owner.onTrailers(this.#reply.trailers);
  }
}

async function* nothing(): AsyncGenerator<unknown> {}
