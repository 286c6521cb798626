/**
 * What the contract suites are made of: a list of cases with names, for any test runner, and checks that need no library.
 *
 * ```ts ignore
 * for (const { name, run } of balancerContract(mine())) Deno.test(name, run);
 * ```
 */
import { runtimePlatform } from "../core/platform.ts";

/** One case of a contract: give `name` and `run` to any test runner. */
export interface ContractCase {
  /** What holds, after the name of what is tested. */
  readonly name: string;
  /** Throws, or rejects, when it doesn't hold. */
  run(): void | Promise<void>;
}

/** Throws with `message` unless `condition` holds. */
export function check(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(message);
}

/** Throws unless two values have the same canonical text. */
export function checkSame(actual: unknown, expected: unknown, what: string): void {
  const [left, right] = [canonical(actual), canonical(expected)];
  if (left === right) return;
  let same = 0;
  while (left[same] === right[same]) same++;
  const from = Math.max(0, same - 100);
  const show = (text: string) =>
    `${from > 0 ? "…" : ""}${text.slice(from, same + 100)}${text.length > same + 100 ? "…" : ""}`;
  check(false, `${what} is ${show(left)}, expected ${show(right)}`);
}

/** The same text for two values that differ at most in the order of their objects' names, as far as JSON can tell. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_name, part: unknown) => {
    if (typeof part !== "object" || part === null || Array.isArray(part)) return part;
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => a < b ? -1 : 1));
  }) ?? "undefined";
}

/** Rejects when `promise` has not settled within `ms` of real time, so that what never comes is told by its name. */
export async function within<T>(promise: Promise<T>, what: string, ms = 10_000): Promise<T> {
  const late = Promise.withResolvers<never>();
  using _timer = runtimePlatform.clock.timer(ms, () => late.reject(new Error(`Waited ${ms} ms for ${what}`)));
  return await Promise.race([promise, late.promise]);
}
