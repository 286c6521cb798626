import { assertEquals, assertRejects } from "@std/assert";
import { lines, readAll } from "../../src/etcd/body.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";
import { below } from "../../src/core/platform.ts";

/** A body that arrives in these parts, and says whether its reader has left it. */
function bodyOf(parts: readonly Uint8Array<ArrayBuffer>[]): { response: Response; left: () => boolean } {
  let left = false;
  const queue = [...parts];
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      const part = queue.shift();
      if (part === undefined) controller.close();
      else controller.enqueue(part);
    },
    cancel() {
      left = true;
    },
  });
  return { response: new Response(body), left: () => left };
}

async function allLines(response: Response, maxBytes = 1_000): Promise<string[]> {
  const found: string[] = [];
  for await (const line of lines(response, maxBytes)) found.push(line);
  return found;
}

Deno.test("lines gives the lines of a body, however it is cut", async () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  console.log(`seed ${seed}`);
  const random = seededRandom(seed);
  const expected = ["one", "zwölf 漢字 🍺", "x".repeat(200), "last"];
  const bytes = new TextEncoder().encode(expected.map((line) => `${line}\n`).join("\n"));
  for (let round = 0; round < 200; round++) {
    const parts: Uint8Array<ArrayBuffer>[] = [];
    for (let at = 0; at < bytes.length;) {
      const end = at + 1 + below(random, 40);
      parts.push(bytes.slice(at, end));
      at = end;
    }
    assertEquals(await allLines(bodyOf(parts).response), expected, `seed ${seed}, round ${round}`);
  }
});

Deno.test("lines, one that is longer than the bound, throws and leaves the body", async () => {
  const part = new TextEncoder().encode("x".repeat(100));
  const { response, left } = bodyOf(Array(100).fill(part));
  await assertRejects(() => allLines(response, 500), RangeError, "over 500 bytes");
  assertEquals(left(), true);
});

Deno.test("lines, many that are short, may be more than the bound together", async () => {
  const part = new TextEncoder().encode(`${"x".repeat(99)}\n`);
  assertEquals((await allLines(bodyOf(Array(100).fill(part)).response, 300)).length, 100);
});

Deno.test("readAll reads a body, and none that is larger than the bound", async () => {
  const part = new TextEncoder().encode("ä".repeat(50));
  assertEquals(await readAll(bodyOf([part, part]).response, 200), "ä".repeat(100));
  const { response, left } = bodyOf([part, part, part, part, part]);
  await assertRejects(() => readAll(response, 250), RangeError, "over 250 bytes");
  assertEquals(left(), true);
  assertEquals(await readAll(new Response(null), 10), "");
});
