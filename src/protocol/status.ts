/** How a call ended, as END says it (PROTOCOL §5). */
import { type Code, codeName, codeNumber } from "../core/code.ts";
import type { Executed } from "../core/error.ts";
import type { LoadReport } from "../core/load.ts";
import { Metadata } from "../core/metadata.ts";
import type { ByteReader } from "./byte_reader.ts";
import { ByteWriter } from "./byte_writer.ts";
import { type MetadataLimits, type MetadataProblem, readMetadata, writeMetadata } from "./metadata_block.ts";

/** Bits of the fields byte; fields follow in the order of their bits (PROTOCOL §5.1). */
export const StatusField = {
  message: 1 << 0,
  executed: 1 << 1,
  retryAfter: 1 << 2,
  details: 1 << 3,
  metadata: 1 << 4,
  trailers: 1 << 5,
  load: 1 << 6,
  extra: 1 << 7,
} as const;

/** The longest text of an error on the wire, in bytes. */
export const MAX_ERROR_TEXT_BYTES = 1024;

const EXECUTED: readonly Executed[] = ["no", "maybe", "yes"];

/** How a call ended. One object serves a whole connection. */
export class Status {
  /** The outcome, or `undefined` for success. */
  code: Code | undefined;
  /** What went wrong, for people. */
  message = "";
  /** Whether a handler ran. */
  executed: Executed = "maybe";
  /** How long to wait before another attempt; negative means "do not try again". */
  retryAfterMs: number | undefined;
  /** The encoded details. */
  details: Uint8Array | undefined;
  /** The responder's metadata, when nothing went before END. */
  metadata: Metadata | undefined;
  /** The responder's trailers. */
  trailers: Metadata | undefined;
  /** The server's load. */
  load: LoadReport | undefined;
  /** Why metadata or trailers were not taken. */
  problem: MetadataProblem | undefined;

  /** Makes it a plain success. */
  reset(): this {
    this.code = undefined;
    this.message = "";
    this.executed = "maybe";
    this.retryAfterMs = undefined;
    this.details = undefined;
    this.metadata = this.trailers = undefined;
    this.load = undefined;
    this.problem = undefined;
    return this;
  }

  /** Makes it the end of a call that was not taken: it may go elsewhere, or come again after `retryAfterMs`. */
  refuse(message: string, retryAfterMs: number): this {
    this.reset();
    this.code = "resource_exhausted";
    this.message = message;
    this.executed = "no";
    this.retryAfterMs = retryAfterMs;
    return this;
  }
}

/** What `writeRefusal` writes over. */
const RETRY_AFTER_BYTES = 4;

/** The status of a call that was not taken, for `writeRefusal`, which many of them may need. */
export function encodeRefusal(message: string): Uint8Array {
  const writer = new ByteWriter();
  writeStatus(writer, new Status().refuse(message, 0));
  return writer.view();
}

/** Writes the status of a call that was not taken, from what `encodeRefusal` gave. */
export function writeRefusal(
  writer: ByteWriter,
  encoded: Uint8Array,
  retryAfterMs: number,
  load: LoadReport | undefined,
): void {
  const at = writer.length;
  writer.raw(encoded);
  writer.patchU32(writer.length - RETRY_AFTER_BYTES, retryAfterMs);
  if (load === undefined) return;
  writer.bytes[at + 1] |= StatusField.load;
  writeLoad(writer, load);
}

/** Writes a status. */
export function writeStatus(writer: ByteWriter, status: Status): void {
  const at = writer.length;
  let fields = 0;
  writer.u16(0);
  writer.bytes[at] = status.code === undefined ? 0 : codeNumber(status.code);
  if (status.message !== "") {
    fields |= StatusField.message;
    writer.text16(status.message);
  }
  if (status.code !== undefined) {
    fields |= StatusField.executed;
    writer.u8(EXECUTED.indexOf(status.executed));
  }
  if (status.retryAfterMs !== undefined) {
    fields |= StatusField.retryAfter;
    writer.u32(Math.max(-1, Math.min(2 ** 31 - 1, Math.ceil(status.retryAfterMs))));
  }
  if (status.details !== undefined) {
    fields |= StatusField.details;
    writer.u32(status.details.length);
    writer.raw(status.details);
  }
  if (status.metadata !== undefined) {
    fields |= StatusField.metadata;
    writeMetadata(writer, status.metadata);
  }
  if (status.trailers !== undefined) {
    fields |= StatusField.trailers;
    writeMetadata(writer, status.trailers);
  }
  if (status.load !== undefined) {
    fields |= StatusField.load;
    writeLoad(writer, status.load);
  }
  writer.bytes[at + 1] = fields;
}

function writeLoad(writer: ByteWriter, { inFlight, limit, lagMs }: LoadReport): void {
  writer.u16(Math.min(0xffff, inFlight));
  writer.u16(Math.min(0xffff, limit));
  writer.u16(Math.min(0xffff, Math.round(lagMs)));
}

/** Reads a status into `status` and leaves the reader at the first byte of the message. */
export function readStatus(reader: ByteReader, status: Status, limits: MetadataLimits): void {
  status.reset();
  const code = reader.u8();
  const fields = reader.u8();
  if (code !== 0) status.code = codeName(code);
  if (fields === 0) return;
  if ((fields & StatusField.message) !== 0) status.message = reader.text16().slice(0, MAX_ERROR_TEXT_BYTES);
  if ((fields & StatusField.executed) !== 0) status.executed = EXECUTED[reader.u8()] ?? "maybe";
  if ((fields & StatusField.retryAfter) !== 0) status.retryAfterMs = reader.u32() | 0;
  if ((fields & StatusField.details) !== 0) status.details = reader.copy(reader.u32());
  if ((fields & StatusField.metadata) !== 0) {
    const metadata = readMetadata(reader, limits);
    if (metadata instanceof Metadata) status.metadata = metadata;
    else status.problem = metadata;
  }
  if ((fields & StatusField.trailers) !== 0) {
    const trailers = readMetadata(reader, limits);
    if (trailers instanceof Metadata) status.trailers = trailers;
    else status.problem = trailers;
  }
  if ((fields & StatusField.load) !== 0) {
    status.load = { inFlight: reader.u16(), limit: reader.u16(), lagMs: reader.u16() };
  }
  if ((fields & StatusField.extra) !== 0) reader.skip(reader.u16());
}

/** Shortens an error's text to what may travel, at a whole character. */
export function clipText(text: string): string {
  if (text.length * 3 <= MAX_ERROR_TEXT_BYTES) return text;
  const bytes = new Uint8Array(MAX_ERROR_TEXT_BYTES - 3);
  const { read } = new TextEncoder().encodeInto(text, bytes);
  return read === text.length ? text : text.slice(0, read) + "…";
}
