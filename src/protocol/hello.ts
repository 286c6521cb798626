/** What both sides say first (PROTOCOL §2.2). */
import type { ByteReader } from "./byte_reader.ts";
import type { ByteWriter } from "./byte_writer.ts";
import { DEFAULT_LIMITS } from "../core/limits.ts";
import { Kind, MAX_HELLO_BYTES, VERSION } from "./frame.ts";
import { GoAwayCode, ProtocolViolation } from "./violation.ts";

/** Tags of the fields (PROTOCOL §2.2). A receiver skips what it does not know. */
export const HelloField = {
  versions: 1,
  role: 2,
  instance: 3,
  incarnation: 4,
  features: 5,
  codecs: 6,
  compressions: 7,
  limits: 8,
  credit: 9,
  keepalive: 10,
  token: 11,
  zone: 12,
  contracts: 13,
  observed: 14,
} as const;

/** Bits of `features` (PROTOCOL §2.2). */
export const Feature = {
  /** Every frame behind the HELLO ends with a checksum. The side that dials asks, the other one says the same. */
  checksums: 1,
} as const;

const MAX_FIELDS = 32;
const MAX_NAMES = 16;

/** What one side tells the other about itself. */
export interface Hello {
  /** The lowest version that it speaks. */
  minVersion: number;
  /** The highest version that it speaks. */
  maxVersion: number;
  /** Whether it dialled or was dialled. */
  role: "client" | "server";
  /** Its instance id, or an empty text. */
  instance: string;
  /** The incarnation of the instance. */
  incarnation: number;
  /** Bits of what it can do beyond version one. */
  features: number;
  /** Names of its codecs; the first is that of calls which name none. */
  codecs: readonly string[];
  /** Names of its compressions. */
  compressions: readonly string[];
  /** The largest frame payload that it takes. */
  maxFrameBytes: number;
  /** The largest message that it takes. */
  maxMessageBytes: number;
  /** The largest block of metadata that it takes. */
  maxMetadataBytes: number;
  /** The most pairs in a block of metadata that it takes. */
  maxMetadataEntries: number;
  /** The most calls that it lets the other side have running. */
  maxStreams: number;
  /** The credit that each stream begins with. */
  streamWindowBytes: number;
  /** The credit that the connection begins with. */
  connectionWindowBytes: number;
  /** How long the other side may be silent with calls before it should ping; only a server's counts. 0: it says nothing. */
  keepaliveMs: number;
  /** How long an answer to a ping may take; only a server's counts. 0: it says nothing. */
  pingTimeoutMs: number;
  /** What it proves its identity with, or an empty text. */
  token: string;
  /** Its zone, or an empty text. */
  zone: string;
  /** Names and fingerprints of its contracts, as many as fit. */
  contracts: ReadonlyMap<string, string>;
  /** The endpoint that it sees the other side at, or an empty text. */
  observed: string;
}

/** What holds for a side that says nothing. */
export const SILENT_HELLO: Readonly<Hello> = Object.freeze({
  minVersion: VERSION,
  maxVersion: VERSION,
  role: "client",
  instance: "",
  incarnation: 0,
  features: 0,
  codecs: [],
  compressions: [],
  maxFrameBytes: MAX_HELLO_BYTES,
  maxMessageBytes: DEFAULT_LIMITS.maxMessageBytes,
  maxMetadataBytes: DEFAULT_LIMITS.maxMetadataBytes,
  maxMetadataEntries: DEFAULT_LIMITS.maxMetadataEntries,
  maxStreams: DEFAULT_LIMITS.maxStreams,
  streamWindowBytes: MAX_HELLO_BYTES,
  connectionWindowBytes: MAX_HELLO_BYTES,
  keepaliveMs: 0,
  pingTimeoutMs: 0,
  token: "",
  zone: "",
  contracts: new Map(),
  observed: "",
});

