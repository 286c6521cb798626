import { MAX_DEPTH } from "../codec/depth.ts";
import { MAX_VALUES } from "./check.ts";

const BYTE_ORDER_MARK = "\uFEFF";

/**
 * A copy of `value` made of nothing but what the encoder encodes without loss and the other side's check lets pass.
 * Properties that are `undefined` are left out of it.
 * @throws {TypeError} when there is anything else in it
 */
export function plainCopy(value: unknown): unknown {
  return copy(value, 0, { values: 1 });
}

function copy(value: unknown, depth: number, seen: { values: number }): unknown {
  switch (typeof value) {
    case "number":
    case "boolean":
      return value;
    case "string":
      return checkText(value);
    case "bigint":
      if (BigInt.asIntN(64, value) !== value && BigInt.asUintN(64, value) !== value) {
        return fail("a bigint of more than 64 bits");
      }
      return value;
    case "object":
      break;
    default:
      return fail(value === undefined ? "undefined inside of a message" : `a ${typeof value}`);
  }
  if (value === null || value instanceof Uint8Array) return value;
  if (depth >= MAX_DEPTH) return fail(`a value that is nested deeper than ${MAX_DEPTH}, or in itself`);
  if (Array.isArray(value)) {
    count(seen, value.length);
    const list: unknown[] = [];
    for (let i = 0; i < value.length; i++) list.push(copy(value[i], depth + 1, seen));
    return list;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype) {
    return fail(`an object of class ${String(prototype.constructor?.name)}`);
  }
  const keys = Object.keys(value);
  count(seen, 2 * keys.length);
  const object: Record<string, unknown> = {};
  for (const key of keys) {
    const property = (value as Record<string, unknown>)[key];
    if (property === undefined) continue;
    if (key === "__proto__") return fail('a property named "__proto__"');
    object[checkText(key)] = copy(property, depth + 1, seen);
  }
  return object;
}

function count(seen: { values: number }, values: number): void {
  seen.values += values;
  if (seen.values > MAX_VALUES) fail(`more than ${MAX_VALUES} values in one message`);
}

function checkText(text: string): string {
  if (text.startsWith(BYTE_ORDER_MARK)) fail("text that begins with U+FEFF");
  if (!text.isWellFormed()) fail("text with half of a surrogate pair");
  return text;
}

function fail(what: string): never {
  throw new TypeError(`Cannot encode as MessagePack: ${what}`);
}
