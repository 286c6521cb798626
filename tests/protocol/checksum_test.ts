import { assertEquals, assertThrows } from "@std/assert";
import { ByteWriter } from "../../src/protocol/byte_writer.ts";
import { checksum } from "../../src/protocol/checksum.ts";
import { Kind } from "../../src/protocol/frame.ts";
import { FrameReader } from "../../src/protocol/frame_reader.ts";
import { ProtocolViolation } from "../../src/protocol/violation.ts";

Deno.test("checksum is CRC-32C: the examples of RFC 3720 §B.4", () => {
  const of = (bytes: Iterable<number>) => {
    const all = Uint8Array.from(bytes);
    return checksum(all, 0, all.length);
  };
  const counting = Array.from({ length: 32 }, (_, i) => i);
  assertEquals(of(new Uint8Array(32)), 0x8a9136aa);
  assertEquals(of(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
  assertEquals(of(counting), 0x46dd794e);
  assertEquals(of(counting.toReversed()), 0x113fdb5c);
  assertEquals(of(new TextEncoder().encode("123456789")), 0xe3069283);
});

Deno.test("X36 a frame with a checksum is read without it, and not at all when any bit of it was changed", () => {
  const writer = new ByteWriter(16, true);
  const at = writer.beginFrame(Kind.data, 0, 7);
  writer.utf8("what is carried");
  writer.endFrame(at);
  const sent = writer.view();
  const read = (bytes: Uint8Array): string | undefined => {
    const reader = new FrameReader(15);
    reader.checksums = true;
    reader.space().set(bytes);
    reader.received(bytes.length);
    if (!reader.next()) return undefined;
    return new TextDecoder().decode(reader.bytes.subarray(reader.payloadAt, reader.payloadEnd));
  };
  assertEquals(read(sent), "what is carried");
  for (let bit = 0; bit < sent.length * 8; bit++) {
    const changed = sent.slice();
    changed[bit >> 3] ^= 1 << (bit & 7);
    // One that says it is longer is over the limit.
    const longer = bit < 24 && changed[2] + changed[1] * 256 + changed[0] * 65536 > 19;
    if (longer) assertThrows(() => read(changed), ProtocolViolation, "limit");
    else assertThrows(() => read(changed), ProtocolViolation, "checksum");
  }
  assertThrows(() => read(new Uint8Array(9).fill(0).with(3, Kind.ping)), ProtocolViolation, "checksum");
});
