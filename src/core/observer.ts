import type { Call } from "./call.ts";
import type { RpcError } from "./error.ts";

/** Told how the calls end that are carried for it: of each that it was handed in with, once. */
export interface CallObserver {
  /** A call is over: with a failure, or else with its last reply. It must not throw. */
  onSettled(call: Call, failure: RpcError | undefined): void;
}

/**
 * Whether a failure speaks against the server that was called, rather than against the call. What handlers say in the codes that
 * are theirs does not, nor does what a contract declares, nor what no handler saw: that went elsewhere, or was never sent.
 */
export function isServersFault({ code, executed, reason }: RpcError): boolean {
  if (executed === "no" || reason !== undefined) return false;
  return code === "unavailable" || code === "deadline_exceeded" || code === "internal" || code === "unknown";
}
