import { type Call, type Interceptor, Reply } from "../core/call.ts";
import { checkCodes, type Code } from "../core/code.ts";
import { RpcError } from "../core/error.ts";
import { checkNames } from "../core/options.ts";
import type { Method, Methods, ReplyOf, RequestOf, Service } from "../core/service.ts";

/**
 * What is answered in the place of one method: a reply, or a function that makes one from the request and the error. A function
 * may wait, and nothing but itself limits for how long. Many requests are gone by then, so it gets `undefined` for them.
 */
export type FallbackReply<M extends Method> =
  | ReplyOf<M>
  | ((
    request: M["kind"] extends "unary" ? RequestOf<M> : undefined,
    error: RpcError,
  ) => ReplyOf<M> | Promise<ReplyOf<M>>);

/** What is answered in the place of some methods of a contract; of those that have one reply. */
export type FallbackReplies<S extends Service> = S extends Service<infer M extends Methods>
  ? { readonly [Name in keyof M]?: M[Name] extends Method<"unary" | "clientStream"> ? FallbackReply<M[Name]> : never }
  : never;

/** When replies are fallen back on. */
export interface FallbackOptions {
  /** The codes after which they are. Default: `unavailable`, `deadline_exceeded`, `resource_exhausted`, `internal`, `unknown`. */
  codes?: readonly Code[];
}

/** Who is told of fallbacks. */
export interface FallbackSurroundings {
  /** Told of each call that failed so, and is answered all the same. */
  onUsed?: (call: Call, error: RpcError) => void;
  /** Told what a function threw that was to make a reply. */
  onFailed?: (call: Call, thrown: unknown) => void;
}

/** The fallbacks of one contract, as `fallbacks` of a client takes them. It makes an interceptor, for those who want one. */
export type Fallback = (surroundings?: FallbackSurroundings) => Interceptor;

const CODES: readonly Code[] = ["unavailable", "deadline_exceeded", "resource_exhausted", "internal", "unknown"];

/**
 * Answers in the place of methods whose calls have failed in the end, after all retries.
 *
 * ```ts ignore
 * const client = new Client({
 *   fallbacks: [fallback(Shop, { price: { cents: 0 }, related: (request, error) => lastKnown.get(request.item) ?? [] })],
 * });
 * ```
 *
 * What the application answers stays an answer: errors that a contract declares, and codes other than `codes`. So do calls that
 * were cancelled. A function that throws leaves the call as it failed.
 *
 * @throws {TypeError} when the contract has no such method, or it has many replies, or none
 */
export function fallback<M extends Methods>(
  contract: Service<M>,
  replies: FallbackReplies<Service<M>>,
  options: FallbackOptions = {},
): Fallback {
  const codes = new Set<Code>(checkCodes("codes", checkNames(options, { codes: true }).codes ?? CODES));
  const byProcedure = new Map<string, unknown>();
  for (const [name, reply] of Object.entries(replies)) {
    const kind = Object.hasOwn(contract.methods, name) ? contract.methods[name].kind : undefined;
    const procedure = `${contract.name}/${name}`;
    if (kind !== "unary" && kind !== "clientStream") {
      throw new TypeError(`Cannot fall back for "${procedure}": it is no method with one reply`);
    }
    byProcedure.set(procedure, reply);
  }
  return ({ onUsed, onFailed } = {}) => {
    const fallBack = async (call: Call, reply: unknown, error: unknown): Promise<Reply> => {
      if (!(error instanceof RpcError) || error.reason !== undefined || !codes.has(error.code)) throw error;
      let message = reply;
      if (typeof reply === "function") {
        try {
          message = await reply(call.message, error);
        } catch (thrown) {
          onFailed?.(call, thrown);
          throw error;
        }
      }
      onUsed?.(call, error);
      return new Reply({ message });
    };
    return (next) => (call) => {
      if (!byProcedure.has(call.procedure)) return next(call);
      return next(call).catch((error) => fallBack(call, byProcedure.get(call.procedure), error));
    };
  };
}
