/** The yardstick of streams: frames behind their length, one way, as fast as one socket takes them. No credit, no streams. */
import { readText, writeText } from "./floor.ts";

const HEADER_BYTES = 4;
const BUFFER_BYTES = 64 * 1024;

/** Turns a message into bytes and back. */
export interface Form {
  /** How many bytes it takes at most. */
  room(message: unknown): number;
  /** Writes it: how many bytes. */
  write(message: unknown, target: Uint8Array<ArrayBuffer>, at: number): number;
  /** Reads it. */
  read(source: Uint8Array<ArrayBuffer>, at: number, end: number): unknown;
}

let text = "";
/** JSON, as most streams have it. */
export const jsonForm: Form = {
  room: (message) => (text = JSON.stringify(message)).length * 3,
  write: (_, target, at) => writeText(text, target, at),
  read: (source, at, end) => JSON.parse(readText(source, at, end)),
};
/** Bytes as they are; a copy, because the buffer they lie in is used again. */
export const bytesForm: Form = {
  room: (message) => (message as Uint8Array).length,
  write: (message, target, at) => {
    target.set(message as Uint8Array, at);
    return (message as Uint8Array).length;
  },
  read: (source, at, end) => source.slice(at, end),
};

/** Writes what `next` gives until it gives nothing. */
export async function pump(conn: Deno.TcpConn, form: Form, next: () => unknown): Promise<void> {
  let buffer = new Uint8Array(BUFFER_BYTES);
  let length = 0;
  const flush = async () => {
    for (let done = 0; done < length;) done += await conn.write(buffer.subarray(done, length));
    length = 0;
  };
  for (let message; (message = next()) !== undefined;) {
    const need = HEADER_BYTES + form.room(message);
    if (length + need > buffer.length) {
      await flush();
      if (need > buffer.length) buffer = new Uint8Array(need);
    }
    const size = form.write(message, buffer, length + HEADER_BYTES);
    buffer[length] = size >>> 24;
    buffer[length + 1] = size >>> 16;
    buffer[length + 2] = size >>> 8;
    buffer[length + 3] = size;
    length += HEADER_BYTES + size;
  }
  await flush();
}

/** Reads frames until the other side ends or `take` is false. */
export async function drain(conn: Deno.TcpConn, form: Form, take: (message: unknown) => boolean): Promise<void> {
  let buffer = new Uint8Array(BUFFER_BYTES);
  let end = 0;
  for (;;) {
    const count = await conn.read(end === 0 ? buffer : buffer.subarray(end)).catch(() => null);
    if (count === null) return;
    end += count;
    let at = 0;
    while (end - at >= HEADER_BYTES) {
      const size = buffer[at] << 24 | buffer[at + 1] << 16 | buffer[at + 2] << 8 | buffer[at + 3];
      const behind = at + HEADER_BYTES + size;
      if (behind > end) break;
      if (!take(form.read(buffer, at + HEADER_BYTES, behind))) return;
      at = behind;
    }
    if (at === end) end = 0;
    else {
      buffer.copyWithin(0, at, end);
      end -= at;
      if (end === buffer.length) {
        const grown = new Uint8Array(end * 2);
        grown.set(buffer);
        buffer = grown;
      }
    }
  }
}
