/** What a pool and its workers say to each other. Plain values: they are copied from one thread to the other. */
import type { Code } from "../core/code.ts";
import type { Criticality } from "../core/criticality.ts";
import { type Executed, RpcError, textOf } from "../core/error.ts";
import type { Explanation } from "../core/explanation.ts";
import { Metadata, type MetadataValue } from "../core/metadata.ts";
import type { TraceContext } from "../core/trace_context.ts";

/** Key–value pairs on their way. */
export type Pairs = [string, MetadataValue][];

/** What a pool says to a worker. A worker has one call at a time; `id` tells a late word about one from those about the next. */
export type ToWorker =
  | {
    readonly kind: "call";
    readonly id: number;
    readonly procedure: string;
    readonly request: unknown;
    readonly metadata: Pairs;
    readonly remainingMs: number;
    /** How long its handler may compute without a pause beyond that, and at all. */
    readonly graceMs: number;
    readonly stallMs: number;
    /** Holds its id as soon as nobody waits for it any more: this can be seen without a pause. */
    readonly over: Int32Array;
    readonly peer: { readonly endpoint: string; readonly instance: string; readonly zone: string };
    readonly attempt: number;
    readonly hop: number;
    readonly criticality: Criticality;
    readonly trace: Pick<TraceContext, "words" | "flags" | "state"> | undefined;
  }
  /** The next message of a stream is wanted. */
  | { readonly kind: "pull"; readonly id: number }
  /** Nobody waits for it any more: it should end soon. */
  | { readonly kind: "cancel"; readonly id: number };

/** How a call in a worker ended, with what goes back beside it. After an interruption the worker may be in any state. */
export type Outcome =
  & { readonly kind: "settled"; readonly id: number; readonly responseMetadata: Pairs; readonly trailers: Pairs }
  & { readonly interrupted: boolean }
  & ({ readonly ok: true; readonly reply: unknown } | { readonly ok: false; readonly error: PlainError });

/** What a worker says to its pool. */
export type FromWorker =
  /** It has handlers, and takes calls. */
  | { readonly kind: "ready" }
  /** It knows that nobody waits for its call any more. */
  | { readonly kind: "heard"; readonly id: number }
  /** One message of a stream. */
  | { readonly kind: "item"; readonly id: number; readonly value: unknown; readonly responseMetadata: Pairs }
  | Outcome;

/** An error as a plain value: an `RpcError` if it has a code. */
export interface PlainError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly rpc: {
    readonly code: Code;
    readonly executed: Executed;
    readonly reason: string | undefined;
    readonly details: unknown;
    readonly metadata: Pairs | undefined;
    readonly retryAfterMs: number | undefined;
    /** What a client knew, if it was a call of the handler's own that failed so. */
    readonly explain: Explanation | undefined;
  } | undefined;
}

/** What was thrown, as a plain value. */
export function toPlain(thrown: unknown): PlainError {
  const { name = "Error", stack } = thrown instanceof Error ? thrown : {};
  if (!(thrown instanceof RpcError)) return { name, message: textOf(thrown), stack, rpc: undefined };
  const { message, code, executed, reason, details, metadata, retryAfterMs, explain } = thrown;
  const pairs = metadata === undefined ? undefined : [...metadata];
  return { name, message, stack, rpc: { code, executed, reason, details, metadata: pairs, retryAfterMs, explain } };
}

/** What was thrown in the other thread. */
export function fromPlain({ name, message, stack, rpc }: PlainError): Error {
  if (rpc !== undefined) {
    const { code, metadata, explain, ...rest } = rpc;
    const error = new RpcError(code, message, {
      ...rest,
      metadata: metadata === undefined ? undefined : Metadata.received(metadata),
    });
    error.explain = explain;
    return error;
  }
  const error = new Error(message);
  error.name = name;
  if (stack !== undefined) error.stack = stack;
  return error;
}
