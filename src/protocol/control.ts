/** The small frames: RESET, CREDIT, PING and GOAWAY (PROTOCOL §8, §9). */
import { type Code, codeName, codeNumber } from "../core/code.ts";
import type { ByteReader } from "./byte_reader.ts";
import type { ByteWriter } from "./byte_writer.ts";
import { Flag, Kind } from "./frame.ts";
import { clipText } from "./status.ts";
import { GoAwayCode, ProtocolViolation } from "./violation.ts";

/** Why a stream is reset: the number of a code, or this: it was not taken and may be sent elsewhere. */
export const RESET_REFUSED = 0;

/** Writes a RESET. `undefined` says that the call was refused. */
export function writeReset(writer: ByteWriter, stream: number, code: Code | undefined): void {
  const at = writer.beginFrame(Kind.reset, 0, stream);
  writer.u8(code === undefined ? RESET_REFUSED : codeNumber(code));
  writer.endFrame(at);
}

/** Reads a RESET: the code, or `undefined` for a call that was refused. */
export function readReset(reader: ByteReader): Code | undefined {
  const number = reader.u8();
  reader.finish();
  return number === RESET_REFUSED ? undefined : codeName(number);
}

/** Writes a CREDIT; stream 0 is the connection. */
export function writeCredit(writer: ByteWriter, stream: number, bytes: number): void {
  const at = writer.beginFrame(Kind.credit, 0, stream);
  writer.u32(bytes);
  writer.endFrame(at);
}

/** Reads a CREDIT. */
export function readCredit(reader: ByteReader): number {
  const bytes = reader.u32();
  reader.finish();
  if (bytes === 0 || bytes > 2 ** 31 - 1) {
    throw new ProtocolViolation(
      GoAwayCode.flowControl,
      `Cannot take credit of ${bytes} bytes: it must be 1 to 2^31 − 1`,
    );
  }
  return bytes;
}

/** Writes a PING, or with `ack` the answer to one, which repeats its number. */
export function writePing(writer: ByteWriter, number: number, ack: boolean): void {
  const at = writer.beginFrame(Kind.ping, ack ? Flag.ack : 0, 0);
  writer.u64(number);
  writer.endFrame(at);
}

/** Reads a PING. */
export function readPing(reader: ByteReader): number {
  const number = reader.u64();
  reader.finish();
  return number;
}

/** What GOAWAY says. */
export interface GoAway {
  /** The last of the receiver's streams that the sender takes; 2^31 − 1 announces that a lower one will follow. */
  readonly lastStream: number;
  /** One of `GoAwayCode`. */
  readonly code: number;
  /** For people. */
  readonly message: string;
}

/** Writes a GOAWAY. */
export function writeGoAway(writer: ByteWriter, goAway: GoAway): void {
  const at = writer.beginFrame(Kind.goAway, 0, 0);
  writer.u32(goAway.lastStream);
  writer.u8(goAway.code);
  writer.text16(clipText(goAway.message));
  writer.endFrame(at);
}

/** Reads a GOAWAY. */
export function readGoAway(reader: ByteReader): GoAway {
  const goAway = { lastStream: reader.u32(), code: reader.u8(), message: reader.text16() };
  reader.finish();
  return goAway;
}
