import { assertEquals } from "@std/assert";
import { CallQueue } from "../../src/connection/call_queue.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";

Deno.test("CallQueue keeps the order whatever comes and goes, as a plain list does", () => {
  const random = seededRandom(7);
  const queue = new CallQueue<number>();
  let list: number[] = [];
  for (let step = 0; step < 20_000; step++) {
    const what = random.u32() % 20;
    if (what < 9 + (step / 5_000 | 0)) {
      queue.push(step);
      list.push(step);
    } else if (what < 18) assertEquals(queue.shift(), list.shift());
    else if (what === 18) {
      const leaver = list[random.u32() % (list.length + 1)];
      queue.delete(leaver);
      list = list.filter((each) => each !== leaver);
    } else if (random.u32() % 100 === 0) {
      assertEquals(queue.takeAll(), list);
      list = [];
    }
    assertEquals(queue.size, list.length);
  }
  assertEquals(queue.takeAll(), list);
  assertEquals(queue.shift(), undefined);
});
