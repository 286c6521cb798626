import type { Code } from "./code.ts";
import { checkCodec, type Codec } from "./codec.ts";
import { checkCriticality, type Criticality } from "./criticality.ts";
import { checkDuration, checkInteger, checkNames, type OptionNames } from "./options.ts";

/** Whether a service or a procedure is one that the kit itself offers, rather than its user. */
export function isOwnService(name: string): boolean {
  return name.startsWith("erpc.");
}

/** Which sides stream; a one-way method has no reply at all. */
export type MethodKind = "unary" | "serverStream" | "clientStream" | "bidi" | "oneway";

/** What a method promises beyond its kind. */
export interface MethodOptions {
  /** Running it twice does no harm: it may be retried when nobody knows whether it ran. Default `false`. */
  idempotent?: boolean;
  /** How its messages are encoded, unless a call says otherwise. Default: the client's codec. */
  codec?: Codec;
  /** How long a call may take, in milliseconds, unless a call says otherwise. Default: the client's. */
  timeoutMs?: number;
  /**
   * For how long, in milliseconds, 1 to 86 400 000, a server answers the same call with the result that it had, instead of running
   * it again: this makes it safe to retry what is not idempotent. A failure of the handler is such a result too, unless it throws an
   * `RpcError` with `executed: "no"`. Only for unary methods. Default: not at all.
   */
  dedupe?: { windowMs: number };
  /** How much its calls matter to a server that can't take all, unless a call says otherwise. Default: the client's. */
  criticality?: Criticality;
}

/** What a method can be told. */
const METHOD_OPTIONS: OptionNames<MethodOptions> = {
  idempotent: true,
  codec: true,
  timeoutMs: true,
  dedupe: true,
  criticality: true,
};

/** One method of a contract. `Request` and `Reply` exist for the compiler alone. */
export interface Method<Kind extends MethodKind = MethodKind, Request = unknown, Reply = unknown> {
  /** Which sides stream. */
  readonly kind: Kind;
  /** Running it twice does no harm. */
  readonly idempotent: boolean;
  /** How its messages are encoded. */
  readonly codec: Codec | undefined;
  /** How long a call may take, in milliseconds. */
  readonly timeoutMs: number | undefined;
  /** For how long the same call is answered with the result that it had. */
  readonly dedupe: { readonly windowMs: number } | undefined;
  /** How much its calls matter. */
  readonly criticality: Criticality | undefined;
  /** Declares the types of both sides. Nothing is there at run time. */
  "~types"?(request: Request): Reply;
}

/** The methods of a contract by name. */
export type Methods = { readonly [name: string]: Method };

/** An error that a contract declares. `Details` exists for the compiler alone. */
export interface Failure<Details = unknown> {
  /** What the error is for those who do not know the contract. */
  readonly code: Code;
  /** Declares the type of the details. Nothing is there at run time. */
  "~details"?(details: Details): Details;
}

/** The errors of a contract by name. */
export type Failures = { readonly [name: string]: Failure };

/** A contract: a name and the methods under it. Both sides import the same value. */
export interface Service<M extends Methods = Methods, F extends Failures = Failures> {
  /** The full name, such as `demo.Words`. */
  readonly name: string;
  /** The methods by name. */
  readonly methods: M;
  /** The errors that its methods declare, by name. */
  readonly errors: F;
  /** The same for two contracts that declare the same methods in the same way: eight hexadecimal digits. */
  readonly fingerprint: string;
}

/** The type of a method's request message. */
export type RequestOf<M> = M extends Method<MethodKind, infer Request, infer _Reply> ? Request : never;

/** The type of a method's reply message. */
export type ReplyOf<M> = M extends Method<MethodKind, infer _Request, infer Reply> ? Reply : never;

/**
 * One request, one reply.
 *
 * ```ts
 * const count = unary<{ text: string }, { words: number }>({ idempotent: true, timeoutMs: 500 });
 * ```
 *
 * The types are for the compiler: what arrives is not checked against them.
 *
 * @throws {TypeError} {RangeError} when an option can't be used
 */
export function unary<Request, Reply>(options: MethodOptions = {}): Method<"unary", Request, Reply> {
  return method("unary", options);
}

/** One request, many replies. Options as for {@link unary}, without `dedupe`. */
export function serverStream<Request, Reply>(options: MethodOptions = {}): Method<"serverStream", Request, Reply> {
  return method("serverStream", options);
}

/** Many requests, one reply. Options as for {@link unary}, without `dedupe`. */
export function clientStream<Request, Reply>(options: MethodOptions = {}): Method<"clientStream", Request, Reply> {
  return method("clientStream", options);
}

/** Many requests, many replies, each side at its own pace. Options as for {@link unary}, without `dedupe`. */
export function bidi<Request, Reply>(options: MethodOptions = {}): Method<"bidi", Request, Reply> {
  return method("bidi", options);
}

