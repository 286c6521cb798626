import { checksum, CHECKSUM_BYTES } from "./checksum.ts";
import { HEADER_BYTES } from "./frame.ts";

const encoder = new TextEncoder();
/** Up to this length, characters are copied one by one: cheaper than a view for the encoder, as long as all are ASCII. */
const SHORT_TEXT = 96;

/** What a run of bytes grows to at the least. */
const LEAST_BYTES = 256;
const NOTHING = new Uint8Array(0);

/** A growing run of bytes that frames are written into, one behind the other. */
export class ByteWriter {
  /** The memory; what counts ends at `length`. */
  bytes: Uint8Array<ArrayBuffer>;
  /** How many bytes were written. */
  length = 0;
  /** Whether frames end with a checksum. */
  readonly checksums: boolean;

  /** Makes an empty run with room for `capacity` bytes; without any it costs no memory before it is written to. */
  constructor(capacity = LEAST_BYTES, checksums = false) {
    this.bytes = capacity === 0 ? NOTHING : new Uint8Array(capacity);
    this.checksums = checksums;
  }

  /** Makes sure that `count` more bytes fit. */
  reserve(count: number): void {
    const need = this.length + count;
    if (need <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(need, this.bytes.length * 2, LEAST_BYTES));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }

  /** Writes one byte. */
  u8(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  /** Writes two bytes, high one first. */
  u16(value: number): void {
    this.reserve(2);
    const { bytes, length } = this;
    bytes[length] = value >>> 8;
    bytes[length + 1] = value;
    this.length = length + 2;
  }

  /** Writes four bytes, highest first. */
  u32(value: number): void {
    this.reserve(4);
    this.#putU32(this.length, value);
    this.length += 4;
  }

  /** Writes eight bytes of a whole number up to 2^53 − 1, highest first. */
  u64(value: number): void {
    this.u32(Math.floor(value / 2 ** 32));
    this.u32(value >>> 0);
  }

  /** Copies bytes. */
  raw(source: Uint8Array): void {
    this.reserve(source.length);
    this.bytes.set(source, this.length);
    this.length += source.length;
  }

  /** Writes text as UTF-8. A lone surrogate becomes U+FFFD. */
  utf8(text: string): void {
    const count = text.length;
    // A long text is mostly ASCII: what more others take is seen when there is no room left.
    this.reserve(count <= SHORT_TEXT ? count * 3 : count);
    if (count <= SHORT_TEXT) {
      const { bytes, length } = this;
      let i = 0;
      for (; i < count; i++) {
        const unit = text.charCodeAt(i);
        if (unit > 0x7f) break;
        bytes[length + i] = unit;
      }
      if (i === count) {
        this.length = length + count;
        return;
      }
    }
    const { read, written } = encoder.encodeInto(text, this.bytes.subarray(this.length));
    this.length += written;
    if (read === count) return;
    this.reserve((count - read) * 3);
    this.length += encoder.encodeInto(text.slice(read), this.bytes.subarray(this.length)).written;
  }

  /** Writes text behind its length in one byte. */
  text8(text: string): void {
    const at = this.length;
    this.u8(0);
    this.utf8(text);
    this.bytes[at] = this.length - at - 1;
  }

  /** Writes text behind its length in two bytes. */
  text16(text: string): void {
    const at = this.length;
    this.u16(0);
    this.utf8(text);
    this.patchU16(at, this.length - at - 2);
  }

  /** Writes over two bytes. */
  patchU16(at: number, value: number): void {
    this.bytes[at] = value >>> 8;
    this.bytes[at + 1] = value;
  }

  /** Writes over four bytes. */
  patchU32(at: number, value: number): void {
    this.#putU32(at, value);
  }

  /** Writes a frame's header, its length still open. Gives where the frame begins, for `endFrame`. */
  beginFrame(kind: number, flags: number, stream: number): number {
    this.reserve(HEADER_BYTES);
    const at = this.length;
    const bytes = this.bytes;
    bytes[at + 3] = kind;
    bytes[at + 4] = flags;
    bytes[at + 5] = stream >>> 24;
    bytes[at + 6] = stream >>> 16;
    bytes[at + 7] = stream >>> 8;
    bytes[at + 8] = stream;
    this.length = at + HEADER_BYTES;
    return at;
  }

  /** Fills in the length of the frame that began at `at`. */
  endFrame(at: number): void {
    if (!this.checksums) return this.#patchLength(at);
    this.reserve(CHECKSUM_BYTES);
    this.length += CHECKSUM_BYTES;
    this.#patchLength(at);
    const end = this.length - CHECKSUM_BYTES;
    this.#putU32(end, checksum(this.bytes, at, end));
  }

  #patchLength(at: number): void {
    const payload = this.length - at - HEADER_BYTES;
    const bytes = this.bytes;
    bytes[at] = payload >>> 16;
    bytes[at + 1] = payload >>> 8;
    bytes[at + 2] = payload;
  }

  /** What was written, as a view that the next write may change. */
  view(): Uint8Array<ArrayBuffer> {
    return this.bytes.subarray(0, this.length);
  }

  #putU32(at: number, value: number): void {
    const bytes = this.bytes;
    bytes[at] = value >>> 24;
    bytes[at + 1] = value >>> 16;
    bytes[at + 2] = value >>> 8;
    bytes[at + 3] = value;
  }
}
