import { MAX_TIMER_MS } from "./platform.ts";
import { suggest } from "./suggest.ts";

/** Checks a whole number. @throws {RangeError} with the name, the value and the range */
export function checkInteger(name: string, value: number, min: number, max = Number.MAX_SAFE_INTEGER): number {
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw new RangeError(`Cannot use ${name} ${shown(value)}: it must be a whole number from ${min} to ${max}`);
  }
  return value;
}

/** Checks a number that need not be whole. @throws {RangeError} with the name, the value and the range */
export function checkNumber(name: string, value: number, min: number, max: number): number {
  if (typeof value !== "number" || !(value >= min && value <= max)) {
    throw new RangeError(`Cannot use ${name} ${shown(value)}: it must be a number from ${min} to ${max}`);
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
    throw new RangeError(`Cannot use ${name} ${shown(ms)}: it must be a number of milliseconds`);
  }
  return Math.min(ms, MAX_TIMER_MS);
}

/** Checks a text of at most so many UTF-16 units. @throws {TypeError} {RangeError} with the name, and the value or its length */
export function checkText(name: string, text: string, max: number): string {
  if (typeof text !== "string") throw new TypeError(`Cannot use ${name} ${shown(text)}: it must be a text`);
  if (text.length > max) {
    throw new RangeError(`Cannot use ${name} of ${text.length} characters: it may have at most ${max}`);
  }
  return text;
}

/** The most that goes into a HELLO, which has room for all of them. */
export const MAX_TEXT = Object.freeze({ id: 200, zone: 100, token: 8_192 });

/** Checks what is either so or not: a text that says "false" is not. @throws {TypeError} with the name and the value */
export function checkBoolean(name: string, value: boolean): boolean {
  if (typeof value !== "boolean") throw new TypeError(`Cannot use ${name} ${shown(value)}: it must be true or false`);
  return value;
}

/** Checks a function that may be missing. @throws {TypeError} with the name and the value */
export function checkFunction<F extends ((...args: never[]) => unknown) | undefined>(name: string, value: F): F {
  if (value === undefined || typeof value === "function") return value;
  throw new TypeError(`Cannot use ${name} ${shown(value)}: it must be a function`);
}

/** The name of each option that there is, so that the compiler holds the list complete. */
export type OptionNames<T> = Readonly<Record<keyof T, true>>;

/**
 * Checks that every option is one that there is: types hold that only where somebody checks types.
 * @param names an object that has each of them
 * @throws {TypeError} with the name, and the one that was probably meant
 */
export function checkNames<T extends object>(given: T, names: Readonly<Record<keyof T, unknown>>): T {
  if (typeof given !== "object" || given === null) {
    throw new TypeError(`Cannot use options ${shown(given)}: they must be an object`);
  }
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(names, name)) continue;
    const meant = suggest(name, Object.keys(names));
    const hint = meant === undefined ? "" : `; did you mean "${meant}"?`;
    throw new TypeError(`Cannot use option "${name}": there is none of that name${hint}`);
  }
  return given;
}

/** A value in a message: what is text must not look like a number. */
function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

/** `defaults` with what `given` says otherwise; what it leaves undefined stays. */
export function withDefaults<T extends object>(defaults: Readonly<T>, given: Partial<T> | undefined): T {
  const merged: T = { ...defaults };
  if (given === undefined) return merged;
  checkNames(given, defaults);
  for (const key of Object.keys(given) as (keyof T)[]) {
    const value = given[key];
    if (value !== undefined) merged[key] = value as T[keyof T];
  }
  return merged;
}
