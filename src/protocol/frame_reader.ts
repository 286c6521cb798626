import { ByteReader } from "./byte_reader.ts";
import { checksum, CHECKSUM_BYTES } from "./checksum.ts";
import { HEADER_BYTES } from "./frame.ts";
import { GoAwayCode, ProtocolViolation } from "./violation.ts";

const FIRST_BYTES = 1024;
const USUAL_BYTES = 256 * 1024;
/** After so many reads that a small buffer could have held, it becomes one again. */
const SMALL_READS = 256;

/**
 * Cuts what arrives into frames, in place.
 *
 * The owner reads into `space()`, says how much came with `received`, and then calls `next` until it is false; the fields
 * describe the frame that it found. Their bytes stay where they are until `space` is called again.
 *
 * Memory follows what was received, never what a length promises: the buffer doubles only when it is full.
 */
export class FrameReader {
  /** The largest payload that is accepted; the owner raises it after the HELLO. */
  maxPayloadBytes: number;
  /** Whether frames end with a checksum, which is none of their payload. */
  checksums = false;
  /** The kind of the frame. */
  kind = 0;
  /** The flags of the frame. */
  flags = 0;
  /** The stream of the frame. */
  stream = 0;
  /** Where its payload begins in `bytes`. */
  payloadAt = 0;
  /** Behind the last byte of its payload. */
  payloadEnd = 0;
  /** What was received. */
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(FIRST_BYTES);
  #at = 0;
  #end = 0;
  #smallReads = 0;

  /** Makes a reader that refuses larger payloads. */
  constructor(maxPayloadBytes: number) {
    this.maxPayloadBytes = maxPayloadBytes;
  }

  /** How many bytes of an unfinished frame are held. */
  get partialBytes(): number {
    return this.#end - this.#at;
  }

  /** Where the next bytes go: never empty. Moves what is unfinished to the front, and grows when that fills the buffer. */
  space(): Uint8Array<ArrayBuffer> {
    if (this.#at === this.#end) {
      this.#at = this.#end = 0;
      if (this.#smallReads > SMALL_READS && this.bytes.length > FIRST_BYTES) this.bytes = new Uint8Array(FIRST_BYTES);
    } else if (this.#at > 0) {
      this.bytes.copyWithin(0, this.#at, this.#end);
      this.#end -= this.#at;
      this.#at = 0;
    }
    if (this.#end === this.bytes.length) this.#resize(this.bytes.length * 2);
    return this.#end === 0 ? this.bytes : this.bytes.subarray(this.#end);
  }

  /** Says that `count` bytes were put into `space()`. */
  received(count: number): void {
    this.#end += count;
    this.#smallReads = count < FIRST_BYTES ? this.#smallReads + 1 : 0;
    // A full read says that more is waiting: a larger buffer saves system calls from here on.
    if (this.#end === this.bytes.length && this.bytes.length < USUAL_BYTES) this.#resize(this.bytes.length * 4);
  }

  /** Passes over bytes that are no frame: the preface. Gives them once all are there. */
  take(count: number): Uint8Array<ArrayBuffer> | undefined {
    if (this.#end - this.#at < count) return undefined;
    this.#at += count;
    return this.bytes.subarray(this.#at - count, this.#at);
  }

  /** What has come and was not taken, without taking it. */
  peek(): Uint8Array<ArrayBuffer> {
    return this.bytes.subarray(this.#at, this.#end);
  }

  /** Finds the next whole frame. @throws {ProtocolViolation} on the header of one that is too large */
  next(): boolean {
    const at = this.#at;
    const held = this.#end - at;
    if (held < HEADER_BYTES) return false;
    const bytes = this.bytes;
    const payload = bytes[at] << 16 | bytes[at + 1] << 8 | bytes[at + 2];
    if (payload > this.maxPayloadBytes && payload > this.maxPayloadBytes + this.#checksumBytes) {
      throw new ProtocolViolation(
        GoAwayCode.frameTooLarge,
        `Cannot take a frame of ${payload} bytes: the limit is ${this.maxPayloadBytes} (limits.maxFrameBytes)`,
      );
    }
    if (held < HEADER_BYTES + payload) return false;
    this.kind = bytes[at + 3];
    this.flags = bytes[at + 4];
    this.stream = (bytes[at + 5] << 24 | bytes[at + 6] << 16 | bytes[at + 7] << 8 | bytes[at + 8]) >>> 0;
    this.payloadAt = at + HEADER_BYTES;
    this.payloadEnd = this.#at = at + HEADER_BYTES + payload;
    if (this.checksums) this.#check(at);
    return true;
  }

  get #checksumBytes(): number {
    return this.checksums ? CHECKSUM_BYTES : 0;
  }

  #check(at: number): void {
    const end = this.payloadEnd - CHECKSUM_BYTES;
    if (end >= this.payloadAt) {
      const told = new ByteReader().reset(this.bytes, end, this.payloadEnd).u32();
      this.payloadEnd = end;
      if (told === checksum(this.bytes, at, end)) return;
    }
    throw new ProtocolViolation(
      GoAwayCode.protocol,
      "Cannot take a frame whose checksum is wrong: it was changed on its way",
    );
  }

  #resize(size: number): void {
    const grown = new Uint8Array(size);
    grown.set(this.bytes.subarray(0, this.#end));
    this.bytes = grown;
  }
}
