/** Tells when a call is over, whatever its kind. */
import type { Call, Invoker, Reply } from "../core/call.ts";

/** Told once that a call is over: with what it failed, or with nothing. A stream that its reader left is not failed. */
export type Ended = (failure?: unknown) => void;

/** Runs something with surroundings of its own, such as a trace's. */
export type Around = <T>(run: () => T) => T;

const PLAINLY: Around = (run) => run();

/** Carries a call, and tells when it is over: with its reply, or with the last of its replies. */
export async function untilEnd(next: Invoker, call: Call, ended: Ended, around: Around = PLAINLY): Promise<Reply> {
  let reply: Reply;
  try {
    reply = await around(() => next(call));
  } catch (error) {
    ended(error);
    throw error;
  }
  if (reply.messages === undefined) {
    ended();
    return reply;
  }
  return reply.with({ messages: new Watched(reply.messages, ended, around) });
}

/** Messages whose end somebody wants to know. */
class Watched implements AsyncIterable<unknown> {
  readonly #messages: AsyncIterable<unknown>;
  readonly #ended: Ended;
  readonly #around: Around;

  constructor(messages: AsyncIterable<unknown>, ended: Ended, around: Around) {
    this.#messages = messages;
    this.#ended = ended;
    this.#around = around;
  }

  [Symbol.asyncIterator](): AsyncIterator<unknown> {
    const around = this.#around;
    const iterator = this.#messages[Symbol.asyncIterator]();
    let over = false;
    const end: Ended = (failure) => {
      if (over) return;
      over = true;
      this.#ended(failure);
    };
    const step = async (run: () => Promise<IteratorResult<unknown>>) => {
      try {
        const result = await around(run);
        if (result.done) end();
        return result;
      } catch (error) {
        end(error);
        throw error;
      }
    };
    return {
      next: () => step(() => iterator.next()),
      return: () => step(() => iterator.return?.() ?? Promise.resolve({ done: true, value: undefined })),
    };
  }
}
