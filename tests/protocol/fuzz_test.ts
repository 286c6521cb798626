/**
 * Random and mutated bytes against everything that reads them. Only the protocol's own error may come out, and memory follows
 * what was received. `ERPC_SEED` repeats a run, `ERPC_FUZZ_MS` makes it longer.
 */
import { assert } from "@std/assert";
import { DEFAULT_LIMITS } from "../../src/core/limits.ts";
import { ByteReader } from "../../src/protocol/byte_reader.ts";
import { readCredit, readGoAway, readPing, readReset } from "../../src/protocol/control.ts";
import { FrameReader } from "../../src/protocol/frame_reader.ts";
import { readHello } from "../../src/protocol/hello.ts";
import { readMetadata } from "../../src/protocol/metadata_block.ts";
import { OpenHeader, readOpen } from "../../src/protocol/open.ts";
import { readStatus, Status } from "../../src/protocol/status.ts";
import { ProtocolViolation } from "../../src/protocol/violation.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";
import { examples } from "./examples.ts";

const seed = Number(Deno.env.get("ERPC_SEED") ?? crypto.getRandomValues(new Uint32Array(1))[0]);
const durationMs = Number(Deno.env.get("ERPC_FUZZ_MS") ?? 500);
const samples = [...examples.values()];

function makeRandom() {
  const random = seededRandom(seed);
  const below = (bound: number) => random.u32() % bound;
  const noise = (length: number) => new Uint8Array(length).map(() => random.u32());
  /** A sample with some bytes changed, cut, doubled or put in between; or nothing but noise. */
  const bytes = (): Uint8Array => {
    if (below(4) === 0) return noise(below(200));
    const parts = [...samples[below(samples.length)]];
    for (let change = below(6); change > 0; change--) {
      const at = below(parts.length + 1);
      const what = below(4);
      if (what === 0 && parts.length > 0) {
        parts[at % parts.length] = [0, 1, 0x7f, 0x80, 0xff, random.u32() & 255][below(6)];
      } else if (what === 1) parts.length = at;
      else if (what === 2) parts.splice(at, 0, ...noise(below(8)));
      else parts.push(...parts.slice(at, at + below(40)));
    }
    return new Uint8Array(parts);
  };
  return { below, bytes };
}

/** Runs `target` over and over; says the seed and the bytes when anything but a violation comes out. */
function fuzz(name: string, target: (bytes: Uint8Array<ArrayBuffer>, below: (bound: number) => number) => void): void {
  Deno.test(`fuzz, ${name}: only the protocol's own errors come out`, () => {
    const { below, bytes } = makeRandom();
    const until = performance.now() + durationMs;
    let runs = 0;
    while (performance.now() < until) {
      const input = bytes() as Uint8Array<ArrayBuffer>;
      runs++;
      try {
        target(input, below);
      } catch (error) {
        if (error instanceof ProtocolViolation) continue;
        throw new Error(`ERPC_SEED=${seed}, run ${runs}, input ${[...input]}: ${error}`, { cause: error });
      }
    }
    assert(runs > 50, `${runs} runs`);
  });
}

const reader = new ByteReader();
const header = new OpenHeader();
const status = new Status();

fuzz("HELLO", (bytes) => void readHello(reader.reset(bytes, 0, bytes.length)));
fuzz("OPEN", (bytes) => readOpen(reader.reset(bytes, 0, bytes.length), header, DEFAULT_LIMITS));
fuzz("END", (bytes) => readStatus(reader.reset(bytes, 0, bytes.length), status, DEFAULT_LIMITS));
fuzz("metadata", (bytes) => void readMetadata(reader.reset(bytes, 0, bytes.length), DEFAULT_LIMITS));
fuzz("small frames", (bytes, below) => {
  const reads = [readCredit, readGoAway, readPing, readReset];
  reads[below(reads.length)](reader.reset(bytes, 0, bytes.length));
});
fuzz("FrameReader", (bytes, below) => {
  const frames = new FrameReader(below(2) === 0 ? 16_384 : 2 ** 24 - 1);
  const first = frames.bytes.length;
  let received = 0;
  for (let round = 0; round < 20; round++) {
    for (let at = 0; at < bytes.length;) {
      const space = frames.space();
      const count = Math.min(space.length, bytes.length - at, 1 + below(100));
      space.set(bytes.subarray(at, at + count));
      frames.received(count);
      at += count;
      received += count;
      while (frames.next()) {
        if (frames.payloadEnd < frames.payloadAt || frames.payloadEnd > frames.bytes.length) {
          throw new Error("a frame outside");
        }
      }
    }
    if (frames.bytes.length > Math.max(first * 4, received * 4)) {
      throw new Error(`${frames.bytes.length} bytes for ${received}`);
    }
  }
});
