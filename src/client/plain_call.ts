import type { Call, Invoker, Reply } from "../core/call.ts";
import type { RpcError } from "../core/error.ts";
import type { Receiver } from "../core/receiver.ts";
import type { Retrying } from "../interceptor/retry.ts";

/** What plain calls need of their client. */
export interface PlainCallHost {
  /** What tries again, if anything does. */
  readonly retrying: Retrying | undefined;
  /** Carries further attempts. */
  readonly attempt: Invoker;
  /** Puts into an error what was known and tried. */
  explain(error: unknown, call: Call): unknown;
}

/**
 * A call with one reply, where nothing stands between the client and its cluster but retries: most calls of most programs. It is
 * told of its end, and costs the one promise that its caller awaits.
 */
export class PlainCall implements Receiver {
  readonly #host: PlainCallHost;
  readonly #call: Call;
  readonly #resolve: (message: unknown) => void;
  readonly #reject: (error: unknown) => void;

  constructor(
    host: PlainCallHost,
    call: Call,
    resolve: (message: unknown) => void,
    reject: (error: unknown) => void,
  ) {
    this.#host = host;
    this.#call = call;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  onReply({ message }: Reply): void {
    this.#host.retrying?.passed(this.#call);
    this.#resolve(message);
  }

  onFailure(error: RpcError): void {
    // In a turn of its own: whoever failed it may not have told all others yet, and it could come back to them.
    void this.#goOn(error);
  }

  async #goOn(error: RpcError): Promise<void> {
    const { retrying, attempt, explain } = this.#host;
    const call = this.#call;
    try {
      await undefined;
      if (retrying === undefined) throw error;
      const { message } = await retrying.goOn(call, error, attempt);
      this.#resolve(message);
    } catch (failure) {
      this.#reject(explain(failure, call));
    }
  }
}
