import type { Codec } from "../core/codec.ts";
import { isTooDeep, MAX_DEPTH } from "./depth.ts";
import { utf8 } from "./utf8.ts";

/** Up to here a loop in JavaScript beats the way into the runtime and back: tests/bench/codec_bench.ts. */
const SHORT = 32;

/** `decodeAt` is not enumerable: whoever makes a codec of their own out of this one by `{ ...json(), decode }` means `decode`. */
const CODEC: Codec = Object.freeze(
  Object.defineProperty({ name: "json", encode, decode }, "decodeAt", { value: decodeAt }),
);

/**
 * JSON, the codec that is used where none is named.
 *
 * Values become what `JSON.stringify` makes of them, so `toJSON` counts, properties that are `undefined` are left out, and
 * `NaN`, the infinities and `undefined` in a list arrive as `null`, −0 as 0. A message that is `undefined` travels as the
 * empty text and arrives as `undefined`. A bigint, a cycle, nesting deeper than 100, and a message that is a function or a
 * symbol are a `TypeError`.
 *
 * A message that arrives must be UTF-8 without a byte order mark, JSON to the letter, and nested no deeper than 100; a
 * `SyntaxError` or `TypeError` otherwise. Numbers are rounded to doubles, `1e400` to `Infinity`; of a property that comes
 * twice the last counts; a property named `__proto__` is one like any other and sets no prototype.
 *
 * Source: RFC 8259.
 */
export function json(): Codec {
  return CODEC;
}

function encode(value: unknown): string {
  if (value === undefined) return "";
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    throw new TypeError(`Cannot encode as JSON: ${reason(cause)}`, { cause });
  }
  if (text === undefined) {
    throw new TypeError(`Cannot encode as JSON: a value of type ${typeof value} has no form in it`);
  }
  if (isTooDeep(text)) throw new TypeError(`Cannot encode as JSON: it is nested deeper than ${MAX_DEPTH}`);
  return text;
}

function decode(bytes: Uint8Array): unknown {
  return decodeAt(bytes, 0, bytes.length);
}

function decodeAt(bytes: Uint8Array, from: number, end: number): unknown {
  const length = end - from;
  if (length === 0) return undefined;
  const text = (length <= SHORT ? paddedText(bytes, from, end) : undefined) ?? utf8(bytes.subarray(from, end));
  // The parser has no limit of its own.
  if (isTooDeep(text)) throw new SyntaxError(`Cannot decode JSON: it is nested deeper than ${MAX_DEPTH}`);
  return JSON.parse(text);
}

/** The text with spaces after it, which mean nothing in JSON, or `undefined` when it is not all ASCII. */
function paddedText(bytes: Uint8Array, at: number, end: number): string | undefined {
  let all = 0;
  for (let i = at; i < end; i++) all |= bytes[i];
  if (all > 0x7f) return undefined;
  // In one piece: what is added together the parser copies once more.
  // deno-fmt-ignore
  return end - at <= 16
    ? String.fromCharCode(
      bytes[at], charAt(bytes, at + 1, end), charAt(bytes, at + 2, end), charAt(bytes, at + 3, end),
      charAt(bytes, at + 4, end), charAt(bytes, at + 5, end), charAt(bytes, at + 6, end), charAt(bytes, at + 7, end),
      charAt(bytes, at + 8, end), charAt(bytes, at + 9, end), charAt(bytes, at + 10, end), charAt(bytes, at + 11, end),
      charAt(bytes, at + 12, end), charAt(bytes, at + 13, end), charAt(bytes, at + 14, end), charAt(bytes, at + 15, end),
    )
    : String.fromCharCode(
      bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3], bytes[at + 4], bytes[at + 5], bytes[at + 6], bytes[at + 7],
      bytes[at + 8], bytes[at + 9], bytes[at + 10], bytes[at + 11], bytes[at + 12], bytes[at + 13], bytes[at + 14], bytes[at + 15],
      charAt(bytes, at + 16, end), charAt(bytes, at + 17, end), charAt(bytes, at + 18, end), charAt(bytes, at + 19, end),
      charAt(bytes, at + 20, end), charAt(bytes, at + 21, end), charAt(bytes, at + 22, end), charAt(bytes, at + 23, end),
      charAt(bytes, at + 24, end), charAt(bytes, at + 25, end), charAt(bytes, at + 26, end), charAt(bytes, at + 27, end),
      charAt(bytes, at + 28, end), charAt(bytes, at + 29, end), charAt(bytes, at + 30, end), charAt(bytes, at + 31, end),
    );
}

function charAt(bytes: Uint8Array, at: number, end: number): number {
  return at < end ? bytes[at] : 0x20;
}

function reason(thrown: unknown): string {
  // Of a cycle the runtime draws a picture below the first line.
  return (thrown instanceof Error ? thrown.message : String(thrown)).split("\n", 1)[0];
}
