/** Spans for calls, through the OpenTelemetry API of the process. */
import type { Call, Interceptor, Invoker } from "../core/call.ts";
import { RpcError, textOf } from "../core/error.ts";
import { TraceContext } from "../core/trace_context.ts";
import { type Around, untilEnd } from "./ending.ts";

/** Where an OpenTelemetry API of major version 1 puts itself. */
const API = Symbol.for("opentelemetry.js.api.1");
/** Under which key a context of that API holds its span. */
const SPAN = Symbol.for("OpenTelemetry Context Key SPAN");
const KIND_SERVER = 1;
const KIND_CLIENT = 2;
const STATUS_ERROR = 2;
/** What a server answers for being asked wrongly is no fault of its own (as in OpenTelemetry's conventions for gRPC). */
const SERVER_FAULTS: ReadonlySet<string> = new Set([
  "unknown",
  "deadline_exceeded",
  "unimplemented",
  "internal",
  "unavailable",
  "data_loss",
]);

interface SpanContext {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceFlags: number;
  readonly traceState?: { serialize(): string };
}

interface Span {
  spanContext(): SpanContext;
  setAttribute(name: string, value: string | number): unknown;
  setStatus(status: { code: number; message?: string }): unknown;
  recordException(error: unknown): unknown;
  end(): void;
}

interface SpanScope {
  getValue(key: symbol): unknown;
  setValue(key: symbol, value: unknown): SpanScope;
}

interface Tracer {
  startSpan(name: string, options: { kind: number; attributes: Record<string, string | number> }, in_: SpanScope): Span;
}

interface Api {
  readonly trace: { getTracer(name: string): Tracer };
  readonly context: { active(): SpanScope; with<T>(scope: SpanScope, run: () => T): T };
}

/**
 * Makes a span for each call, on the client and on the server, when the process has an OpenTelemetry API: Deno with
 * `OTEL_DENO=true`, or an SDK that was registered. It is looked for when the client or server is made. Without one the trace
 * that came with a call flows on as it would anyway.
 *
 * A client's span is a child of the span that is active, or of the one that `parent` brought. A server's is a child of the
 * caller's, is active while the handler runs, and is `ctx.trace`. Both last until the last message. Retries of one call are
 * one span.
 */
export function trace(): Interceptor {
  return (next) => {
    const api = findApi();
    if (api === undefined) return next;
    const tracer = api.trace.getTracer("@erpc/erpc");
    const invoke: Invoker = (call) => traced(api, tracer, call, next);
    return invoke;
  };
}

function traced(api: Api, tracer: Tracer, call: Call, next: Invoker): ReturnType<Invoker> {
  const { context } = call;
  const active = api.context.active();
  // On a server what is active belongs to whoever called listen().
  const remote = call.trace !== undefined && (context !== undefined || active.getValue(SPAN) === undefined);
  const outer = remote ? active.setValue(SPAN, remoteSpan(call.trace!)) : active;
  const attributes: Record<string, string | number> = {
    "rpc.system": "erpc",
    "rpc.service": call.service,
    "rpc.method": call.procedure.slice(call.service.length + 1),
  };
  if (context !== undefined) attributes["network.peer.address"] = context.peer.endpoint;
  const kind = context === undefined ? KIND_CLIENT : KIND_SERVER;
  const span = tracer.startSpan(call.procedure, { kind, attributes }, outer);
  const own = traceOf(span, call.trace);
  if (own !== undefined) {
    call.trace = own;
    if (context !== undefined) context.trace = own;
  }
  const inner = outer.setValue(SPAN, span);
  const around: Around = (run) => api.context.with(inner, run);
  return untilEnd(next, call, (failure) => finish(span, call, failure), around);
}

function finish(span: Span, call: Call, failure: unknown): void {
  const isServer = call.context !== undefined;
  if (call.endpoint !== undefined) span.setAttribute("server.address", call.endpoint);
  const attempts = call.history?.length ?? 0;
  if (attempts > 0) span.setAttribute("erpc.attempts_failed", attempts);
  if (failure !== undefined) {
    const code = failure instanceof RpcError ? failure.code : "internal";
    span.setAttribute("error.type", code);
    if (!(failure instanceof RpcError)) span.recordException(failure);
    if (!isServer || SERVER_FAULTS.has(code)) span.setStatus({ code: STATUS_ERROR, message: textOf(failure) });
  }
  span.end();
}

function findApi(): Api | undefined {
  const found = (globalThis as { [API]?: Partial<Api> })[API];
  return found?.trace !== undefined && found.context !== undefined ? found as Api : undefined;
}

/** A span of another process, as far as being a parent goes. */
function remoteSpan({ traceId, spanId, flags, state }: TraceContext): Pick<Span, "spanContext"> {
  const traceState = state === "" ? undefined : { serialize: () => state };
  const context = { traceId, spanId, traceFlags: flags, traceState, isRemote: true };
  return { spanContext: () => context };
}

/** A span as it travels, or `undefined` when nothing records it. */
function traceOf(span: Span, parent: TraceContext | undefined): TraceContext | undefined {
  const { traceId, spanId, traceFlags, traceState } = span.spanContext();
  const inherited = parent?.traceId === traceId ? parent.state : "";
  return TraceContext.of({ traceId, spanId, flags: traceFlags, state: traceState?.serialize() ?? inherited });
}
