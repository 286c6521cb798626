/** The frames that PROTOCOL.md shows, made from their meaning. */
import { Metadata } from "../../src/core/metadata.ts";
import { ByteWriter } from "../../src/protocol/byte_writer.ts";
import { writeCredit, writeGoAway, writePing, writeReset } from "../../src/protocol/control.ts";
import { Flag, Kind, MAX_STREAM_ID, PREFACE } from "../../src/protocol/frame.ts";
import { type Hello, SILENT_HELLO, writeHello } from "../../src/protocol/hello.ts";
import { writeMetadata } from "../../src/protocol/metadata_block.ts";
import { OpenHeader, writeOpen } from "../../src/protocol/open.ts";
import { Status, writeStatus } from "../../src/protocol/status.ts";
import { DEFAULT_LIMITS } from "../../src/core/limits.ts";

export const exampleHello: Hello = {
  ...SILENT_HELLO,
  instance: "cli",
  codecs: ["json", "bytes"],
  maxFrameBytes: DEFAULT_LIMITS.maxFrameBytes,
  streamWindowBytes: DEFAULT_LIMITS.streamWindowBytes,
  connectionWindowBytes: DEFAULT_LIMITS.connectionWindowBytes,
};

export function exampleOpen(name: string | undefined): OpenHeader {
  const header = new OpenHeader();
  header.name = name;
  header.timeoutMs = 500;
  header.idempotent = true;
  return header;
}

export function exampleStatus(failed: boolean): Status {
  const status = new Status();
  if (failed) {
    status.code = "not_found";
    status.message = "No such line";
    status.executed = "yes";
    status.retryAfterMs = -1;
    status.trailers = new Metadata({ "x-shard": "7" });
  }
  return status;
}

export function exampleLoad(): Status {
  const status = exampleStatus(false);
  status.load = { inFlight: 12, limit: 20, lagMs: 3 };
  return status;
}

export const exampleHead = (): Metadata =>
  new Metadata([["x-rows", "12"], ["x-key-bin", new Uint8Array([0xab, 0xab])]]);

function frame(
  kind: number,
  flags: number,
  stream: number,
  write: (writer: ByteWriter) => void = () => {},
): Uint8Array {
  const writer = new ByteWriter();
  const at = writer.beginFrame(kind, flags, stream);
  write(writer);
  writer.endFrame(at);
  return writer.view();
}

function written(write: (writer: ByteWriter) => void): Uint8Array {
  const writer = new ByteWriter();
  write(writer);
  return writer.view();
}

const request = '{"text":"a b"}';

/** The examples by the names that they have in PROTOCOL.md. */
export const examples: ReadonlyMap<string, Uint8Array> = new Map<string, Uint8Array>([
  ["preface", PREFACE],
  ["hello of a client", written((writer) => writeHello(writer, exampleHello))],
  [
    "open of a unary call",
    frame(Kind.open, 0, 1, (w) => (writeOpen(w, exampleOpen("demo.Words/count")), w.utf8(request))),
  ],
  ["open of the next call", frame(Kind.open, 0, 3, (w) => (writeOpen(w, exampleOpen(undefined)), w.utf8(request)))],
  ["end of a unary call", frame(Kind.end, 0, 1, (w) => (writeStatus(w, exampleStatus(false)), w.utf8('{"words":2}')))],
  ["end with a load report", frame(Kind.end, 0, 5, (w) => (writeStatus(w, exampleLoad()), w.utf8('{"words":2}')))],
  ["end with a failure", frame(Kind.end, 0, 3, (w) => writeStatus(w, exampleStatus(true)))],
  ["data with a piece of a message", frame(Kind.data, Flag.more, 5, (w) => w.utf8("abc"))],
  ["metadata before the first message", frame(Kind.data, Flag.head, 5, (w) => writeMetadata(w, exampleHead()))],
  ["no more requests", frame(Kind.end, 0, 7)],
  ["reset by the initiator", written((writer) => writeReset(writer, 5, "cancelled"))],
  ["refused", written((writer) => writeReset(writer, 9, undefined))],
  ["credit", written((writer) => writeCredit(writer, 5, 65_536))],
  ["ping", written((writer) => writePing(writer, 258, false))],
  ["answer to it", written((writer) => writePing(writer, 258, true))],
  [
    "going away soon",
    written((w) => writeGoAway(w, { lastStream: MAX_STREAM_ID, code: 0, message: "the server is draining" })),
  ],
]);

/** Bytes as PROTOCOL.md writes them: 32 to a line. */
export function hexDump(bytes: Uint8Array): string {
  const pairs = [...bytes].map((byte) => byte.toString(16).padStart(2, "0"));
  const lines: string[] = [];
  for (let i = 0; i < pairs.length; i += 32) lines.push(pairs.slice(i, i + 32).join(" "));
  return lines.join("\n");
}
