/** The header of a call (PROTOCOL §4). */
import type { Criticality } from "../core/criticality.ts";
import { Metadata } from "../core/metadata.ts";
import type { MethodKind } from "../core/service.ts";
import { TraceContext } from "../core/trace_context.ts";
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

/** The names of criticality by their number; others are `default`. */
const CRITICALITIES: readonly Criticality[] = ["default", "sheddable", "critical"];

/** How many procedures a connection gives a number in one direction. */
export const MAX_PROCEDURES = 1024;
/** The number of a procedure that is spelled and not remembered. */
export const UNNUMBERED = 0xffff;
/** The sizes of a trace context: 16 bytes of trace id, 8 of span id, 1 of flags, then the trace state. */
const TRACE_BYTES = { min: 25, max: 25 + 512 };

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
  timeoutMs: number = -1;
  /** Name of the codec, unless it is the first of the initiator's HELLO. */
  codec: string | undefined;
  /** Name of the compression, unless there is none. */
  compression: string | undefined;
  /** How many attempts came before this one, those of the calls that led to it included. */
  attempt = 0;
  /** How many calls led to this one. */
  hop = 0;
  /** How much it matters. */
  criticality: Criticality = "default";
  /** The key under which its result may be stored. */
  dedupe: Uint8Array | undefined;
  /** What consistent hashing went by. */
  routing: string | undefined;
  /** The trace context. */
  trace: TraceContext | undefined;
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
    this.attempt = this.hop = 0;
    this.criticality = "default";
    this.dedupe = undefined;
    this.routing = undefined;
    this.trace = undefined;
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
  if (header.criticality !== "default") {
    fields |= OpenField.criticality;
    writer.u8(CRITICALITIES.indexOf(header.criticality));
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
    writeTrace(writer, header.trace);
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
  if ((fields & OpenField.criticality) !== 0) header.criticality = CRITICALITIES[reader.u8()] ?? "default";
  if ((fields & OpenField.dedupe) !== 0) header.dedupe = readKey(reader);
  if ((fields & OpenField.routing) !== 0) header.routing = reader.text16();
  if ((fields & OpenField.trace) !== 0) header.trace = readTrace(reader);
  if ((fields & OpenField.metadata) !== 0) {
    const metadata = readMetadata(reader, limits);
    if (metadata instanceof Metadata) header.metadata = metadata;
    else header.problem = metadata;
  }
  if ((fields & OpenField.extra) !== 0) reader.skip(reader.u16());
}

/** No key at all is what an empty one is. */
function readKey(reader: ByteReader): Uint8Array | undefined {
  const length = reader.u8();
  return length === 0 ? undefined : reader.copy(length);
}

function writeTrace(writer: ByteWriter, { words, flags, state }: TraceContext): void {
  writer.u16(TRACE_BYTES.min + state.length); // the state is ASCII
  for (const word of words) writer.u32(word);
  writer.u8(flags);
  writer.utf8(state);
}

/** A trace context that cannot be one is dropped; the call goes on. */
function readTrace(reader: ByteReader): TraceContext | undefined {
  const length = reader.u16();
  if (length < TRACE_BYTES.min || length > TRACE_BYTES.max) {
    reader.skip(length);
    return undefined;
  }
  const words = [reader.u32(), reader.u32(), reader.u32(), reader.u32(), reader.u32(), reader.u32()];
  const flags = reader.u8();
  let state = "";
  for (let left = length - TRACE_BYTES.min; left > 0; left--) state += String.fromCharCode(reader.u8());
  return TraceContext.received(words, flags, state);
}
