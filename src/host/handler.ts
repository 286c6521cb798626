import type { Context } from "../core/call.ts";
import type { Method, MethodKind, Methods, ReplyOf, RequestOf, Service } from "../core/service.ts";

/** What answers one method, by its kind. */
export type Handler<M extends Method> = {
  unary: (request: RequestOf<M>, ctx: Context) => ReplyOf<M> | Promise<ReplyOf<M>>;
  serverStream: (request: RequestOf<M>, ctx: Context) => AsyncIterable<ReplyOf<M>>;
  clientStream: (requests: AsyncIterable<RequestOf<M>>, ctx: Context) => ReplyOf<M> | Promise<ReplyOf<M>>;
  bidi: (requests: AsyncIterable<RequestOf<M>>, ctx: Context) => AsyncIterable<ReplyOf<M>>;
  oneway: (request: RequestOf<M>, ctx: Context) => void | Promise<void>;
}[M["kind"]];

/** What answers a contract: one function for each of its methods. */
export type Implementation<S extends Service> = S extends Service<infer M extends Methods>
  ? { readonly [Name in keyof M]: Handler<M[Name]> }
  : never;

/** What answers a procedure that has no contract: one request, one reply. */
// deno-lint-ignore no-explicit-any
export type PlainHandler = (request: any, ctx: Context) => unknown;

/** A handler that was registered. */
export interface Route {
  /** Which sides stream. */
  readonly kind: MethodKind;
  /** Whether running it twice does no harm. */
  readonly idempotent: boolean;
  /** For how long a repeated call is answered with the result that it had, in milliseconds; `undefined` for not at all. */
  readonly dedupeMs: number | undefined;
  /** The user's function. */
  readonly run: (request: unknown, ctx: Context) => unknown;
}
