import { ByteWriter } from "../protocol/byte_writer.ts";
import { ByteReader } from "../protocol/byte_reader.ts";
import { readGoAway } from "../protocol/control.ts";
import { Flag, Kind, PREFACE } from "../protocol/frame.ts";
import { FrameReader } from "../protocol/frame_reader.ts";
import { type Hello, SILENT_HELLO, writeHello } from "../protocol/hello.ts";
import { OpenHeader, writeOpen } from "../protocol/open.ts";
import type { ByteConnection } from "../transport/byte_connection.ts";

/** A frame as the other side sent it (PROTOCOL §3). */
export interface Frame {
  /** What it is: one of `Kind`. */
  readonly kind: number;
  /** Its flags: of `Flag`. */
  readonly flags: number;
  /** Which call it belongs to; 0 is the connection. */
  readonly stream: number;
  /** What is behind its header. */
  readonly payload: Uint8Array<ArrayBuffer>;
}

/**
 * Plays one side of a connection frame by frame: sends what it is told to, however wrong, and shows what comes back. For tests
 * of servers against hostile clients, and for those who write the protocol in another language.
 *
 * ```ts ignore
 * const peer = await new ScriptedPeer(await transport.connect(server.endpoint)).greet();
 * await peer.send(openFrame(1, "demo.Words/count", '{"text":"one two"}'));
 * const end = await peer.expect(Kind.end);
 * peer.close();
 * ```
 *
 * It reads nothing by itself, and waits for as long as it takes.
 */
export class ScriptedPeer {
  /** What it writes to and reads from. */
  readonly conn: ByteConnection;
  /** Whether it answers pings while it reads. */
  answersPings = false;
  readonly #reader = new FrameReader(2 ** 24 - 1);

  /** Makes one that has said nothing yet. It closes the connection when it is closed. */
  constructor(conn: ByteConnection) {
    this.conn = conn;
  }

  /** Sends bytes as they are. False once the other side takes none any more. */
  async send(...parts: Uint8Array[]): Promise<boolean> {
    try {
      for (const bytes of parts) {
        for (let at = 0; at < bytes.length;) at += await this.conn.write(bytes.subarray(at));
      }
      return true;
    } catch {
      return false;
    }
  }

  /** Says hello as a client, and takes the server's. @throws {Error} when the server closes instead */
  async greet(hello: Partial<Hello> = {}): Promise<this> {
    await this.send(PREFACE, helloFrame(hello));
    await this.expect(Kind.hello);
    return this;
  }

  /** The next frame, or `undefined` when the other side has closed. */
  async next(): Promise<Frame | undefined> {
    const reader = this.#reader;
    while (!reader.next()) {
      const count = await this.conn.read(reader.space()).catch(() => null);
      if (count === null) return undefined;
      reader.received(count);
    }
    const { kind, flags, stream } = reader;
    if (this.answersPings && kind === Kind.ping && flags === 0) {
      await this.send(frame(Kind.ping, Flag.ack, 0, reader.bytes.slice(reader.payloadAt, reader.payloadEnd)));
    }
    return { kind, flags, stream, payload: reader.bytes.slice(reader.payloadAt, reader.payloadEnd) };
  }

  /** The next frame of a kind; others are passed over. @throws {Error} when the other side closes before it comes */
  async expect(kind: number): Promise<Frame> {
    for (;;) {
      const frame = await this.next();
      if (frame === undefined) throw new Error(`The connection was closed before a frame of kind ${kind} came`);
      if (frame.kind === kind) return frame;
    }
  }

  /** Reads to the end: the code of the GOAWAY that came before it, or `undefined`. */
  async closed(): Promise<number | undefined> {
    let code: number | undefined;
    for (;;) {
      const frame = await this.next();
      if (frame === undefined) return code;
      if (frame.kind === Kind.goAway) code = readGoAway(readerOf(frame)).code;
    }
  }

  /** Closes the connection. */
  close(): void {
    this.conn.close();
  }
}

/** Reads a frame's payload. */
export function readerOf({ payload }: Frame): ByteReader {
  return new ByteReader().reset(payload, 0, payload.length);
}

/** A frame with any payload. */
export function frame(kind: number, flags: number, stream: number, payload: Uint8Array | string = ""): Uint8Array {
  const writer = new ByteWriter();
  const at = writer.beginFrame(kind, flags, stream);
  if (typeof payload === "string") writer.utf8(payload);
  else writer.raw(payload);
  writer.endFrame(at);
  return writer.view();
}

/** A HELLO that allows much. */
export function helloFrame(hello: Partial<Hello> = {}): Uint8Array {
  const writer = new ByteWriter();
  writeHello(writer, {
    ...SILENT_HELLO,
    codecs: ["json"],
    maxFrameBytes: 2 ** 20,
    streamWindowBytes: 2 ** 24,
    connectionWindowBytes: 2 ** 28,
    ...hello,
  });
  return writer.view();
}

/** An OPEN; the procedure is spelled unless a number is given. */
export function openFrame(
  stream: number,
  procedure: string | number,
  message = "",
  header: Partial<OpenHeader> = {},
  flags = 0,
): Uint8Array {
  const writer = new ByteWriter();
  const at = writer.beginFrame(Kind.open, flags, stream);
  const open = Object.assign(
    new OpenHeader(),
    typeof procedure === "number" ? { procedure } : { name: procedure },
    header,
  );
  writeOpen(writer, open);
  writer.utf8(message);
  writer.endFrame(at);
  return writer.view();
}
