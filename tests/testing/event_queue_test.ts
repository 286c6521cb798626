import { assertEquals } from "@std/assert";
import { below } from "../../src/core/platform.ts";
import { EventQueue } from "../../src/testing/event_queue.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";

Deno.test("EventQueue gives back what is due first, and of two at one time the one with the lower tie", () => {
  for (let seed = 1; seed <= 50; seed++) {
    const random = seededRandom(seed);
    const queue = new EventQueue<{ at: number; tie: number }>();
    const waiting: { at: number; tie: number }[] = [];
    const taken: unknown[] = [];
    const expected: unknown[] = [];
    for (let n = 0; n < 500; n++) {
      if (below(random, 3) > 0) {
        const event = { at: below(random, 20), tie: below(random, 1_000_000) };
        queue.push(event);
        waiting.push(event);
      } else {
        waiting.sort((a, b) => a.at - b.at || a.tie - b.tie);
        expected.push(waiting.shift());
        assertEquals(queue.first, expected.at(-1), `seed ${seed}`);
        taken.push(queue.pop());
      }
      assertEquals(queue.size, waiting.length);
    }
    assertEquals(taken, expected, `seed ${seed}`);
  }
});
