import { assert, assertEquals } from "@std/assert";
import { json } from "../../src/codec/json.ts";
import { RpcError } from "../../src/core/error.ts";
import { Metadata } from "../../src/core/metadata.ts";
import { type Result, ResultBook } from "../../src/host/result_book.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";

const reply = (bytes: number): Result => ({
  kind: "reply",
  codec: json(),
  message: new Uint8Array(bytes),
  metadata: undefined,
  trailers: undefined,
});

Deno.test("ResultBook keeps a key while its call runs, and for its window after that", () => {
  const book = new ResultBook<string>(10, 10_000);
  const kept = book.begin("a", "ann", 0)!;
  kept.running = "still";
  assertEquals(book.find("a", 1e9)?.running, "still");
  book.end(kept, reply(5), 100, 1_000);
  assertEquals([book.find("a", 1_099)?.result?.kind, book.find("a", 1_099)?.running], ["reply", undefined]);
  assertEquals([book.find("a", 1_100), book.keys, book.bytes], [undefined, 0, 0]);
});

Deno.test("ResultBook lets windows of different lengths end in their own order", () => {
  const book = new ResultBook<string>(10, 10_000);
  book.end(book.begin("long", "ann", 0)!, reply(1), 1_000, 0);
  book.end(book.begin("short", "ann", 0)!, reply(1), 10, 0);
  assertEquals([book.find("long", 500) !== undefined, book.find("short", 500)], [true, undefined]);
});

Deno.test("ResultBook takes no more keys than it may, and says when there is room again", () => {
  const book = new ResultBook<string>(2, 10_000);
  book.end(book.begin("a", "ann", 0)!, reply(1), 100, 0);
  book.begin("b", "ann", 0);
  assertEquals([book.begin("c", "ann", 50), book.roomInMs(50)], [undefined, 50]);
  const c = book.begin("c", "ann", 100)!;
  assertEquals([book.keys, book.roomInMs(100)], [2, Infinity]);
  book.release(c);
  assert(book.begin("d", "ann", 100) !== undefined);
});

Deno.test("ResultBook gives up the oldest results when they take too much, and remembers their keys", () => {
  const book = new ResultBook<string>(100, 4_800);
  for (const key of ["a", "b", "c"]) book.end(book.begin(key, "ann", 0)!, reply(1_000), 100, 0);
  assertEquals(["a", "b", "c"].map((key) => book.find(key, 0)?.result?.kind), [undefined, "reply", "reply"]);
  assertEquals([book.keys, book.bytes], [3, 2_400]);
  // One that is larger than all there is.
  book.end(book.begin("d", "ann", 0)!, reply(1e6), 100, 0);
  assertEquals([book.find("d", 0) !== undefined, book.find("d", 0)?.result, book.bytes], [true, undefined, 0]);
  const metadata = new Metadata({ note: "x".repeat(2_000) });
  book.end(book.begin("e", "ann", 0)!, { kind: "failure", error: new RpcError("aborted", "no", { metadata }) }, 100, 0);
  assert(book.bytes > 2_000);
});

Deno.test("ResultBook keeps room for others, however much one caller wants", () => {
  const book = new ResultBook<string>(100, 60_000);
  const fill = (caller: string, until: number) => {
    let count = 0;
    for (;; count++) {
      const kept = book.begin(`${caller} ${count} ${until}`, caller, 0);
      if (kept === undefined) return count;
      book.end(kept, reply(800), until, 0);
    }
  };
  // Half, and half of what is left then; each has as many results as there is room for.
  assertEquals([fill("ann", 100), fill("ben", 200)], [51, 25]);
  const resultsOf = (caller: string, count: number, until: number) =>
    Array.from({ length: count }, (_, n) => book.find(`${caller} ${n} ${until}`, 0)?.result !== undefined);
  assertEquals(resultsOf("ann", 51, 100).filter(Boolean).length, 30);
  assertEquals(resultsOf("ben", 25, 200).map((isThere, n) => isThere === n >= 10), Array(25).fill(true));
  // Who has much waits until others have made room as well, and nothing is left of those who have gone.
  assertEquals([book.find("ann 0", 100), book.keysOf("ann"), book.keysOf("ben"), fill("ben", 300)], [
    undefined,
    0,
    25,
    26,
  ]);
  assertEquals([book.find("ben 0", 300), book.keys, book.bytes], [undefined, 0, 0]);
});

const seed = Number(Deno.env.get("ERPC_SEED") ?? crypto.getRandomValues(new Uint32Array(1))[0]);

Deno.test("ResultBook keeps its bounds, and never forgets a key early, whatever happens", () => {
  const random = seededRandom(seed);
  const below = (bound: number) => random.u32() % bound;
  for (let run = 0; run < 50; run++) {
    const book = new ResultBook<string>(20, 5_000);
    const running: NonNullable<ReturnType<typeof book.begin>>[] = [];
    const promised = new Map<string, number>();
    let now = 0;
    for (let step = 0; step < 500; step++) {
      now += below(30);
      const what = below(3);
      if (what === 0) {
        const kept = book.begin(`${run}-${step}`, ["ann", "ben", "cyd"][below(3)], now);
        if (kept !== undefined) {
          running.push(kept);
          promised.set(kept.key, Infinity);
        }
      } else if (running.length > 0) {
        const [kept] = running.splice(below(running.length), 1);
        const windowMs = [50, 500][below(2)];
        if (what === 1) {
          book.end(kept, reply(below(2_000)), windowMs, now);
          promised.set(kept.key, now + windowMs);
        } else {
          book.release(kept);
          promised.delete(kept.key);
        }
      }
      assert(book.keys <= 20 && book.bytes <= 5_000 && book.bytes >= 0, `ERPC_SEED=${seed}`);
      for (const [key, until] of promised) {
        assertEquals(book.find(key, now) !== undefined, until > now, `ERPC_SEED=${seed} ${key} at ${now}`);
        if (until <= now) promised.delete(key);
      }
    }
  }
});
