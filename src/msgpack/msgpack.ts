/**
 * MessagePack as a codec, for messages with binary data or 64-bit integers in them.
 *
 * ```ts
 * import { service, unary } from "@erpc/erpc";
 * import { msgpack } from "@erpc/erpc/msgpack";
 *
 * export const Pictures = service("demo.Pictures", {
 *   shrink: unary<{ png: Uint8Array; width: number }, { png: Uint8Array }>({ codec: msgpack() }),
 * });
 * ```
 *
 * @module
 */
import { decode as stdDecode, encode as stdEncode } from "@std/msgpack";
import type { Codec } from "../core/codec.ts";
import { checkMessage } from "./check.ts";
import { plainCopy } from "./plain.ts";

export type { Codec };

const CODEC: Codec = Object.freeze({ name: "msgpack", encode, decode });

/**
 * MessagePack over `@std/msgpack`.
 *
 * **When to use it.** Not for speed: on small messages it runs at 0.05 to 0.07 times the speed of JSON, which the runtime
 * has built in. Use it for messages that hold `Uint8Array`s, which JSON has no form for, for integers of 64 bits, and to
 * talk to programs that speak MessagePack. A message that is nothing but bytes is better off with `bytes()`.
 *
 * **What is sent.**
 *
 * | value | becomes |
 * | --- | --- |
 * | `null`, `true`, `false` | nil, true, false |
 * | whole number from −2^31 to 2^32 − 1 | the smallest integer that holds it; −0 is sent as 0 |
 * | any other number, `NaN` and the infinities too | float 64, which arrives as the same number |
 * | `bigint` from −2^63 to 2^64 − 1 | int 64 when negative, otherwise uint 64; it arrives as a `bigint` |
 * | text | str; not when it begins with U+FEFF or holds half of a surrogate pair, which would be lost |
 * | `Uint8Array` | bin |
 * | array | array; `undefined` and holes in it are refused |
 * | plain object | map; properties that are `undefined` are left out, one named `__proto__` is refused |
 * | `undefined` as the whole message | no bytes at all, which arrives as `undefined` |
 *
 * Anything else is a `TypeError`: `Date` and every other class, `Map`, `Set`, other typed arrays, functions, symbols,
 * cycles, nesting deeper than 100, more than 1,000,000 values in one message (keys count). `toJSON` is not asked.
 *
 * **What is accepted.** Every encoding of the types above, not only the smallest. Integers of 64 bits arrive as a `bigint`,
 * however small they are, so none loses digits and the type does not depend on the value; those of up to 32 bits and
 * floats arrive as a number; which `NaN` it was is not kept. Of a key that comes twice the last counts. Binary values are
 * views of one copy of the message: use them, not their `buffer`.
 *
 * Refused with a `SyntaxError`, before anything is made of the message: lengths beyond its end, bytes after it, the byte
 * c1, extension types, timestamps among them (send a number or text), keys that are not text, a key `__proto__`, text that
 * is not UTF-8 or begins with U+FEFF, and what is over the limits above.
 *
 * Source: the MessagePack specification, https://github.com/msgpack/msgpack/blob/master/spec.md
 */
export function msgpack(): Codec {
  return CODEC;
}

function encode(value: unknown): Uint8Array {
  if (value === undefined) return new Uint8Array(0);
  return stdEncode(plainCopy(value) as Parameters<typeof stdEncode>[0]);
}

function decode(bytes: Uint8Array): unknown {
  if (bytes.length === 0) return undefined;
  // Binary values come out as views of what was decoded, and that must not be the caller's buffer.
  return stdDecode(checkMessage(bytes) ? new Uint8Array(bytes) : bytes);
}
