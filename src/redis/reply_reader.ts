/**
 * Reads Redis's replies (RESP2) out of the bytes of a connection.
 *
 * Invariants: nothing is kept but what has been received; one reply is read to its end before the next begins.
 */

/** What Redis answered instead of doing it. */
export class RedisError extends Error {
  override readonly name = "RedisError";
}

/** A reply is no larger than this: the listing of 10 000 instances takes some 5 MiB. */
const MAX_REPLY_BYTES = 64 * 1024 * 1024;
const MAX_DEPTH = 8;
const NEWLINE = 10;

const decoder = new TextDecoder();

/** Takes bytes, gives replies: a text, a number, a list, `null`, or a {@link RedisError}. */
export class ReplyReader {
  #bytes = new Uint8Array(4096);
  #start = 0;
  #end = 0;
  #replyBytes = 0;
  #reply: Generator<void, unknown> | undefined;

  /** Takes what has come, and gives the replies that end in it. @throws {Error} when it is not what Redis says */
  *take(bytes: Uint8Array): Generator<unknown> {
    this.#append(bytes);
    for (;;) {
      this.#reply ??= this.#read(0);
      const { done, value } = this.#reply.next();
      if (!done) return;
      this.#reply = undefined;
      this.#replyBytes = 0;
      yield value;
    }
  }

  /** Reads one reply; it stops wherever it needs more bytes. */
  *#read(depth: number): Generator<void, unknown> {
    if (depth > MAX_DEPTH) throw new Error(`A reply has lists in lists, ${MAX_DEPTH} deep and more`);
    const line = yield* this.#line();
    const rest = line.slice(1);
    switch (line[0]) {
      case "+":
        return rest;
      case "-":
        return new RedisError(rest);
      case ":":
        return Number(rest);
      case "$": {
        const length = lengthIn(rest);
        return length === -1 ? null : yield* this.#text(length);
      }
      case "*": {
        const length = lengthIn(rest);
        if (length === -1) return null;
        const list: unknown[] = [];
        while (list.length < length) list.push(yield* this.#read(depth + 1));
        return list;
      }
      default:
        throw new Error(`A reply begins with ${JSON.stringify(line.slice(0, 20))}`);
    }
  }

  *#line(): Generator<void, string> {
    for (let from = this.#start;;) {
      const at = this.#bytes.subarray(0, this.#end).indexOf(NEWLINE, from);
      if (at !== -1) {
        const line = decoder.decode(this.#bytes.subarray(this.#start, at - 1));
        this.#consume(at + 1 - this.#start);
        return line;
      }
      const seen = this.#end - this.#start;
      yield;
      from = this.#start + seen;
    }
  }

  *#text(length: number): Generator<void, string> {
    if (length > MAX_REPLY_BYTES) throw new Error(`A reply is over ${MAX_REPLY_BYTES} bytes`);
    while (this.#end - this.#start < length + 2) yield;
    const text = decoder.decode(this.#bytes.subarray(this.#start, this.#start + length));
    this.#consume(length + 2);
    return text;
  }

  #consume(bytes: number): void {
    this.#start += bytes;
    this.#replyBytes += bytes;
    if (this.#replyBytes > MAX_REPLY_BYTES) throw new Error(`A reply is over ${MAX_REPLY_BYTES} bytes`);
  }

  #append(bytes: Uint8Array): void {
    const kept = this.#end - this.#start;
    if (this.#end + bytes.length > this.#bytes.length) {
      const room = kept + bytes.length > this.#bytes.length / 2 ? (kept + bytes.length) * 2 : this.#bytes.length;
      const moved = room === this.#bytes.length ? this.#bytes : new Uint8Array(room);
      moved.set(this.#bytes.subarray(this.#start, this.#end));
      this.#bytes = moved;
      this.#start = 0;
      this.#end = kept;
    }
    this.#bytes.set(bytes, this.#end);
    this.#end += bytes.length;
  }
}

function lengthIn(text: string): number {
  const length = Number(text);
  if (!Number.isSafeInteger(length) || length < -1) throw new Error(`A reply has the length ${JSON.stringify(text)}`);
  return length;
}
