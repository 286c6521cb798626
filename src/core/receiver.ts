import type { Call, Invoker, Reply } from "./call.ts";
import type { RpcError } from "./error.ts";

/**
 * Told how a call begins to be answered, or that it will not be: by one of the two, once. They must not throw, and what they do
 * at once must not take long: they may be called while frames are read.
 */
export interface Receiver {
  /** There is a reply. What fails after that ends its `messages`. */
  onReply(reply: Reply): void;
  /** There will be none. */
  onFailure(error: RpcError): void;
}

/** Carries a call like an invoker, and tells a receiver instead of making a promise: a promise for each layer costs more than the layer. */
export type Carry = (call: Call, receiver: Receiver) => void;

/** The same as an invoker. */
export function invoking(carry: Carry): Invoker {
  return (call) => new Promise((onReply, onFailure) => carry(call, { onReply, onFailure }));
}
