import { assertEquals, assertThrows } from "@std/assert";
// deno-lint-ignore no-import-prefix -- nothing else needs it
import suite from "npm:msgpack-test-suite@1/dist/msgpack-test-suite.json" with { type: "json" };
import { msgpack } from "../../src/msgpack/msgpack.ts";

/** Bytes from hexadecimal digits parted by dashes. */
function hex(text: string): Uint8Array {
  return new Uint8Array((text.match(/[0-9a-f]{2}/g) ?? []).map((digits) => parseInt(digits, 16)));
}

/** What a group of the suite means by the encoding that begins with `head`. */
function meaning(group: Record<string, unknown>, head: number): unknown {
  if ("binary" in group) return hex(group.binary as string);
  const number = group.bignum ?? group.number;
  // int 64 and uint 64 always are a bigint.
  if (number !== undefined) return head === 0xcf || head === 0xd3 ? BigInt(number as string) : Number(number);
  const [kind] = Object.keys(group).filter((key) => key !== "msgpack");
  return group[kind];
}

Deno.test("H36 msgpack, decodes every encoding of the public test suite, and refuses extensions as documented", () => {
  const codec = msgpack();
  let [groups, decoded, refused] = [0, 0, 0];
  for (const [file, list] of Object.entries(suite as Record<string, Record<string, unknown>[]>)) {
    for (const group of list) {
      groups++;
      for (const text of group.msgpack as string[]) {
        const bytes = hex(text);
        if ("timestamp" in group || "ext" in group) {
          assertThrows(() => codec.decode(bytes), SyntaxError, "an extension type, which is not supported", text);
          refused++;
          continue;
        }
        const value = meaning(group, bytes[0]);
        assertEquals(codec.decode(bytes), value, `${file}: ${text}`);
        assertEquals(codec.decode(codec.encode(value) as Uint8Array), value, `${file}: ${text}, there and back`);
        decoded++;
      }
    }
  }
  // None of it was passed over.
  assertEquals({ groups, decoded, refused }, { groups: 85, decoded: 203, refused: 30 });
});
