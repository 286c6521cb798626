/** An OpenTelemetry API that keeps what it is told. */

const API = Symbol.for("opentelemetry.js.api.1");
const SPAN = Symbol.for("OpenTelemetry Context Key SPAN");

class Scope {
  readonly #values: ReadonlyMap<symbol, unknown>;

  constructor(values: ReadonlyMap<symbol, unknown> = new Map()) {
    this.#values = values;
  }

  getValue(key: symbol): unknown {
    return this.#values.get(key);
  }

  setValue(key: symbol, value: unknown): Scope {
    return new Scope(new Map([...this.#values, [key, value]]));
  }
}

/** A span as it was made, and what became of it. */
export class FakeSpan {
  readonly name: string;
  readonly kind: number;
  readonly attributes: Record<string, unknown>;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string | undefined;
  status: { code: number; message?: string } | undefined;
  exceptions: unknown[] = [];
  ends = 0;

  constructor(name: string, options: { kind: number; attributes: Record<string, unknown> }, id: number, scope: Scope) {
    const parent = scope.getValue(SPAN) as FakeSpan | undefined;
    this.name = name;
    this.kind = options.kind;
    this.attributes = options.attributes;
    this.spanId = String(id).padStart(16, "0");
    this.traceId = parent?.spanContext().traceId ?? String(id).padStart(32, "f");
    this.parentId = parent?.spanContext().spanId;
  }

  spanContext(): { traceId: string; spanId: string; traceFlags: number } {
    return { traceId: this.traceId, spanId: this.spanId, traceFlags: 1 };
  }

  setAttribute(name: string, value: unknown): void {
    this.attributes[name] = value;
  }

  setStatus(status: { code: number; message?: string }): void {
    this.status = status;
  }

  recordException(error: unknown): void {
    this.exceptions.push(error);
  }

  end(): void {
    this.ends++;
  }
}

/** Puts the API where it is looked for, until it is disposed. */
export function fakeTelemetry(): Disposable & { spans: FakeSpan[]; activeSpan(): FakeSpan | undefined } {
  const spans: FakeSpan[] = [];
  let active = new Scope();
  const holder = globalThis as { [API]?: unknown };
  const before = holder[API];
  holder[API] = {
    trace: {
      getTracer: () => ({
        startSpan(name: string, options: { kind: number; attributes: Record<string, unknown> }, scope: Scope) {
          const span = new FakeSpan(name, options, spans.length + 1, scope);
          spans.push(span);
          return span;
        },
      }),
    },
    context: {
      active: () => active,
      with<T>(scope: Scope, run: () => T): T {
        const outer = active;
        active = scope;
        try {
          return run();
        } finally {
          active = outer;
        }
      },
    },
  };
  return {
    spans,
    activeSpan: () => active.getValue(SPAN) as FakeSpan | undefined,
    [Symbol.dispose]() {
      if (before === undefined) delete holder[API];
      else holder[API] = before;
    },
  };
}
