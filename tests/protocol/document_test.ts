/** PROTOCOL.md and the code say the same. */
import { assert, assertEquals } from "@std/assert";
import { ByteReader } from "../../src/protocol/byte_reader.ts";
import { ByteWriter } from "../../src/protocol/byte_writer.ts";
import {
  readCredit,
  readGoAway,
  readPing,
  readReset,
  writeCredit,
  writeGoAway,
  writePing,
  writeReset,
} from "../../src/protocol/control.ts";
import { Flag, HEADER_BYTES, Kind } from "../../src/protocol/frame.ts";
import { FrameReader } from "../../src/protocol/frame_reader.ts";
import { readHello, writeHello } from "../../src/protocol/hello.ts";
import { readMetadata, writeMetadata } from "../../src/protocol/metadata_block.ts";
import { Metadata } from "../../src/core/metadata.ts";
import { DEFAULT_LIMITS } from "../../src/core/limits.ts";
import { OpenHeader, readOpen, writeOpen } from "../../src/protocol/open.ts";
import { readStatus, Status, writeStatus } from "../../src/protocol/status.ts";
import { examples, hexDump } from "./examples.ts";

const text = Deno.readTextFileSync(new URL("../../src/protocol/PROTOCOL.md", import.meta.url));
const dumps = new Map(
  [...text.matchAll(/(?<=\n\n)`([^`]+)`(?:.|\n(?!\n))*\n\n```hex\n([\s\S]*?)\n```/g)].map((
    match,
  ) => [match[1], match[2]]),
);

/** Reads a frame and writes it again from what was understood. */
function again(bytes: Uint8Array): Uint8Array {
  const frames = new FrameReader(2 ** 20);
  frames.space().set(bytes);
  frames.received(bytes.length);
  assert(frames.next());
  const reader = new ByteReader().reset(frames.bytes, frames.payloadAt, frames.payloadEnd);
  const writer = new ByteWriter();
  const { kind, flags, stream } = frames;
  if (kind === Kind.hello) {
    writeHello(writer, readHello(reader));
    return writer.view();
  }
  if (kind === Kind.reset) writeReset(writer, stream, readReset(reader));
  else if (kind === Kind.credit) writeCredit(writer, stream, readCredit(reader));
  else if (kind === Kind.ping) writePing(writer, readPing(reader), (flags & Flag.ack) !== 0);
  else if (kind === Kind.goAway) writeGoAway(writer, readGoAway(reader));
  else {
    const at = writer.beginFrame(kind, flags, stream);
    if (kind === Kind.open) {
      const header = new OpenHeader();
      readOpen(reader, header, DEFAULT_LIMITS);
      writeOpen(writer, header);
    } else if (kind === Kind.end && reader.left > 0) {
      const status = new Status();
      readStatus(reader, status, DEFAULT_LIMITS);
      writeStatus(writer, status);
    } else if ((flags & Flag.head) !== 0) {
      const metadata = readMetadata(reader, DEFAULT_LIMITS);
      assert(metadata instanceof Metadata);
      writeMetadata(writer, metadata);
    }
    writer.raw(reader.raw(reader.left));
    writer.endFrame(at);
  }
  return writer.view();
}

Deno.test("PROTOCOL.md shows each example, and no other", () => {
  assertEquals([...dumps.keys()], [...examples.keys()]);
});

for (const [name, bytes] of examples) {
  Deno.test(`PROTOCOL.md, "${name}": the dump is what the code writes`, () => {
    assertEquals(dumps.get(name), hexDump(bytes));
  });
  if (name === "preface") continue;
  Deno.test(`PROTOCOL.md, "${name}": decodes, and encodes to the same bytes`, () => {
    const shown = new Uint8Array(dumps.get(name)!.split(/\s+/).map((pair) => parseInt(pair, 16)));
    assertEquals(hexDump(again(shown)), hexDump(shown));
  });
}

Deno.test("PROTOCOL.md: every heading that is linked to is there", () => {
  const anchors = [...text.matchAll(/^#+ (.*)$/gm)].map((match) =>
    match[1].toLowerCase().replace(/[^\w\s-]/g, "").replace(/\s/g, "-")
  );
  for (const [, anchor] of text.matchAll(/\]\(#([^)]+)\)/g)) assert(anchors.includes(anchor), anchor);
});

Deno.test("H7 FrameReader finds the same frames however the bytes are cut", () => {
  const all = [...examples.values()].slice(1);
  const stream = new Uint8Array(all.reduce((size, bytes) => size + bytes.length, 0));
  let at = 0;
  for (const bytes of all) {
    stream.set(bytes, at);
    at += bytes.length;
  }
  const log = (step: (left: number) => number) => {
    const reader = new FrameReader(2 ** 20);
    const seen: string[] = [];
    for (let at = 0; at < stream.length;) {
      const space = reader.space();
      const count = Math.min(step(stream.length - at), space.length);
      space.set(stream.subarray(at, at + count));
      reader.received(count);
      at += count;
      while (reader.next()) {
        const payload = reader.bytes.slice(reader.payloadAt, reader.payloadEnd);
        seen.push(`${reader.kind} ${reader.flags} ${reader.stream} ${hexDump(payload)}`);
      }
    }
    return seen;
  };
  const whole = log((left) => left);
  assertEquals(whole.length, all.length);
  for (let split = 1; split < stream.length; split++) {
    let first = true;
    assertEquals(log((left) => first ? (first = false, split) : left), whole, `split at ${split}`);
  }
  assertEquals(log(() => 1), whole);
});

Deno.test("FrameReader holds memory for what was received, not for what a length promises", () => {
  const reader = new FrameReader(2 ** 24 - 1);
  const space = reader.space();
  space.set([0xff, 0xff, 0xff, 3, 0, 0, 0, 0, 1]);
  reader.received(HEADER_BYTES);
  assertEquals(reader.next(), false);
  for (let i = 0; i < 10_000; i++) reader.received(Math.min(1, reader.space().length));
  assert(reader.bytes.length <= 32 * 1024, `${reader.bytes.length}`);
});
