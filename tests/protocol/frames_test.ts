/** Tables of what each part of a frame may be, and what happens when it is not. */
import { assert, assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { Metadata } from "../../src/core/metadata.ts";
import { TraceContext } from "../../src/core/trace_context.ts";
import { DEFAULT_LIMITS } from "../../src/core/limits.ts";
import { ByteReader } from "../../src/protocol/byte_reader.ts";
import { ByteWriter } from "../../src/protocol/byte_writer.ts";
import { readCredit } from "../../src/protocol/control.ts";
import { FrameReader } from "../../src/protocol/frame_reader.ts";
import { readHello, SILENT_HELLO, writeHello } from "../../src/protocol/hello.ts";
import { readMetadata, writeMetadata } from "../../src/protocol/metadata_block.ts";
import { OpenHeader, readOpen, writeOpen } from "../../src/protocol/open.ts";
import { clipText, readStatus, Status, writeStatus } from "../../src/protocol/status.ts";
import { GoAwayCode, ProtocolViolation } from "../../src/protocol/violation.ts";

const TRACE = TraceContext.parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=1,b=2")!;

function readerOf(write: (writer: ByteWriter) => void): ByteReader {
  const writer = new ByteWriter(4);
  write(writer);
  return new ByteReader().reset(writer.bytes, 0, writer.length);
}

function throwsCode(code: number, run: () => unknown): void {
  const error = assertThrows(run, ProtocolViolation);
  assertEquals(error.goAwayCode, code, error.message);
}

Deno.test("OPEN keeps every field, alone and all together", () => {
  const fields: [string, (header: OpenHeader) => void][] = [
    ["name", (header) => header.name = "demo.Wörds/count"],
    ["timeoutMs", (header) => header.timeoutMs = 2 ** 31 - 1],
    ["timeoutMs 0", (header) => header.timeoutMs = 0],
    ["codec", (header) => header.codec = "msgpack"],
    ["compression", (header) => header.compression = "gzip"],
    ["attempt", (header) => header.attempt = 3],
    ["hop", (header) => header.hop = 2],
    ["criticality", (header) => header.criticality = "sheddable"],
    ["dedupe", (header) => header.dedupe = new Uint8Array([1, 2, 3])],
    ["routing", (header) => header.routing = "user-ä"],
    ["trace", (header) => header.trace = TRACE],
    ["metadata", (header) => header.metadata = new Metadata({ a: "b" })],
    ["kind", (header) => header.kind = "bidi"],
    ["kind", (header) => header.kind = "clientStream"],
    ["kind", (header) => header.kind = "serverStream"],
    ["kind", (header) => header.kind = "oneway"],
    ["idempotent", (header) => header.idempotent = true],
    ["procedure", (header) => header.procedure = 1023],
  ];
  const all = (header: OpenHeader) => fields.slice(0, 13).forEach(([, set]) => set(header));
  for (const [name, set] of [...fields, ["all", all] as const]) {
    const header = new OpenHeader();
    set(header);
    const reader = readerOf((writer) => (writeOpen(writer, header), writer.utf8("rest")));
    const back = new OpenHeader();
    readOpen(reader, back, DEFAULT_LIMITS);
    assertEquals(back, header, name);
    assertEquals(reader.utf8(reader.left), "rest", name);
  }
});

Deno.test("OPEN without optional fields costs four bytes", () => {
  const writer = new ByteWriter();
  writeOpen(writer, new OpenHeader());
  assertEquals(writer.length, 4);
});

Deno.test("OPEN skips what a later version puts into EXTRA", () => {
  const reader = readerOf((writer) => {
    writer.u16(1 << 13);
    writer.u16(5);
    writer.text16("later");
    writer.utf8("message");
  });
  readOpen(reader, new OpenHeader(), DEFAULT_LIMITS);
  assertEquals(reader.utf8(reader.left), "message");
});

Deno.test("H48 a trace context of an impossible size is dropped, the call goes on", () => {
  for (const size of [0, 24, 538, 65_535]) {
    const reader = readerOf((writer) => {
      writer.u16(1 << 9);
      writer.u16(0);
      writer.u16(size);
      writer.raw(new Uint8Array(size));
      writer.utf8("m");
    });
    const header = new OpenHeader();
    readOpen(reader, header, DEFAULT_LIMITS);
    assertEquals(header.trace, undefined);
    assertEquals(reader.left, 1);
  }
});

Deno.test("H48 a trace context without a trace, or with a state that is no text, loses what cannot be", () => {
  const read = (words: number[], state: number[]) => {
    const header = new OpenHeader();
    const reader = readerOf((writer) => {
      writer.u16(1 << 9);
      writer.u16(0);
      writer.u16(25 + state.length);
      for (const word of words) writer.u32(word);
      writer.u8(1);
      writer.raw(new Uint8Array(state));
      writer.utf8("m");
    });
    readOpen(reader, header, DEFAULT_LIMITS);
    assertEquals(reader.left, 1);
    return header.trace;
  };
  assertEquals(read([0, 0, 0, 0, 1, 1], []), undefined);
  assertEquals(read([1, 1, 1, 1, 0, 0], []), undefined);
  assertEquals(read([0, 0, 0, 1, 0, 1], [97, 61, 0xc0])?.state, "");
  assertEquals(read([0, 0, 0, 1, 0, 1], [97, 61, 49])?.state, "a=1");
});

Deno.test("OPEN with a criticality that nobody assigned is the usual one", () => {
  const header = new OpenHeader();
  readOpen(readerOf((writer) => (writer.u16(1 << 6), writer.u16(0), writer.u8(200))), header, DEFAULT_LIMITS);
  assertEquals(header.criticality, "default");
});

Deno.test("END keeps every field", () => {
  const status = new Status();
  status.code = "aborted";
  status.message = "Nö";
  status.executed = "no";
  status.retryAfterMs = -1;
  status.details = new Uint8Array([9]);
  status.metadata = new Metadata({ a: "1" });
  status.trailers = new Metadata([["b", new Uint8Array([2])], ["b", "3"]]);
  status.load = { inFlight: 3, limit: 256, lagMs: 7 };
  const reader = readerOf((writer) => (writeStatus(writer, status), writer.utf8("rest")));
  const back = new Status();
  readStatus(reader, back, DEFAULT_LIMITS);
  assertEquals(back, status);
  assertEquals(reader.left, 4);
});

Deno.test("H52 a status with a code that nobody assigned is unknown", () => {
  for (const code of [17, 99, 255]) {
    const status = new Status();
    readStatus(new ByteReader().reset(new Uint8Array([code, 0]), 0, 2), status, DEFAULT_LIMITS);
    assertEquals(status.code, "unknown");
  }
});

Deno.test("clipText cuts at a whole character and never exceeds the limit", () => {
  for (const text of ["", "short", "x".repeat(5000), "ä".repeat(5000), "😀".repeat(2000), "€".repeat(341)]) {
    const clipped = clipText(text);
    assert(new TextEncoder().encode(clipped).length <= 1024);
    assert(!clipped.includes("\ufffd") && (clipped === text || clipped.endsWith("…")));
  }
});

Deno.test("HELLO keeps every field, and skips tags that it does not know", () => {
  const hello = {
    ...SILENT_HELLO,
    role: "server" as const,
    instance: "a-1",
    incarnation: Number.MAX_SAFE_INTEGER,
    features: 5,
    codecs: ["json", "bytes"],
    compressions: ["deflate"],
    keepaliveMs: 15_000,
    pingTimeoutMs: 5_000,
    token: "secret",
    zone: "eu-1",
    contracts: new Map([["demo.Words", "00ab12ff"]]),
    observed: "tcp://10.0.0.9:5",
  };
  const writer = new ByteWriter();
  writeHello(writer, hello);
  writer.u8(200);
  writer.u16(3);
  writer.raw(new Uint8Array(3));
  assertEquals(readHello(new ByteReader().reset(writer.bytes, 9, writer.length)), hello);
});

Deno.test("HELLO leaves out the contracts that would make it too large", () => {
  const contracts = new Map(Array.from({ length: 2_000 }, (_, i) => [`a.service.with.a.long.name.S${i}`, "00000001"]));
  const writer = new ByteWriter();
  writeHello(writer, { ...SILENT_HELLO, contracts });
  assert(writer.length <= 16 * 1024 + 9);
  const back = readHello(new ByteReader().reset(writer.bytes, 9, writer.length));
  assert(back.contracts.size > 100 && back.contracts.size < 2_000);
});

Deno.test("H30 versions that do not meet are refused as such", () => {
  for (const [min, max] of [[0, 0], [2, 255], [255, 255], [3, 1]]) {
    throwsCode(GoAwayCode.version, () => readHello(readerOf((w) => [1, 0, 2, min, max].forEach((byte) => w.u8(byte)))));
  }
  assertEquals(readHello(readerOf((w) => [1, 0, 2, 0, 255].forEach((byte) => w.u8(byte)))).maxVersion, 255);
});

Deno.test("HELLO refuses too many fields, names, fields that are too long, and limits of 0", () => {
  const many = readerOf((w) => {
    for (let i = 0; i < 33; i++) (w.u8(200), w.u16(0));
  });
  throwsCode(GoAwayCode.protocol, () => readHello(many));
  const names = readerOf((w) => {
    w.u8(6);
    w.u16(17 * 2);
    for (let i = 0; i < 17; i++) w.text8("j");
  });
  throwsCode(GoAwayCode.protocol, () => readHello(names));
  throwsCode(GoAwayCode.protocol, () => readHello(readerOf((w) => (w.u8(3), w.u16(9), w.utf8("short")))));
  throwsCode(GoAwayCode.protocol, () => readHello(readerOf((w) => (w.u8(8), w.u16(20), w.raw(new Uint8Array(20))))));
  throwsCode(GoAwayCode.flowControl, () => readHello(readerOf((w) => (w.u8(9), w.u16(8), w.u32(2 ** 31), w.u32(1)))));
});

Deno.test("H22 CREDIT of 0 or beyond 2^31 − 1 is a violation", () => {
  for (const bytes of [0, 2 ** 31, 2 ** 32 - 1]) {
    throwsCode(GoAwayCode.flowControl, () => readCredit(readerOf((writer) => writer.u32(bytes))));
  }
  assertEquals(readCredit(readerOf((writer) => writer.u32(2 ** 31 - 1))), 2 ** 31 - 1);
});

Deno.test("H3 a length over the limit is refused on the header alone", () => {
  for (const length of [0xffffff, 1_048_577]) {
    const reader = new FrameReader(1_048_576);
    reader.space().set([length >>> 16, length >>> 8 & 255, length & 255, 3, 0, 0, 0, 0, 1]);
    reader.received(9);
    throwsCode(GoAwayCode.frameTooLarge, () => reader.next());
    assert(reader.bytes.length <= 4096);
  }
});

Deno.test("H45 metadata over a limit, or malformed, is a problem of its call and is passed over", () => {
  const limits = { maxMetadataBytes: 64, maxMetadataEntries: 3 };
  const rows: [string, Metadata | ((writer: ByteWriter) => void), string][] = [
    ["too many bytes", new Metadata({ a: "x".repeat(60) }), "resource_exhausted"],
    ["too many pairs", new Metadata([["a", ""], ["a", ""], ["a", ""], ["a", ""]]), "resource_exhausted"],
    ["an upper-case key", pair("A", 0, "x"), "invalid_argument"],
    ["an empty key", pair("", 0, "x"), "invalid_argument"],
    ["CR and LF", pair("a", 0, "x\r\ny"), "invalid_argument"],
    ["NUL", pair("a", 0, "x\0y"), "invalid_argument"],
    ["an unknown form", pair("a", 2, "x"), "invalid_argument"],
  ];
  for (const [name, what, code] of rows) {
    const reader = readerOf((writer) => {
      if (what instanceof Metadata) writeMetadata(writer, what);
      else what(writer);
      writer.utf8("rest");
    });
    const result = readMetadata(reader, limits);
    assert(!(result instanceof Metadata), name);
    assertEquals(result.code, code, name);
    assertEquals(reader.left, 4, name);
  }
  const invalid = readerOf((w) => (w.u32(8), w.text8("a"), w.u8(0), w.u32(1), w.u8(0xff)));
  assertEquals((readMetadata(invalid, limits) as { code: string }).code, "invalid_argument");
});

Deno.test("metadata whose lengths do not add up is a violation", () => {
  throwsCode(GoAwayCode.protocol, () => readMetadata(readerOf((w) => w.u32(10)), DEFAULT_LIMITS));
  throwsCode(
    GoAwayCode.protocol,
    () => readMetadata(readerOf((w) => (w.u32(3), w.text8("a"), w.u8(0), w.u32(0))), DEFAULT_LIMITS),
  );
});

Deno.test("ByteWriter and ByteReader agree on text of all lengths", () => {
  for (const unit of ["a", "ä", "€", "😀"]) {
    for (const count of [0, 1, 50, 95, 96, 97, 1000]) {
      const text = unit.repeat(count);
      const reader = readerOf((writer) => writer.text16(text));
      assertEquals(reader.text16(), text);
      reader.finish();
    }
  }
});

Deno.test("ByteReader refuses text that is not UTF-8, and reading beyond the end", () => {
  throwsCode(GoAwayCode.protocol, () => readerOf((w) => (w.u8(1), w.u8(0xc0))).text8());
  for (const read of ["u8", "u16", "u32", "u64", "text8", "text16"] as const) {
    throwsCode(
      GoAwayCode.protocol,
      () => readerOf((w) => w.raw(new Uint8Array(read === "u8" ? 0 : 1).fill(9)))[read](),
    );
  }
  const error = assertThrows(() => readerOf((w) => w.u8(1)).finish());
  assertInstanceOf(error, ProtocolViolation);
});

function pair(key: string, form: number, value: string): (writer: ByteWriter) => void {
  return (writer) => {
    const at = writer.length;
    writer.u32(0);
    writer.text8(key);
    writer.u8(form);
    writer.u32(value.length);
    writer.utf8(value);
    writer.patchU32(at, writer.length - at - 4);
  };
}
