/** Keeps what a user's interceptor does wrong to the one call that it did it with. */
import { type Call, type Invoker, Reply } from "../core/call.ts";
import { RpcError } from "../core/error.ts";

/**
 * An invoker that always gives a promise, and in it a reply or an `RpcError`, whatever `invoke` does.
 *
 * @param onFailure told what was thrown that is no `RpcError`
 */
export function contain(invoke: Invoker, onFailure: (call: Call, thrown: unknown) => void): Invoker {
  return async (call) => {
    let thrown: unknown;
    try {
      const reply: unknown = await invoke(call);
      if (reply instanceof Reply) return reply;
      thrown = new TypeError(`Cannot go on with "${call.procedure}": an interceptor gave what is no Reply`);
    } catch (error) {
      if (error instanceof RpcError) throw error;
      thrown = error;
    }
    onFailure(call, thrown);
    throw new RpcError("internal", `An interceptor failed during "${call.procedure}"`, { cause: thrown });
  };
}

/** The same for a server, where what is no `RpcError` may have come from the handler and is dealt with further out. */
export function checkReplies(invoke: Invoker): Invoker {
  return async (call) => {
    const reply: unknown = await invoke(call);
    if (reply instanceof Reply) return reply;
    throw new TypeError(`Cannot answer "${call.procedure}": an interceptor gave what is no Reply`);
  };
}
