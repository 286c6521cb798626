import { type Code, isCode } from "./code.ts";
import { explain, type Explanation } from "./explanation.ts";
import type { Metadata } from "./metadata.ts";

/** Whether a handler ran: `no` is a promise that it did not, `maybe` means that nobody can tell from here. */
export type Executed = "no" | "maybe" | "yes";

/** What an {@link RpcError} says beyond its code and its message. */
export interface RpcErrorOptions {
  /** Whether a handler ran. Default `maybe`. */
  executed?: Executed;
  /** The name of an error that the contract declares. */
  reason?: string;
  /**
   * A value for the caller's program rather than for its reader; travels in the codec of the call. It must fit into a frame of the
   * receiver's, 1 MiB by default, and is left out if it does not.
   */
  details?: unknown;
  /** What came, or goes, with the failure: trailers by another name. */
  metadata?: Metadata;
  /** How long to wait before another attempt, in milliseconds; negative means "do not try again". */
  retryAfterMs?: number;
  /** What led to it. Stays in this process. */
  cause?: unknown;
}

/**
 * What a caller hears of a handler that threw anything but an {@link RpcError}: never what it threw, which may be nobody
 * else's business, but where that can be found.
 */
export const HANDLER_FAILED = "The handler failed; the logger of its server was told why";

const BRAND = Symbol.for("@erpc/erpc.RpcError");

/**
 * The one error that calls end with.
 *
 * ```ts ignore
 * try {
 *   await shop.buy({ item: "tea" });
 * } catch (error) {
 *   if (!(error instanceof RpcError)) throw error;
 *   if (error.code === "unavailable" && error.executed === "no") return await later();
 *   console.error(error); // with what was known and tried, in one paragraph
 * }
 * ```
 *
 * `instanceof RpcError` also recognises errors made by another copy of this package. A handler that throws one sends
 * it to the caller as it is, without `cause`; anything else that a handler throws reaches the caller as `internal`.
 */
export class RpcError extends Error {
  /** The outcome's name, one of gRPC's sixteen. */
  readonly code: Code;
  /** Whether a handler ran. */
  readonly executed: Executed;
  /** The name of the error among those that the contract declares, or `undefined`. */
  readonly reason: string | undefined;
  /** What the client knew and tried, when it was a client that the call failed for. Stays in this process. */
  explain: Explanation | undefined = undefined;
  /** A value for the caller's program, or `undefined`. */
  readonly details: unknown;
  /** What came with the failure, or `undefined`. */
  readonly metadata: Metadata | undefined;
  /**
   * How long to wait before another attempt, in milliseconds; negative means "do not try again", and `undefined` that nobody said.
   * So it is where nobody was there to be called: the client does not try that again by itself, and later somebody may be.
   */
  readonly retryAfterMs: number | undefined;

  /** Makes an error. @throws {TypeError} when `code` is not one of the sixteen. */
  constructor(code: Code, message: string, options: RpcErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    if (!isCode(code)) throw new TypeError(`Cannot make an RpcError: ${JSON.stringify(code)} is not a code`);
    this.name = "RpcError";
    this.code = code;
    this.executed = options.executed ?? "maybe";
    this.reason = options.reason;
    this.details = options.details;
    this.metadata = options.metadata;
    this.retryAfterMs = options.retryAfterMs;
    Object.defineProperty(this, BRAND, { value: true });
  }

  /** What `console.error` shows: the outcome, why in one paragraph, and where. */
  [Symbol.for("Deno.customInspect")](inspect: (value: unknown, options?: unknown) => string, options: unknown): string {
    const { code, executed, reason, details, retryAfterMs, cause } = this;
    const facts = [code, `executed: ${executed}`];
    if (reason !== undefined) facts.push(`reason: ${reason}`);
    if (details !== undefined) facts.push(`details: ${inspect(details, options)}`);
    if (retryAfterMs !== undefined) {
      facts.push(retryAfterMs < 0 ? "do not retry" : `retry after ${Math.ceil(retryAfterMs)} ms`);
    }
    const lines = [`RpcError: ${this.message} (${facts.join(", ")})`];
    if (this.explain !== undefined) lines.push(explain(this.explain));
    const stack = this.stack?.slice(this.stack.indexOf("\n    at ") + 1);
    if (stack?.startsWith("    at ")) lines.push(stack);
    if (cause !== undefined) lines.push(`Caused by ${inspect(cause, options)}`);
    return lines.join("\n");
  }

  /** Recognises errors by a brand, since two versions of the package can meet in one process. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    if (this !== RpcError) return Function.prototype[Symbol.hasInstance].call(this, value);
    return typeof value === "object" && value !== null && BRAND in value;
  }
}

const nobody = new WeakSet<RpcError>();

/** Marks a failure that says that nobody is there to be called: at once another attempt finds the same, later perhaps not. */
export function foundNobody(failure: RpcError): RpcError {
  nobody.add(failure);
  return failure;
}

/** Whether a failure says that nobody is there to be called. */
export function hasFoundNobody(failure: RpcError): boolean {
  return nobody.has(failure);
}

const STRENGTH: readonly Executed[] = ["no", "maybe", "yes"];

/** What two attempts at one call say together: the more that one of them says. */
export function strongerExecuted(first: Executed, second: Executed): Executed {
  return STRENGTH.indexOf(first) > STRENGTH.indexOf(second) ? first : second;
}

/** The error with another word on whether a handler ran; itself when that is what it says already. */
export function withExecuted(error: RpcError, executed: Executed): RpcError {
  if (error.executed === executed) return error;
  const { code, message, reason, details, metadata, retryAfterMs, cause } = error;
  const changed = new RpcError(code, message, { executed, reason, details, metadata, retryAfterMs, cause });
  changed.explain = error.explain;
  return changed;
}

/** What was thrown, as an {@link RpcError}: itself if it is one, otherwise `code` with `what` before its message. */
export function asRpcError(thrown: unknown, code: Code, what: string, options: RpcErrorOptions = {}): RpcError {
  if (thrown instanceof RpcError) return thrown;
  return new RpcError(code, `${what}: ${textOf(thrown)}`, { ...options, cause: thrown });
}

/** What was thrown, in words. Anything can be thrown, also what no text can be made of. */
export function textOf(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message;
  try {
    return String(thrown);
  } catch {
    return Object.prototype.toString.call(thrown);
  }
}
