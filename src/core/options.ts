import { MAX_TIMER_MS } from "./platform.ts";

/** Checks a whole number. @throws {RangeError} with the name, the value and the range */
export function checkInteger(name: string, value: number, min: number, max = Number.MAX_SAFE_INTEGER): number {
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw new RangeError(`Cannot use ${name} ${String(value)}: it must be a whole number from ${min} to ${max}`);
  }
  return value;
}

/** Checks a number that need not be whole. @throws {RangeError} with the name, the value and the range */
export function checkNumber(name: string, value: number, min: number, max: number): number {
  if (typeof value !== "number" || !(value >= min && value <= max)) {
    throw new RangeError(`Cannot use ${name} ${String(value)}: it must be a number from ${min} to ${max}`);
  }
  return value;
}

/**
 * Checks a duration in milliseconds. What is longer than a timer can be is clamped to that, some 24 days; zero and less
 * are left as they are and mean "at once".
 * @throws {RangeError} when it is not a number
 */
export function checkDuration(name: string, ms: number): number {
  if (typeof ms !== "number" || Number.isNaN(ms)) {
    throw new RangeError(`Cannot use ${name} ${String(ms)}: it must be a number of milliseconds`);
  }
  return Math.min(ms, MAX_TIMER_MS);
}

/** `defaults` with what `given` says otherwise; what it leaves undefined stays. */
export function withDefaults<T extends object>(defaults: Readonly<T>, given: Partial<T> | undefined): T {
  const merged: T = { ...defaults };
  if (given === undefined) return merged;
  for (const key of Object.keys(given) as (keyof T)[]) {
    if (!Object.hasOwn(defaults, key)) {
      throw new TypeError(`Cannot use option "${String(key)}": there is none of that name`);
    }
    const value = given[key];
    if (value !== undefined) merged[key] = value as T[keyof T];
  }
  return merged;
}
