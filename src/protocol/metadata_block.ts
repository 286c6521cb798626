/** Metadata and trailers as bytes (PROTOCOL §6). */
import { asciiText } from "../core/ascii.ts";
import { RpcError } from "../core/error.ts";
import { isMetadataKey, isMetadataText, Metadata, type MetadataValue } from "../core/metadata.ts";
import type { ByteReader } from "./byte_reader.ts";
import { ByteWriter } from "./byte_writer.ts";

const TEXT = 0;
const BYTES = 1;
const KEPT_BYTES = 16 * 1024;
/** Up to here a loop in JavaScript beats the way into the runtime and back. */
const SHORT_BYTES = 128;

/** What one side lets a block be. */
export interface MetadataLimits {
  /** The most bytes of a block. */
  readonly maxMetadataBytes: number;
  /** The most pairs in a block. */
  readonly maxMetadataEntries: number;
}

/** Why a block was not taken. It ends one call, never the connection. */
export interface MetadataProblem {
  /** The code that the call ends with. */
  readonly code: "resource_exhausted" | "invalid_argument";
  /** What is wrong. */
  readonly message: string;
}

/** Writes a block behind its length in four bytes. Gives how long it is. */
export function writeMetadata(writer: ByteWriter, metadata: Metadata): number {
  const at = writer.length;
  writer.u32(0);
  for (const [key, value] of metadata) {
    writer.text8(key);
    if (typeof value === "string") {
      writer.u8(TEXT);
      const lengthAt = writer.length;
      writer.u32(0);
      writer.utf8(value);
      writer.patchU32(lengthAt, writer.length - lengthAt - 4);
    } else {
      writer.u8(BYTES);
      writer.u32(value.length);
      writer.raw(value);
    }
  }
  const length = writer.length - at - 4;
  writer.patchU32(at, length);
  return length;
}

const measure = new ByteWriter();

function sizeOf(metadata: Metadata): number {
  measure.length = 0;
  const bytes = writeMetadata(measure, metadata);
  if (measure.bytes.length > KEPT_BYTES) measure.bytes = new Uint8Array(KEPT_BYTES);
  return bytes;
}

/**
 * Checks metadata against what the other side takes, before it is sent.
 * @throws {RpcError} `resource_exhausted`, with `executed: "no"`
 */
export function checkMetadata(metadata: Metadata, limits: MetadataLimits): void {
  const bytes = metadata.mostBytes <= limits.maxMetadataBytes ? 0 : sizeOf(metadata);
  const exceeded = bytes > limits.maxMetadataBytes
    ? `${bytes} bytes of metadata: the receiver's limit is ${limits.maxMetadataBytes} (limits.maxMetadataBytes)`
    : metadata.size > limits.maxMetadataEntries
    ? `${metadata.size} pairs of metadata: the receiver's limit is ${limits.maxMetadataEntries} (limits.maxMetadataEntries)`
    : undefined;
  if (exceeded !== undefined) throw new RpcError("resource_exhausted", `Cannot send ${exceeded}`, { executed: "no" });
}

/**
 * Reads a block. What breaks a limit or has a bad key or value is passed over and described; only a block whose lengths
 * do not add up is a violation.
 */
export function readMetadata(reader: ByteReader, limits: MetadataLimits): Metadata | MetadataProblem {
  const length = reader.u32();
  if (length > limits.maxMetadataBytes) {
    reader.skip(length);
    return {
      code: "resource_exhausted",
      message:
        `Cannot take ${length} bytes of metadata: the receiver's limit is ${limits.maxMetadataBytes} (limits.maxMetadataBytes)`,
    };
  }
  const outerEnd = reader.end;
  const end = reader.at + length;
  if (end > outerEnd) reader.skip(length);
  reader.end = end;
  const pairs: [string, MetadataValue][] = [];
  let problem: MetadataProblem | undefined;
  while (reader.at < end) {
    const keyBytes = reader.u8();
    const keyAt = reader.at;
    reader.skip(keyBytes);
    const kind = reader.u8();
    const valueBytes = reader.u32();
    const valueAt = reader.at;
    reader.skip(valueBytes);
    if (problem !== undefined) continue;
    if (pairs.length === limits.maxMetadataEntries) {
      problem = {
        code: "resource_exhausted",
        message:
          `Cannot take more than ${limits.maxMetadataEntries} pairs of metadata: that is the receiver's limit (limits.maxMetadataEntries)`,
      };
      continue;
    }
    const key = readKey(reader.bytes, keyAt, keyAt + keyBytes);
    const value = kind === TEXT
      ? readText(reader.bytes, valueAt, valueAt + valueBytes)
      : kind === BYTES
      ? reader.bytes.slice(valueAt, valueAt + valueBytes)
      : undefined;
    if (
      key === undefined || value === undefined || (typeof value === "string" && !isMetadataText(value))
    ) {
      problem = {
        code: "invalid_argument",
        message: `Cannot take metadata pair ${pairs.length}: its key or value is malformed`,
      };
    } else pairs.push([key, value]);
  }
  reader.end = outerEnd;
  return problem ?? Metadata.received(pairs);
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Keys that were read lately, each in the place that its bytes lead to: most calls bring the same few. */
const keys: (string | undefined)[] = new Array(64).fill(undefined);

/** The key that bytes stand for, or `undefined` when they stand for none. */
function readKey(bytes: Uint8Array<ArrayBuffer>, at: number, end: number): string | undefined {
  const place = (end - at + bytes[at] * 3 + bytes[end - 1] * 7) & 63;
  const known = keys[place];
  if (known !== undefined && isTextAt(known, bytes, at, end)) return known;
  const key = readText(bytes, at, end);
  if (key === undefined || !isMetadataKey(key)) return undefined;
  return keys[place] = key;
}

function isTextAt(text: string, bytes: Uint8Array, at: number, end: number): boolean {
  if (text.length !== end - at) return false;
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) !== bytes[at + i]) return false;
  return true;
}

/** The text that bytes stand for, or `undefined` when they are not UTF-8. */
function readText(bytes: Uint8Array<ArrayBuffer>, at: number, end: number): string | undefined {
  const text = end - at <= SHORT_BYTES ? asciiText(bytes, at, end) : undefined;
  if (text !== undefined) return text;
  try {
    return decoder.decode(bytes.subarray(at, end));
  } catch {
    return undefined;
  }
}
