import type { Codec } from "../core/codec.ts";

const CODEC: Codec = Object.freeze({ name: "bytes", encode, decode });

/**
 * Bytes as they are, for messages that are already encoded, or are files, pictures, sound.
 *
 * A message is a `Uint8Array` on both sides; it may be empty, never `undefined`. Anything else is a `TypeError`. What
 * arrives is the receiver's own copy; what is sent may be changed as soon as it has been handed over to be written.
 */
export function bytes(): Codec {
  return CODEC;
}

function encode(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new TypeError(
    `Cannot encode as bytes: it must be a Uint8Array, not of type ${
      Object.prototype.toString.call(value).slice(8, -1)
    }`,
  );
}

function decode(bytes: Uint8Array): Uint8Array {
  // Not `slice`, which on some subclasses gives a view.
  return new Uint8Array(bytes);
}