/** One request and no reply: the caller learns that it was sent, never whether it ran. */
export function oneway<Request>(options: MethodOptions = {}): Method<"oneway", Request, void> {
  return method("oneway", options);
}

/**
 * Declares a contract.
 *
 * ```ts
 * const Words = service("demo.Words", {
 *   count: unary<{ text: string }, { words: number }>({ idempotent: true }),
 *   search: serverStream<{ pattern: string }, { line: number }>(),
 * });
 * ```
 *
 * A server that handles it answers all of its methods, and a call may go to any such server: so where a contract gets another
 * method, servers come before the clients that call it.
 *
 * @param options `errors` holds what its methods may fail with, each made by `failure`
 * @param name the service's full name: words of letters, digits, `_` and `-`, joined by dots, such as `demo.Words`
 * @throws {TypeError} when a name cannot travel, or a method was not made by one of the five functions above
 */
export function service<M extends Methods, F extends Failures = Record<never, never>>(
  name: string,
  methods: M,
  options: { errors?: F } = {},
): Service<M, F> {
  checkServiceName(name);
  const parts: string[] = [];
  for (const key of Object.keys(methods).sort()) {
    const { kind, idempotent, dedupe } = methods[key];
    if (!METHOD_NAME.test(key) || key.length > MAX_NAME || UNUSABLE.has(key)) {
      throw new TypeError(
        `Cannot declare method ${
          JSON.stringify(key)
        } of "${name}": it must match ${METHOD_NAME.source}, have at most ${MAX_NAME} characters, and be neither "then" nor "__proto__"`,
      );
    }
    if (!KINDS.has(kind)) {
      throw new TypeError(
        `Cannot declare method "${key}" of "${name}": make it with unary(), serverStream() and the like`,
      );
    }
    parts.push(`${key}:${kind}${idempotent ? ":idempotent" : ""}${dedupe === undefined ? "" : ":dedupe"}`);
  }
  return Object.freeze({
    name,
    methods: Object.freeze({ ...methods }),
    errors: Object.freeze({ ...options.errors }) as F,
    fingerprint: fnv1a(`${name}{${parts.join(",")}}`).toString(16).padStart(8, "0"),
  });
}

const SERVICE_NAME = /^[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)*$/;
const METHOD_NAME = /^[A-Za-z_][\w-]*$/;
const MAX_NAME = 200;
/** An object with a function `then` is called when it is awaited; `__proto__` is no property like others. */
const UNUSABLE: ReadonlySet<string> = new Set(["then", "__proto__"]);
const KINDS: ReadonlySet<unknown> = new Set<MethodKind>(["unary", "serverStream", "clientStream", "bidi", "oneway"]);

/** Checks a service's full name. @throws {TypeError} */
export function checkServiceName(name: string): string {
  if (typeof name !== "string" || name.length > MAX_NAME || !SERVICE_NAME.test(name)) {
    throw new TypeError(
      `Cannot use service name ${JSON.stringify(name)}: it must be words joined by dots, such as "demo.Words"`,
    );
  }
  return name;
}

/**
 * The full name of a procedure. Takes the form on the wire, `demo.Words/count`, and the short form, `demo.hello`, whose
 * last dot splits it into `demo/hello`.
 * @throws {TypeError} when it is neither
 */
export function procedureName(text: string): string {
  if (typeof text === "string") {
    const slash = text.indexOf("/");
    const split = slash === -1 ? text.lastIndexOf(".") : slash;
    const [left, right] = [text.slice(0, Math.max(0, split)), text.slice(split + 1)];
    if (left.length <= MAX_NAME && right.length <= MAX_NAME && SERVICE_NAME.test(left) && METHOD_NAME.test(right)) {
      return `${left}/${right}`;
    }
  }
  throw new TypeError(
    `Cannot use procedure ${JSON.stringify(text)}: write "demo.Words/count", or "demo.hello" for short`,
  );
}

/** The 32-bit FNV-1a hash of a text's UTF-16 units. */
export function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

function method<Kind extends MethodKind, Request, Reply>(
  kind: Kind,
  options: MethodOptions,
): Method<Kind, Request, Reply> {
  const { dedupe } = checkNames(options, METHOD_OPTIONS);
  if (dedupe !== undefined) {
    if (kind !== "unary") throw new TypeError(`Cannot dedupe a method that is ${kind}: only unary ones can be`);
    checkInteger("dedupe.windowMs", dedupe.windowMs, 1, 86_400_000);
  }
  return Object.freeze({
    kind,
    dedupe: dedupe === undefined ? undefined : Object.freeze({ windowMs: dedupe.windowMs }),
    idempotent: options.idempotent === true,
    codec: options.codec === undefined ? undefined : checkCodec(options.codec),
    timeoutMs: options.timeoutMs === undefined ? undefined : checkDuration("timeoutMs", options.timeoutMs),
    criticality: options.criticality === undefined ? undefined : checkCriticality(options.criticality),
  });
}
