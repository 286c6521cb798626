/** Metadata and trailers as bytes (PROTOCOL §6). */
import { RpcError } from "../core/error.ts";
import { isMetadataKey, isMetadataText, Metadata, type MetadataValue } from "../core/metadata.ts";
import type { ByteReader } from "./byte_reader.ts";
import { ByteWriter } from "./byte_writer.ts";

const TEXT = 0;
const BYTES = 1;
const KEPT_BYTES = 16 * 1024;

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

/**
 * Checks metadata against what the other side takes, before it is sent.
 * @throws {RpcError} `resource_exhausted`, with `executed: "no"`
 */
export function checkMetadata(metadata: Metadata, limits: MetadataLimits): void {
  measure.length = 0;
  const bytes = writeMetadata(measure, metadata);
  if (measure.bytes.length > KEPT_BYTES) measure.bytes = new Uint8Array(KEPT_BYTES);
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
    const key = reader.raw(reader.u8());
    const kind = reader.u8();
    const value = reader.raw(reader.u32());
    if (problem !== undefined) continue;
    if (pairs.length === limits.maxMetadataEntries) {
      problem = {
        code: "resource_exhausted",
        message:
          `Cannot take more than ${limits.maxMetadataEntries} pairs of metadata: that is the receiver's limit (limits.maxMetadataEntries)`,
      };
      continue;
    }
    const pair = checkPair(key, kind, value);
    if (pair === undefined) {
      problem = {
        code: "invalid_argument",
        message: `Cannot take metadata pair ${pairs.length}: its key or value is malformed`,
      };
    } else pairs.push(pair);
  }
  reader.end = outerEnd;
  return problem ?? Metadata.received(pairs);
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function checkPair(key: Uint8Array, kind: number, value: Uint8Array): [string, MetadataValue] | undefined {
  try {
    const name = decoder.decode(key);
    if (!isMetadataKey(name)) return undefined;
    if (kind === BYTES) return [name, value.slice()];
    if (kind !== TEXT) return undefined;
    const text = decoder.decode(value);
    return isMetadataText(text) ? [name, text] : undefined;
  } catch {
    return undefined;
  }
}
