import type { Call } from "./call.ts";
import { RpcError } from "./error.ts";
import type { Timers } from "./timers.ts";

/**
 * Waits for something on behalf of a call, no longer than its deadline and its signal allow.
 *
 * @param doing what is waited for, for the error: `connecting to tcp://…`; asked only when it is over
 * @throws {RpcError} `deadline_exceeded` or `cancelled`, with `executed: "no"`
 */
export function waitFor<T>(
  promise: Promise<T>,
  call: Call,
  timers: Timers,
  doing: string | (() => string),
): Promise<T> {
  const { deadline, signal } = call;
  return new Promise((resolve, reject) => {
    const left = () => {
      timer?.[Symbol.dispose]();
      signal?.removeEventListener("abort", aborted);
    };
    const fail = (code: "deadline_exceeded" | "cancelled", text: string) => {
      left();
      reject(new RpcError(code, text, { executed: "no", cause: signal?.reason }));
    };
    const what = () => typeof doing === "string" ? doing : doing();
    const aborted = () => fail("cancelled", `The call of "${call.procedure}" was cancelled while ${what()}`);
    const late = () => fail("deadline_exceeded", `The deadline of "${call.procedure}" passed while ${what()}`);
    const timer = deadline === Infinity ? undefined : timers.after(Math.max(0, deadline - timers.clock.now()), late);
    signal?.addEventListener("abort", aborted);
    if (signal?.aborted) aborted();
    promise.then((value) => {
      left();
      resolve(value);
    }, (error) => {
      left();
      reject(error);
    });
  });
}
