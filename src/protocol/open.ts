/** The header of a call (PROTOCOL §4). */
import { Metadata } from "../core/metadata.ts";
import type { MethodKind } from "../core/service.ts";
import type { ByteReader } from "./byte_reader.ts";
import type { ByteWriter } from "./byte_writer.ts";
import { type MetadataLimits, type MetadataProblem, readMetadata, writeMetadata } from "./metadata_block.ts";
import { GoAwayCode, ProtocolViolation } from "./violation.ts";

/** Bits of the fields word; fields follow in the order of their bits (PROTOCOL §4.1). */
export const OpenField = {
  name: 1 << 0,
  timeout: 1 << 1,
  codec: 1 << 2,
  compression: 1 << 3,
  attempt: 1 << 4,
  hop: 1 << 5,
  criticality: 1 << 6,
  dedupe: 1 << 7,
  routing: 1 << 8,
  trace: 1 << 9,
  metadata: 1 << 10,
  /** Two bits: 0 unary, 1 server stream, 2 client stream, 3 bidi. */
  kind: 3 << 11,
  extra: 1 << 13,
  oneway: 1 << 14,
  idempotent: 1 << 15,
} as const;

const KIND_SHIFT = 11;
const KINDS: readonly MethodKind[] = ["unary", "serverStream", "clientStream", "bidi"];
const KIND_BITS: ReadonlyMap<MethodKind, number> = new Map([
  ["unary", 0],
  ["serverStream", 1 << KIND_SHIFT],
  ["clientStream", 2 << KIND_SHIFT],
  ["bidi", 3 << KIND_SHIFT],
  ["oneway", OpenField.oneway],
]);

/** How many procedures a connection gives a number in one direction. */
export const MAX_PROCEDURES = 1024;
/** The number of a procedure that is spelled and not remembered. */
export const UNNUMBERED = 0xffff;
/** The sizes of a trace context: 16 bytes of trace id, 8 of span id, 1 of flags, then the trace state. */
export const TRACE_BYTES: { readonly min: number; readonly max: number } = { min: 25, max: 25 + 512 };

/** What a call says before its message. Absent fields cost no byte. One object serves a whole connection. */
export class OpenHeader {
  /** The number that the procedure has on this connection. */
  procedure = 0;
  /** The procedure's full name, when it is spelled. */
  name: string | undefined;
  /** Which sides stream. */
  kind: MethodKind = "unary";
  /** Whether running it twice does no harm. */
  idempotent = false;
  /** How many milliseconds are left, or −1 without a deadline. */
  timeoutMs = -1;
  /** Name of the codec, unless it is the first of the initiator's HELLO. */
  codec: string | undefined;
  /** Name of the compression, unless there is none. */
  compression: string | undefined;
  /** Which attempt this is; the first is 0. */
  attempt = 0;
  /** How many calls led to this one. */
  hop = 0;
  /** How much it matters: 0 usual, 1 sheddable, 2 critical. */
  criticality = 0;
  /** The key under which its result may be stored. */
  dedupe: Uint8Array | undefined;
  /** What consistent hashing went by. */
  routing: string | undefined;
  /** The trace context. */
  trace: Uint8Array | undefined;
  /** What goes with the request. */
  metadata: Metadata | undefined;
  /** Why the metadata was not taken. */
  problem: MetadataProblem | undefined;

  /** Makes every field absent. */
  reset(): this {
    this.procedure = 0;
    this.name = undefined;
    this.kind = "unary";
    this.idempotent = false;
    this.timeoutMs = -1;
    this.codec = this.compression = undefined;
    this.attempt = this.hop = this.criticality = 0;
    this.dedupe = this.trace = undefined;
    this.routing = undefined;
    this.metadata = undefined;
    this.problem = undefined;
    return this;
  }
}

