/** Errors that a contract declares: they arrive as themselves, with the type of their details. */
import { type Code, isCode } from "./code.ts";
import { RpcError } from "./error.ts";
import type { Failure, Failures, Methods, Service } from "./service.ts";

/** Any of the errors that a contract declares: its `reason` is the name, its `details` have the declared type. */
export type FailureOf<S> = S extends Service<Methods, infer F extends Failures> ? {
    [Name in keyof F & string]: RpcError & {
      readonly reason: Name;
      readonly details: F[Name] extends Failure<infer Details> ? Details : never;
    };
  }[keyof F & string]
  : never;

/**
 * Declares an error of a contract, to be put into its `errors`. A handler throws it with {@link fail}, and its caller knows it
 * by {@link failureOf}.
 *
 * ```ts ignore
 * const Shop = service("demo.Shop", methods, { errors: { outOfStock: failure<{ left: number }>("failed_precondition") } });
 * ```
 *
 * @param code what the error is for those who do not know the contract
 * @throws {TypeError} when it is not one of the sixteen
 */
export function failure<Details = undefined>(code: Code): Failure<Details> {
  if (!isCode(code)) throw new TypeError(`Cannot declare a failure: ${JSON.stringify(code)} is not a code`);
  return Object.freeze({ code });
}

/**
 * Makes an error that a contract declares, for a handler to throw.
 *
 * ```ts ignore
 * throw fail(Shop, "outOfStock", "Only two are left", { left: 2 });
 * ```
 *
 * @throws {TypeError} when the contract declares no such error
 */
export function fail<F extends Failures, Name extends keyof F & string>(
  contract: Service<Methods, F>,
  name: Name,
  message: string,
  details: F[Name] extends Failure<infer Details> ? Details : never,
): RpcError {
  const declared = Object.hasOwn(contract.errors, name) ? contract.errors[name] : undefined;
  if (declared === undefined) throw new TypeError(`Cannot fail: "${contract.name}" declares no error "${name}"`);
  return new RpcError(declared.code, message, { reason: name, details, executed: "yes" });
}

/**
 * What was caught, if it is an error that the contract declares; it narrows in a `switch` over its `reason`.
 *
 * ```ts ignore
 * const failed = failureOf(Shop, error);
 * switch (failed?.reason) {
 *   case "outOfStock": return failed.details.left;
 *   default: throw error;
 * }
 * ```
 */
export function failureOf<S extends Service<Methods, Failures>>(contract: S, error: unknown): FailureOf<S> | undefined {
  if (!(error instanceof RpcError) || error.reason === undefined) return undefined;
  return Object.hasOwn(contract.errors, error.reason) ? error as FailureOf<S> : undefined;
}
