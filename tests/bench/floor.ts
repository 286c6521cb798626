/**
 * The yardstick: the least that any unary call over a socket of the runtime has to do, and nothing else. No deadline, no
 * cancellation, no credit, no metadata, no errors.
 *
 * A frame is its length and its number, four bytes each with the highest first, and JSON behind them. A promise per call
 * waits in a place that is used again; what one turn writes leaves in one write, while the next buffer fills; what arrives
 * is read into one buffer and parsed where it lies.
 */
const HEADER_BYTES = 8;
const READ_BYTES = 64 * 1024;
/** Up to here a loop beats the way into the runtime and back. */
const SHORT_READ = 32;
const SHORT_WRITE = 96;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** One socket, with frames in both directions. */
class Link {
  /** How many writes were made. */
  writes = 0;
  readonly #conn: Deno.TcpConn;
  #out = new Uint8Array(READ_BYTES);
  #length = 0;
  #spare = new Uint8Array(READ_BYTES);
  #scheduled = false;
  readonly #flush = () => void this.#drain();

  constructor(conn: Deno.TcpConn) {
    conn.setNoDelay();
    this.#conn = conn;
  }

  /** Puts a frame into the buffer that leaves at the end of this turn. */
  send(id: number, message: unknown): void {
    const text = JSON.stringify(message);
    const count = text.length;
    const at = this.#length;
    if (at + HEADER_BYTES + count * 3 > this.#out.length) this.#grow(at + HEADER_BYTES + count * 3);
    const out = this.#out;
    const bodyAt = at + HEADER_BYTES;
    const written = writeText(text, out, bodyAt);
    out[at] = written >>> 24;
    out[at + 1] = written >>> 16;
    out[at + 2] = written >>> 8;
    out[at + 3] = written;
    out[at + 4] = id >>> 24;
    out[at + 5] = id >>> 16;
    out[at + 6] = id >>> 8;
    out[at + 7] = id;
    this.#length = bodyAt + written;
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(this.#flush);
  }

  /** Gives every frame that comes to `take`, until the socket ends. */
  async read(take: (id: number, message: unknown) => void): Promise<void> {
    let bytes = new Uint8Array(READ_BYTES);
    let end = 0;
    for (;;) {
      const count = await this.#conn.read(end === 0 ? bytes : bytes.subarray(end)).catch(() => null);
      if (count === null) return;
      end += count;
      let at = 0;
      while (end - at >= HEADER_BYTES) {
        const bodyAt = at + HEADER_BYTES;
        const behind = bodyAt + u32(bytes, at);
        if (behind > end) break;
        take(u32(bytes, at + 4), JSON.parse(readText(bytes, bodyAt, behind)));
        at = behind;
      }
      if (at === end) end = 0;
      else {
        bytes.copyWithin(0, at, end);
        end -= at;
        if (end === bytes.length) {
          const grown = new Uint8Array(end * 2);
          grown.set(bytes);
          bytes = grown;
        }
      }
    }
  }

  /** Ends it. */
  close(): void {
    this.#conn.close();
  }

  async #drain(): Promise<void> {
    while (this.#length > 0) {
      const full = this.#out;
      const length = this.#length;
      this.#out = this.#spare;
      this.#spare = full;
      this.#length = 0;
      for (let done = 0; done < length;) {
        done += await this.#conn.write(full.subarray(done, length));
        this.writes++;
      }
    }
    this.#scheduled = false;
  }

  #grow(need: number): void {
    const grown = new Uint8Array(need * 2);
    grown.set(this.#out.subarray(0, this.#length));
    this.#out = grown;
  }
}

/** The calling side. */
export class FloorClient {
  readonly #link: Link;
  // Not a Map: once its table is old, every later one is kept until a full collection, and all calls that were in it too.
  readonly #pending: ((reply: unknown) => void)[] = [];
  readonly #free: number[] = [];
  readonly #reading: Promise<void>;

  private constructor(conn: Deno.TcpConn) {
    this.#link = new Link(conn);
    this.#reading = this.#link.read((id, reply) => {
      const resolve = this.#pending[id];
      this.#free.push(id);
      resolve(reply);
    });
  }

  /** Dials. */
  static async connect(port: number): Promise<FloorClient> {
    return new FloorClient(await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  /** How many writes were made. */
  get writes(): number {
    return this.#link.writes;
  }

  /** Calls. */
  call(request: unknown): Promise<unknown> {
    return new Promise((resolve) => {
      const id = this.#free.pop() ?? this.#pending.length;
      this.#pending[id] = resolve;
      this.#link.send(id, request);
    });
  }

  /** Hangs up. */
  async close(): Promise<void> {
    this.#link.close();
    await this.#reading;
  }
}

/** The answering side: one function for every call. */
export class FloorServer {
  readonly #listener: Deno.TcpListener;
  readonly #answer: (request: unknown) => unknown;
  readonly #links = new Set<Link>();

  /** Listens on any free port. */
  constructor(answer: (request: unknown) => unknown) {
    this.#answer = answer;
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    void this.#accept();
  }

  /** Where it listens. */
  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  /** How many writes were made. */
  get writes(): number {
    let writes = 0;
    for (const link of this.#links) writes += link.writes;
    return writes;
  }

  /** Ends everything. */
  close(): void {
    this.#listener.close();
    for (const link of this.#links) link.close();
  }

  async #accept(): Promise<void> {
    for (;;) {
      const conn = await this.#listener.accept().catch(() => undefined);
      if (conn === undefined) return;
      const link = new Link(conn);
      this.#links.add(link);
      void link.read((id, request) => link.send(id, this.#answer(request)));
    }
  }
}

function u32(bytes: Uint8Array, at: number): number {
  return bytes[at] << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3];
}

/** Writes text as UTF-8: how many bytes. There must be room. */
export function writeText(text: string, out: Uint8Array<ArrayBuffer>, at: number): number {
  const count = text.length;
  if (count <= SHORT_WRITE) {
    let i = 0;
    for (; i < count; i++) {
      const unit = text.charCodeAt(i);
      if (unit > 0x7f) break;
      out[at + i] = unit;
    }
    if (i === count) return count;
  }
  return encoder.encodeInto(text, out.subarray(at)).written;
}

/** The text that bytes stand for, perhaps with spaces behind it. */
export function readText(bytes: Uint8Array<ArrayBuffer>, at: number, end: number): string {
  return (end - at <= SHORT_READ ? asciiText(bytes, at, end) : undefined) ?? decoder.decode(bytes.subarray(at, end));
}

/** The text with spaces after it, which mean nothing in JSON, or `undefined` when it is not all ASCII. */
function asciiText(bytes: Uint8Array, at: number, end: number): string | undefined {
  let text = "";
  for (; at < end; at += 8) {
    const a = bytes[at];
    const b = at + 1 < end ? bytes[at + 1] : 0x20;
    const c = at + 2 < end ? bytes[at + 2] : 0x20;
    const d = at + 3 < end ? bytes[at + 3] : 0x20;
    const e = at + 4 < end ? bytes[at + 4] : 0x20;
    const f = at + 5 < end ? bytes[at + 5] : 0x20;
    const g = at + 6 < end ? bytes[at + 6] : 0x20;
    const h = at + 7 < end ? bytes[at + 7] : 0x20;
    if ((a | b | c | d | e | f | g | h) > 0x7f) return undefined;
    text += String.fromCharCode(a, b, c, d, e, f, g, h);
  }
  return text;
}
