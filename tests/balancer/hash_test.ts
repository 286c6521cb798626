import { assertEquals } from "@std/assert";
import { murmur3, murmur3Pair } from "../../src/balancer/hash.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";

Deno.test("murmur3, published vectors of texts, same hashes", () => {
  const vectors: [string, number, number][] = [
    ["", 0, 0],
    ["", 1, 0x514e28b7],
    ["", 0xffffffff, 0x81f16f39],
    ["\0\0\0\0", 0, 0x2362f9de],
    ["\0\0\0", 0, 0x85f0b427],
    ["\0\0", 0, 0x30f4c306],
    ["\0", 0, 0x514e28b7],
    ["aaaa", 0x9747b28c, 0x5a97808a],
    ["aaa", 0x9747b28c, 0x283e0130],
    ["aa", 0x9747b28c, 0x5d211726],
    ["a", 0x9747b28c, 0x7fa09ea6],
    ["abcd", 0x9747b28c, 0xf0478627],
    ["abc", 0x9747b28c, 0xc84a62dd],
    ["ab", 0x9747b28c, 0x74875592],
    ["Hello, world!", 0x9747b28c, 0x24884cba],
    ["ππππππππ", 0x9747b28c, 0xd58063c1],
    ["abc", 0, 0xb3dd93fa],
    ["abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 0, 0xee925b90],
    ["The quick brown fox jumps over the lazy dog", 0x9747b28c, 0x2fa826cd],
  ];
  for (const [text, seed, expected] of vectors) {
    assertEquals(murmur3(text, seed), expected, `${JSON.stringify(text)} with seed ${seed}`);
  }
});

Deno.test("murmur3, texts of every length and script, same as the hash of the bytes of TextEncoder", () => {
  const seed = 20_240_601;
  const random = seededRandom(seed);
  const alphabet = ["a", "ß", "漢", "🍺", "\ud800", "\udfff", "\u07ff", "\u0800", "\uffff", "\u{10ffff}"];
  for (let round = 0; round < 2_000; round++) {
    let text = "";
    while (text.length < round % 40) text += alphabet[random.u32() % alphabet.length];
    const start = random.u32();
    const expected = reference(new TextEncoder().encode(text), start);
    assertEquals(murmur3(text, start), expected, `${JSON.stringify(text)} in round ${round} of seed ${seed}`);
  }
});

Deno.test("murmur3Pair, two numbers, same as the hash of their eight bytes", () => {
  for (const [first, second, seed] of [[0, 0, 0], [1, 2, 3], [0x87654321, 0xffffffff, 0x9747b28c], [127, 2 ** 31, 1]]) {
    const bytes = new Uint8Array(new Uint32Array([first, second]).buffer);
    assertEquals(murmur3Pair(first, second, seed), reference(bytes, seed));
  }
});

/** The same algorithm over bytes, written as its author wrote it, with big integers for the arithmetic. */
function reference(bytes: Uint8Array, seed: number): number {
  const wrap = (value: bigint) => BigInt.asUintN(32, value);
  const rotate = (value: bigint, by: bigint) => wrap((value << by) | (value >> (32n - by)));
  const scramble = (k: bigint) => wrap(rotate(wrap(k * 0xcc9e2d51n), 15n) * 0x1b873593n);
  let h = BigInt(seed);
  const whole = bytes.length - (bytes.length % 4);
  const read = (at: number, count: number) => {
    let k = 0n;
    for (let i = count - 1; i >= 0; i--) k = (k << 8n) | BigInt(bytes[at + i]);
    return k;
  };
  for (let at = 0; at < whole; at += 4) h = wrap(rotate(h ^ scramble(read(at, 4)), 13n) * 5n + 0xe6546b64n);
  if (whole < bytes.length) h ^= scramble(read(whole, bytes.length - whole));
  h ^= BigInt(bytes.length);
  h = wrap((h ^ (h >> 16n)) * 0x85ebca6bn);
  h = wrap((h ^ (h >> 13n)) * 0xc2b2ae35n);
  return Number(h ^ (h >> 16n));
}
