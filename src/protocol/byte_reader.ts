import { GoAwayCode, ProtocolViolation } from "./violation.ts";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const NOTHING = new Uint8Array(0);

/**
 * Reads the fields of one payload in place. One reader serves a whole connection: `reset` points it at the next payload.
 * Reading beyond the end, or text that is not UTF-8, is a violation.
 */
export class ByteReader {
  /** Where the payload is. */
  bytes: Uint8Array<ArrayBuffer> = NOTHING;
  /** The next byte. */
  at = 0;
  /** Behind the last byte. */
  end = 0;

  /** Points it at a payload. */
  reset(bytes: Uint8Array<ArrayBuffer>, at: number, end: number): this {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
    return this;
  }

  /** How many bytes are left. */
  get left(): number {
    return this.end - this.at;
  }

  /** Reads one byte. */
  u8(): number {
    return this.bytes[this.#take(1)];
  }

  /** Reads two bytes. */
  u16(): number {
    const at = this.#take(2);
    return this.bytes[at] << 8 | this.bytes[at + 1];
  }

  /** Reads four bytes. */
  u32(): number {
    const at = this.#take(4);
    const bytes = this.bytes;
    return (bytes[at] << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3]) >>> 0;
  }

  /** Reads eight bytes; what is beyond 2^53 − 1 is a violation. */
  u64(): number {
    const value = this.u32() * 2 ** 32 + this.u32();
    if (!Number.isSafeInteger(value)) throw violation("a number is beyond 2^53 − 1");
    return value;
  }

  /** A view of the next bytes, valid only until the reader moves on. */
  raw(count: number): Uint8Array<ArrayBuffer> {
    const at = this.#take(count);
    return this.bytes.subarray(at, at + count);
  }

  /** A copy of the next bytes. */
  copy(count: number): Uint8Array<ArrayBuffer> {
    const at = this.#take(count);
    return this.bytes.slice(at, at + count);
  }

  /** Reads text. */
  utf8(count: number): string {
    const view = this.raw(count);
    try {
      return decoder.decode(view);
    } catch {
      throw violation("text is not UTF-8");
    }
  }

  /** Reads text behind its length in one byte. */
  text8(): string {
    return this.utf8(this.u8());
  }

  /** Reads text behind its length in two bytes. */
  text16(): string {
    return this.utf8(this.u16());
  }

  /** Passes over bytes. */
  skip(count: number): void {
    this.#take(count);
  }

  /** Fails unless everything was read. */
  finish(): void {
    if (this.at !== this.end) throw violation(`${this.left} bytes are left over`);
  }

  #take(count: number): number {
    const at = this.at;
    if (at + count > this.end) throw violation(`${count} bytes are needed where ${this.end - at} are left`);
    this.at = at + count;
    return at;
  }
}

function violation(what: string): ProtocolViolation {
  return new ProtocolViolation(GoAwayCode.protocol, `Cannot read a frame: ${what}`);
}
