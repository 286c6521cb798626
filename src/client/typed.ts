import type { Method, Methods, ReplyOf, RequestOf, Service } from "../core/service.ts";
import type { CallOptions } from "./options.ts";

/** Many requests: an async iterable, or one that has them all. */
export type Requests<T> = AsyncIterable<T> | Iterable<T>;

/** The function that calls one method, by its kind. */
export type MethodCaller<M extends Method> = {
  unary: (request: RequestOf<M>, options?: CallOptions) => Promise<ReplyOf<M>>;
  serverStream: (request: RequestOf<M>, options?: CallOptions) => AsyncIterableIterator<ReplyOf<M>>;
  clientStream: (requests: Requests<RequestOf<M>>, options?: CallOptions) => Promise<ReplyOf<M>>;
  bidi: (requests: Requests<RequestOf<M>>, options?: CallOptions) => AsyncIterableIterator<ReplyOf<M>>;
  oneway: (request: RequestOf<M>, options?: CallOptions) => Promise<void>;
}[M["kind"]];

/** A contract as its caller sees it: one function for each of its methods. */
export type ServiceClient<S extends Service> = S extends Service<infer M extends Methods>
  ? { readonly [Name in keyof M]: MethodCaller<M[Name]> }
  : never;
