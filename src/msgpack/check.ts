/**
 * Walks a MessagePack message before anything is made of it, so that the decoder meets only what it decodes rightly.
 * The walk allocates nothing that a length in the message asks for.
 *
 * Source: the MessagePack specification, https://github.com/msgpack/msgpack/blob/master/spec.md
 */
import { MAX_DEPTH } from "../codec/depth.ts";
import { utf8 } from "../codec/utf8.ts";

/** The most values of one message; a map's keys count too. */
export const MAX_VALUES = 1_000_000;

const PROTO: readonly number[] = [...new TextEncoder().encode("__proto__")];

/**
 * Checks that `bytes` are exactly one message, and one that may be decoded. Says whether there is binary data in it.
 * @throws {SyntaxError} when it is not
 */
export function checkMessage(bytes: Uint8Array): boolean {
  const walk = new Walk(bytes);
  walk.value(0);
  if (walk.at < bytes.length) walk.fail(`${bytes.length - walk.at} bytes follow the message`);
  return walk.binary;
}

class Walk {
  readonly #bytes: Uint8Array;
  #values = 1;
  /** The next byte. */
  at = 0;
  /** Whether there was binary data. */
  binary = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  fail(why: string): never {
    throw new SyntaxError(`Cannot decode MessagePack: ${why} at byte ${this.at}`);
  }

  /** One value inside of `depth` arrays and maps. Recursion is as deep as that, so never deeper than the limit. */
  value(depth: number): void {
    const head = this.#uint(1);
    if (head <= 0x7f || head >= 0xe0) return;
    if (head <= 0x8f) return this.#map(head & 0x0f, depth);
    if (head <= 0x9f) return this.#array(head & 0x0f, depth);
    if (head <= 0xbf) return this.#text(head & 0x1f);
    switch (head) {
      case 0xc0: // nil
      case 0xc2: // false
      case 0xc3: // true
        return;
      case 0xc4: // bin 8, 16, 32
      case 0xc5:
      case 0xc6:
        this.binary = true;
        return this.#skip(this.#uint(1 << (head - 0xc4)));
      case 0xca: // float 32, 64
      case 0xcb:
        return this.#skip(4 << (head - 0xca));
      case 0xcc: // uint 8, 16, 32, 64
      case 0xcd:
      case 0xce:
      case 0xcf:
        return this.#skip(1 << (head - 0xcc));
      case 0xd0: // int 8, 16, 32, 64
      case 0xd1:
      case 0xd2:
      case 0xd3:
        return this.#skip(1 << (head - 0xd0));
      case 0xd9: // str 8, 16, 32
      case 0xda:
      case 0xdb:
        return this.#text(this.#uint(1 << (head - 0xd9)));
      case 0xdc: // array 16, 32
      case 0xdd:
        return this.#array(this.#uint(2 << (head - 0xdc)), depth);
      case 0xde: // map 16, 32
      case 0xdf:
        return this.#map(this.#uint(2 << (head - 0xde)), depth);
      case 0xc1:
        return this.fail("the byte c1, which is never used,");
      default:
        return this.fail("an extension type, which is not supported,");
    }
  }

  #array(size: number, depth: number): void {
    this.#enter(size, size, depth);
    for (let i = 0; i < size; i++) this.value(depth + 1);
  }

  #map(size: number, depth: number): void {
    this.#enter(2 * size, size, depth);
    for (let i = 0; i < size; i++) {
      this.#key();
      this.value(depth + 1);
    }
  }

  /** Every value takes a byte, so a length that promises more than there are bytes is refused before it is believed. */
  #enter(values: number, size: number, depth: number): void {
    if (depth >= MAX_DEPTH) this.fail(`nesting deeper than ${MAX_DEPTH}`);
    if (values > this.#bytes.length - this.at) this.fail(`a length of ${size} with too few bytes behind it`);
    this.#values += values;
    if (this.#values > MAX_VALUES) this.fail(`more than ${MAX_VALUES} values`);
  }

  #key(): void {
    const head = this.#uint(1);
    if (head >= 0xa0 && head <= 0xbf) this.#text(head & 0x1f, true);
    else if (head >= 0xd9 && head <= 0xdb) this.#text(this.#uint(1 << (head - 0xd9)), true);
    else this.fail("a key of a map that is not text");
  }

  #text(length: number, key = false): void {
    const start = this.at;
    this.#skip(length);
    const bytes = this.#bytes;
    let ascii = true;
    for (let i = start; i < this.at; i++) {
      if (bytes[i] > 0x7f) {
        ascii = false;
        break;
      }
    }
    if (ascii) {
      if (key && length === PROTO.length && PROTO.every((byte, i) => bytes[start + i] === byte)) {
        this.fail('a key "__proto__", which may set a prototype,');
      }
      return;
    }
    try {
      utf8(bytes.subarray(start, this.at));
    } catch {
      this.fail("text that is not UTF-8");
    }
    if (bytes[start] === 0xef && bytes[start + 1] === 0xbb && bytes[start + 2] === 0xbf) {
      this.fail("text with a byte order mark, which would be lost,");
    }
  }

  #uint(size: number): number {
    const start = this.at;
    this.#skip(size);
    let value = 0;
    for (let i = start; i < this.at; i++) value = value * 256 + this.#bytes[i];
    return value;
  }

  #skip(length: number): void {
    if (length > this.#bytes.length - this.at) {
      this.fail(`the message ends, ${length} bytes were to follow,`);
    }
    this.at += length;
  }
}
