/** Where a trace stands, in the forms of W3C Trace Context. */

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const TRACE_ID = /^[0-9a-f]{32}$/;
const SPAN_ID = /^[0-9a-f]{16}$/;
/** Printable ASCII, as far as one header may hold (W3C Trace Context §3.3.1). */
const STATE = /^[\x20-\x7e]{1,512}$/;
const SAMPLED = 1;
const WORDS = 6;

/**
 * Where a trace stands: which trace, and which span of it made the call. A value; what passes it on passes it on as it is.
 *
 * It is kept as six numbers, since most servers hand it on and never look at it.
 */
export class TraceContext {
  /** Trace id in the first four, span id in the last two, each of 32 bits. */
  readonly words: readonly number[];
  /** The flags; bit 0 means that the trace is recorded. */
  readonly flags: number;
  /** What other tracing systems added (`tracestate`), or an empty text. */
  readonly state: string;

  /** Takes what was checked. Use {@link TraceContext.parse} or {@link TraceContext.of}. */
  constructor(words: readonly number[], flags: number, state: string) {
    this.words = words;
    this.flags = flags;
    this.state = state;
  }

  /** The trace: 32 hexadecimal digits. */
  get traceId(): string {
    return hex(this.words.slice(0, 4));
  }

  /** The span that made the call: 16 hexadecimal digits. */
  get spanId(): string {
    return hex(this.words.slice(4));
  }

  /** Whether the trace is recorded. */
  get sampled(): boolean {
    return (this.flags & SAMPLED) !== 0;
  }

  /** As the header `traceparent` has it; `state` is `tracestate`. */
  get traceparent(): string {
    return `00-${this.traceId}-${this.spanId}-${this.flags.toString(16).padStart(2, "0")}`;
  }

  /** The same as {@link TraceContext.traceparent}, for logs. */
  toString(): string {
    return this.traceparent;
  }

  /** A context from its parts, or `undefined` when they can't be one. A state that can't travel is left out. */
  static of(parts: { traceId: string; spanId: string; flags?: number; state?: string }): TraceContext | undefined {
    const { traceId, spanId, flags = 0, state = "" } = parts;
    if (!TRACE_ID.test(traceId) || !SPAN_ID.test(spanId)) return undefined;
    const words: number[] = [];
    for (let at = 0; at < 32; at += 8) words.push(parseInt(traceId.slice(at, at + 8), 16));
    for (let at = 0; at < 16; at += 8) words.push(parseInt(spanId.slice(at, at + 8), 16));
    return TraceContext.received(words, flags & 0xff, state);
  }

  /** A context from the headers `traceparent` and `tracestate`, or `undefined` when the first can't be read. */
  static parse(traceparent: string, tracestate = ""): TraceContext | undefined {
    const match = TRACEPARENT.exec(traceparent.trim().toLowerCase());
    // Later versions may add fields; version 00 has none, and ff is none.
    if (match === null || match[1] === "ff" || (match[1] === "00" && match[5] !== undefined)) return undefined;
    return TraceContext.of({ traceId: match[2], spanId: match[3], flags: parseInt(match[4], 16), state: tracestate });
  }

  /** A context from numbers, or `undefined` when an id is all zero, which no trace and no span has. */
  static received(words: readonly number[], flags: number, state: string): TraceContext | undefined {
    const [a, b, c, d, e, f] = words;
    if (words.length !== WORDS || (a | b | c | d) === 0 || (e | f) === 0) return undefined;
    return new TraceContext(words, flags, STATE.test(state) ? state : "");
  }
}

function hex(words: readonly number[]): string {
  return words.map((word) => word.toString(16).padStart(8, "0")).join("");
}
