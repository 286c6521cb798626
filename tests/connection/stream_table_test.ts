import { assertEquals } from "@std/assert";
import { StreamTable } from "../../src/connection/stream_table.ts";
import type { Stream } from "../../src/connection/stream.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";

const streamOf = (id: number) => ({ id }) as Stream;

Deno.test("StreamTable, streams that come and go at random, holds what a Map would", () => {
  const random = seededRandom(7);
  const table = new StreamTable();
  const model = new Map<number, Stream>();
  let next = 1;
  for (let step = 0; step < 50_000; step++) {
    // Some stay for long, so that others come round to their slots.
    if (model.size < 300 && random.u32() % 2 === 0 || model.size === 0) {
      const stream = streamOf(next);
      table.set(next, stream);
      model.set(next, stream);
      next += 2;
    } else {
      const ids = [...model.keys()];
      const id = ids[random.u32() % 3 === 0 ? 0 : ids.length - 1];
      assertEquals(table.delete(id), model.delete(id));
    }
    const probe = 1 + 2 * (random.u32() % ((next + 1) >> 1));
    assertEquals(table.get(probe), model.get(probe));
    assertEquals(table.size, model.size);
  }
  assertEquals(table.delete(next + 2), false);
  assertEquals(table.values().map(({ id }) => id).sort((a, b) => a - b), [...model.keys()]);
});

Deno.test("StreamTable, 100 000 at once, finds each", () => {
  const table = new StreamTable();
  for (let id = 2; id <= 200_000; id += 2) table.set(id, streamOf(id));
  for (let id = 2; id <= 200_000; id += 2) assertEquals(table.get(id)?.id, id);
  for (let id = 2; id <= 200_000; id += 2) assertEquals(table.delete(id), true);
  assertEquals([table.size, table.values()], [0, []]);
});
