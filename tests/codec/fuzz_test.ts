/**
 * Feeds each codec what is nearly a message, and what is nothing like one.
 *
 * `ERPC_SEED` repeats a run, `ERPC_FUZZ_MS` makes it longer.
 */
import { assert, assertEquals } from "@std/assert";
import { bytes } from "../../src/codec/bytes.ts";
import { json } from "../../src/codec/json.ts";
import type { Codec } from "../../src/core/codec.ts";
import { msgpack } from "../../src/msgpack/msgpack.ts";

const SEED = Number(Deno.env.get("ERPC_SEED") ?? crypto.getRandomValues(new Uint32Array(1))[0]) >>> 0;
const FUZZ_MS = Number(Deno.env.get("ERPC_FUZZ_MS") ?? 0);
const INPUTS = 20_000;

type Below = (bound: number) => number;

/** Mulberry32. */
function random(seed: number): Below {
  let state = seed;
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound;
  };
}

const TEXTS = ["", "a", "text", '[{"\\', "é", "漢字", "🍺", "\uFFFD", "\u0000", "constructor", "then", "x".repeat(40)];
const NUMBERS = [0, 1, -1, 31, -33, 127, 128, 255, 256, 65_536, 2 ** 31, 2 ** 32, 2 ** 53, 0.1, -1e-300, 1e300];

function message(below: Below, depth: number, binary: boolean): unknown {
  const list = <T>(make: () => T): T[] => Array.from({ length: below(5) }, make);
  switch (below(depth > 0 ? (binary ? 8 : 6) : 4)) {
    case 0:
      return TEXTS[below(TEXTS.length)];
    case 1:
      return NUMBERS[below(NUMBERS.length)];
    case 2:
      return [null, true, false][below(3)];
    case 3:
      return TEXTS[below(TEXTS.length)] + TEXTS[below(TEXTS.length)].repeat(below(10));
    case 4:
      return list(() => message(below, depth - 1, binary));
    case 5:
      return Object.fromEntries(list(() => [TEXTS[below(TEXTS.length)], message(below, depth - 1, binary)]));
    case 6:
      return Uint8Array.from(list(() => below(256)));
    default:
      return BigInt(NUMBERS[below(12)]) ** 1n;
  }
}

function encoded(codec: Codec, value: unknown): Uint8Array {
  const form = codec.encode(value);
  return typeof form === "string" ? new TextEncoder().encode(form) : form.slice();
}

/** Bytes that mean something to one of the decoders. */
const TELLING = [...'{}[]",:\\eu0-. \n'].map((char) => char.charCodeAt(0)).concat(
  [0x00, 0x80, 0x81, 0x90, 0x91, 0x9f, 0xa0, 0xa9, 0xbf, 0xc0, 0xc1, 0xc4, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcf],
  [0xd3, 0xd4, 0xd8, 0xd9, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xef, 0xbb, 0xed, 0xf4, 0xff],
);

function input(codec: Codec, below: Below, valid: Uint8Array): Uint8Array {
  switch (below(8)) {
    case 0:
      return Uint8Array.from({ length: below(80) }, () => below(256));
    case 1:
      return Uint8Array.from({ length: below(400) }, () => TELLING[below(TELLING.length)]);
    case 2:
      return valid.slice(0, below(valid.length + 1));
    case 3: {
      const other = encoded(codec, codec.name === "bytes" ? valid : TEXTS[below(TEXTS.length)]);
      const at = below(valid.length + 1);
      return new Uint8Array([...valid.subarray(0, at), ...other, ...valid.subarray(at)]);
    }
    case 4: {
      const unit = Uint8Array.from({ length: 1 + below(4) }, () => TELLING[below(TELLING.length)]);
      const deep = new Uint8Array(unit.length * below(2_000));
      for (let i = 0; i < deep.length; i++) deep[i] = unit[i % unit.length];
      return deep;
    }
    case 5:
      return valid;
    default:
      for (let changes = 1 + below(4); changes > 0 && valid.length > 0; changes--) {
        valid[below(valid.length)] = below(2) === 0 ? below(256) : TELLING[below(TELLING.length)];
      }
      return valid;
  }
}

/** What a decoder did: its value, or the error that it refused with. */
function outcome(codec: Codec, message: Uint8Array): { value?: unknown; error?: Error } {
  try {
    return { value: codec.decode(message) };
  } catch (error) {
    assert(error instanceof Error, `it threw ${error}, which is no Error`);
    return { error };
  }
}

function fuzz(codec: Codec, make: (below: Below) => unknown, check: (bytes: Uint8Array) => boolean): void {
  Deno.test(`H33 ${codec.name}, survives whatever arrives`, () => {
    const below = random(SEED);
    const end = performance.now() + FUZZ_MS;
    let [decoded, round] = [0, 0];
    let bytes = new Uint8Array(0);
    try {
      for (; round < INPUTS || performance.now() < end; round++) {
        bytes = Uint8Array.from(input(codec, below, encoded(codec, make(below))));
        const untouched = bytes.slice();
        if (check(bytes)) decoded++;
        assertEquals(bytes, untouched, "the input was changed");
        assert(!("polluted" in {}));
      }
      // Else most of it would be the work of the generator.
      assert(decoded > round / 20 && decoded <= round, `${decoded} of ${round} messages were decoded`);
    } catch (error) {
      const shown = [...bytes.subarray(0, 300)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
      throw new Error(`ERPC_SEED=${SEED}, input ${round}: ${bytes.length} bytes ${shown}`, { cause: error });
    }
  });
}

const STRICT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function depthOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

fuzz(json(), (below) => message(below, 4, false), (bytes) => {
  const { value, error } = outcome(json(), bytes);
  let expected: unknown;
  try {
    expected = bytes.length === 0 ? undefined : JSON.parse(STRICT.decode(bytes));
  } catch {
    assert(
      error instanceof SyntaxError || error instanceof TypeError,
      `it decoded what is not JSON, or threw ${error}`,
    );
    return false;
  }
  if (depthOf(expected) > 100) {
    assert(error instanceof SyntaxError, "it decoded what is nested too deep");
    return false;
  }
  assert(error === undefined, `it refused what is JSON: ${error}`);
  assertEquals(value, expected);
  return true;
});

fuzz(msgpack(), (below) => message(below, 4, true), (bytes) => {
  const { value, error } = outcome(msgpack(), bytes);
  if (error !== undefined) {
    // Anything else comes from the decoder under the check, which must not see what it cannot decode.
    assert(error instanceof SyntaxError, `it refused with ${error.name}: ${error.message}`);
    return false;
  }
  const again = msgpack().decode(encoded(msgpack(), value));
  // −0 is sent as 0.
  assertEquals(JSON.stringify(again, plain), JSON.stringify(value, plain));
  return true;
});

fuzz(bytes(), (below) => Uint8Array.from({ length: below(100) }, () => below(256)), (message) => {
  assertEquals(bytes().decode(message), message);
  return true;
});

function plain(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return `${value}n`;
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
}