/** Writes a HELLO. Contracts that would make it too large are left out. */
export function writeHello(writer: ByteWriter, hello: Hello): void {
  const frame = writer.beginFrame(Kind.hello, 0, 0);
  const field = (tag: number, write: () => void) => {
    writer.u8(tag);
    const at = writer.length;
    writer.u16(0);
    write();
    writer.patchU16(at, writer.length - at - 2);
  };
  const text = (tag: number, value: string) => {
    if (value !== "") field(tag, () => writer.utf8(value));
  };
  const names = (tag: number, list: readonly string[]) => {
    if (list.length > 0) field(tag, () => list.forEach((name) => writer.text8(name)));
  };
  field(HelloField.versions, () => {
    writer.u8(hello.minVersion);
    writer.u8(hello.maxVersion);
  });
  field(HelloField.role, () => writer.u8(hello.role === "client" ? 1 : 2));
  text(HelloField.instance, hello.instance);
  if (hello.incarnation !== 0) field(HelloField.incarnation, () => writer.u64(hello.incarnation));
  if (hello.features !== 0) field(HelloField.features, () => writer.u32(hello.features));
  names(HelloField.codecs, hello.codecs);
  names(HelloField.compressions, hello.compressions);
  field(HelloField.limits, () => {
    writer.u32(hello.maxFrameBytes);
    writer.u32(hello.maxMessageBytes);
    writer.u32(hello.maxMetadataBytes);
    writer.u32(hello.maxMetadataEntries);
    writer.u32(hello.maxStreams);
  });
  field(HelloField.credit, () => {
    writer.u32(hello.streamWindowBytes);
    writer.u32(hello.connectionWindowBytes);
  });
  if (hello.keepaliveMs !== 0) {
    field(HelloField.keepalive, () => {
      writer.u32(hello.keepaliveMs);
      writer.u32(hello.pingTimeoutMs);
    });
  }
  text(HelloField.token, hello.token);
  text(HelloField.zone, hello.zone);
  text(HelloField.observed, hello.observed);
  if (hello.contracts.size > 0) {
    field(HelloField.contracts, () => {
      for (const [name, fingerprint] of hello.contracts) {
        if (writer.length - frame + name.length * 3 + 8 > MAX_HELLO_BYTES) break;
        writer.text8(name);
        writer.u32(parseInt(fingerprint, 16));
      }
    });
  }
  writer.endFrame(frame);
}

/** Reads the payload of a HELLO. @throws {ProtocolViolation} on bad form, and on versions that do not meet */
export function readHello(reader: ByteReader): Hello {
  const hello: Hello = { ...SILENT_HELLO };
  const end = reader.end;
  for (let fields = 0; reader.at < end; fields++) {
    if (fields === MAX_FIELDS) throw violation(`it has more than ${MAX_FIELDS} fields`);
    const tag = reader.u8();
    const length = reader.u16();
    if (length > end - reader.at) throw violation(`field ${tag} is longer than the frame`);
    reader.end = reader.at + length;
    readField(reader, tag, hello);
    reader.finish();
    reader.end = end;
  }
  if (hello.minVersion > hello.maxVersion || hello.minVersion > VERSION || hello.maxVersion < VERSION) {
    throw new ProtocolViolation(
      GoAwayCode.version,
      `Cannot speak with a peer of versions ${hello.minVersion} to ${hello.maxVersion}: this side speaks ${VERSION}`,
    );
  }
  return hello;
}

function readField(reader: ByteReader, tag: number, hello: Hello): void {
  switch (tag) {
    case HelloField.versions:
      hello.minVersion = reader.u8();
      hello.maxVersion = reader.u8();
      break;
    case HelloField.role:
      hello.role = reader.u8() === 1 ? "client" : "server";
      break;
    case HelloField.instance:
      hello.instance = reader.utf8(reader.left);
      break;
    case HelloField.incarnation:
      hello.incarnation = reader.u64();
      break;
    case HelloField.features:
      hello.features = reader.u32();
      break;
    case HelloField.codecs:
      hello.codecs = readNames(reader);
      break;
    case HelloField.compressions:
      hello.compressions = readNames(reader);
      break;
    case HelloField.limits:
      hello.maxFrameBytes = positive(reader.u32());
      hello.maxMessageBytes = positive(reader.u32());
      hello.maxMetadataBytes = reader.u32();
      hello.maxMetadataEntries = reader.u32();
      hello.maxStreams = positive(reader.u32());
      break;
    case HelloField.credit:
      hello.streamWindowBytes = credit(reader.u32());
      hello.connectionWindowBytes = credit(reader.u32());
      break;
    case HelloField.keepalive:
      hello.keepaliveMs = reader.u32();
      hello.pingTimeoutMs = reader.u32();
      break;
    case HelloField.token:
      hello.token = reader.utf8(reader.left);
      break;
    case HelloField.zone:
      hello.zone = reader.utf8(reader.left);
      break;
    case HelloField.observed:
      hello.observed = reader.utf8(reader.left);
      break;
    case HelloField.contracts:
      hello.contracts = readContracts(reader);
      break;
    default:
      reader.skip(reader.left);
  }
}

function readNames(reader: ByteReader): string[] {
  const names: string[] = [];
  while (reader.left > 0) {
    if (names.length === MAX_NAMES) throw violation(`it lists more than ${MAX_NAMES} names`);
    names.push(reader.text8());
  }
  return names;
}

function readContracts(reader: ByteReader): Map<string, string> {
  const contracts = new Map<string, string>();
  while (reader.left > 0) contracts.set(reader.text8(), reader.u32().toString(16).padStart(8, "0"));
  return contracts;
}

function positive(value: number): number {
  if (value === 0) throw violation("a limit is 0");
  return value;
}

function credit(value: number): number {
  if (value > 2 ** 31 - 1) {
    throw new ProtocolViolation(GoAwayCode.flowControl, `Cannot take a HELLO: its credit is ${value}`);
  }
  return value;
}

function violation(what: string): ProtocolViolation {
  return new ProtocolViolation(GoAwayCode.protocol, `Cannot take a HELLO: ${what}`);
}