/** Writes the header of a call. */
export function writeOpen(writer: ByteWriter, header: OpenHeader): void {
  const at = writer.length;
  let fields = KIND_BITS.get(header.kind) ?? 0;
  if (header.idempotent) fields |= OpenField.idempotent;
  writer.u16(0); // the fields, known at the end
  writer.u16(header.procedure);
  if (header.name !== undefined) {
    fields |= OpenField.name;
    writer.text16(header.name);
  }
  if (header.timeoutMs >= 0) {
    fields |= OpenField.timeout;
    writer.u32(header.timeoutMs);
  }
  if (header.codec !== undefined) {
    fields |= OpenField.codec;
    writer.text8(header.codec);
  }
  if (header.compression !== undefined) {
    fields |= OpenField.compression;
    writer.text8(header.compression);
  }
  if (header.attempt !== 0) {
    fields |= OpenField.attempt;
    writer.u8(Math.min(255, header.attempt));
  }
  if (header.hop !== 0) {
    fields |= OpenField.hop;
    writer.u8(Math.min(255, header.hop));
  }
  if (header.criticality !== 0) {
    fields |= OpenField.criticality;
    writer.u8(header.criticality);
  }
  if (header.dedupe !== undefined) {
    fields |= OpenField.dedupe;
    writer.u8(header.dedupe.length);
    writer.raw(header.dedupe);
  }
  if (header.routing !== undefined) {
    fields |= OpenField.routing;
    writer.text16(header.routing);
  }
  if (header.trace !== undefined) {
    fields |= OpenField.trace;
    writer.u16(header.trace.length);
    writer.raw(header.trace);
  }
  if (header.metadata !== undefined) {
    fields |= OpenField.metadata;
    writeMetadata(writer, header.metadata);
  }
  writer.patchU16(at, fields);
}

/** Reads the header of a call into `header` and leaves the reader at the first byte of the message. */
export function readOpen(reader: ByteReader, header: OpenHeader, limits: MetadataLimits): void {
  header.reset();
  const fields = reader.u16();
  header.procedure = reader.u16();
  header.kind = KINDS[(fields & OpenField.kind) >> KIND_SHIFT];
  header.idempotent = (fields & OpenField.idempotent) !== 0;
  if ((fields & OpenField.oneway) !== 0) {
    if (header.kind !== "unary") {
      throw new ProtocolViolation(GoAwayCode.protocol, "Cannot open a stream that is one-way");
    }
    header.kind = "oneway";
  }
  if (
    (fields & OpenField.timeout) !== 0 && (fields & ~(OpenField.timeout | OpenField.kind | OpenField.idempotent)) === 0
  ) {
    header.timeoutMs = reader.u32();
    return;
  }
  if ((fields & OpenField.name) !== 0) header.name = reader.text16();
  if ((fields & OpenField.timeout) !== 0) header.timeoutMs = reader.u32();
  if ((fields & OpenField.codec) !== 0) header.codec = reader.text8();
  if ((fields & OpenField.compression) !== 0) header.compression = reader.text8();
  if ((fields & OpenField.attempt) !== 0) header.attempt = reader.u8();
  if ((fields & OpenField.hop) !== 0) header.hop = reader.u8();
  if ((fields & OpenField.criticality) !== 0) header.criticality = reader.u8();
  if ((fields & OpenField.dedupe) !== 0) header.dedupe = reader.copy(reader.u8());
  if ((fields & OpenField.routing) !== 0) header.routing = reader.text16();
  if ((fields & OpenField.trace) !== 0) header.trace = readTrace(reader);
  if ((fields & OpenField.metadata) !== 0) {
    const metadata = readMetadata(reader, limits);
    if (metadata instanceof Metadata) header.metadata = metadata;
    else header.problem = metadata;
  }
  if ((fields & OpenField.extra) !== 0) reader.skip(reader.u16());
}

/** A trace context of a size that cannot be one is dropped; the call goes on. */
function readTrace(reader: ByteReader): Uint8Array | undefined {
  const length = reader.u16();
  if (length >= TRACE_BYTES.min && length <= TRACE_BYTES.max) return reader.copy(length);
  reader.skip(length);
  return undefined;
}
