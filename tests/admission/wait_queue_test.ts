import { assert, assertEquals } from "@std/assert";
import { Caller, Place, type Rank, WaitQueue } from "../../src/admission/wait_queue.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";

class Line {
  readonly queue = new WaitQueue<string>();
  readonly #callers = new Map<string, Caller>();
  #since = 0;

  caller(name: string): Caller {
    const known = this.#callers.get(name) ?? new Caller(name);
    this.#callers.set(name, known);
    return known;
  }

  /** Puts in items such as "a1": the letter is the caller. */
  push(items: string, rank: Rank = 1): Place<string>[] {
    return items.split(" ").map((item) => {
      const place = new Place(item, this.#since++, Infinity, item.length);
      this.queue.push(this.caller(item[0]), rank, place);
      return place;
    });
  }

  drain(newestFirst = false): string {
    const order: string[] = [];
    for (let place; (place = this.queue.take(newestFirst)) !== undefined;) order.push(place.item);
    assertEquals(this.queue.size, 0);
    return order.join(" ");
  }
}

Deno.test("WaitQueue lets the callers take turns, however many calls each has", () => {
  const line = new Line();
  line.push("a1 a2 a3 a4 a5 b1 b2 c1");
  assertEquals(line.drain(), "a1 b1 c1 a2 b2 a3 a4 a5");
});

Deno.test("WaitQueue takes the newest of each caller, when told so", () => {
  const line = new Line();
  line.push("a1 a2 a3 b1 b2");
  assertEquals(line.drain(true), "a3 b2 a2 b1 a1");
});

Deno.test("WaitQueue takes what matters more first", () => {
  const line = new Line();
  line.push("a1 a2", 0);
  line.push("a3 b1", 1);
  line.push("c1", 2);
  assertEquals(line.drain(), "c1 a3 b1 a1 a2");
});

Deno.test("WaitQueue goes on in order, when places at the front, in the middle and at the end are removed", () => {
  const line = new Line();
  const [a1, , a3, , a5] = line.push("a1 a2 a3 a4 a5");
  const [b1] = line.push("b1");
  for (const place of [a1, a3, a5, b1]) assert(line.queue.remove(place));
  for (const place of [a1, a3, a5, b1]) assert(!line.queue.remove(place));
  assertEquals(line.queue.size, 2);
  assertEquals(line.drain(), "a2 a4");
  line.push("b2 a6");
  assertEquals(line.drain(), "b2 a6");
});

Deno.test("WaitQueue tells how many go before a new call: others by turns, one's own before it", () => {
  const line = new Line();
  assertEquals(line.queue.ahead(line.caller("a"), 1), 0);
  line.push("a1 a2 a3 a4 a5 a6 b1");
  assertEquals(line.queue.ahead(line.caller("a"), 1), 7);
  assertEquals(line.queue.ahead(line.caller("b"), 1), 4);
  assertEquals(line.queue.ahead(line.caller("c"), 1), 2);
  assertEquals(line.queue.ahead(line.caller("c"), 2), 0);
  assertEquals(line.queue.ahead(line.caller("a"), 0), 7);
});

Deno.test("WaitQueue makes room at the cost of what matters least, then of who has most", () => {
  const line = new Line();
  const victim = (caller: string, rank: Rank, newestFirst = false) =>
    line.queue.victim(line.caller(caller), rank, newestFirst)?.item;
  assertEquals(victim("a", 1), undefined);
  line.push("a1 a2 a3 a4 b1");
  assertEquals(victim("b", 1), "a4");
  assertEquals(victim("c", 1), "a4");
  assertEquals(victim("c", 1, true), "a1");
  assertEquals(victim("a", 1), undefined, "the new one itself");
  assertEquals(victim("b", 0), undefined, "it matters less than all");
  assertEquals(victim("a", 2), "a4");
  line.push("d1 d2 d3 c1", 0);
  assertEquals(victim("a", 1), "d3");
  assertEquals(victim("c", 0), "d3");
  assertEquals(victim("d", 0), undefined);
});

Deno.test("WaitQueue makes no room for one where everybody has one", () => {
  const line = new Line();
  line.push("a1 b1 c1");
  assertEquals(line.queue.victim(line.caller("d"), 1, false), undefined);
});

Deno.test("WaitQueue gives up those who have waited for too long, in every lane", () => {
  const line = new Line();
  line.push("a0 b0 a1 b1 a2 b2");
  assertEquals([line.queue.take(false)?.item, line.queue.take(false)?.item], ["a0", "b0"]);
  line.push("a3", 2);
  const dropped: string[] = [];
  line.queue.expire(4, (place) => dropped.push(place.item));
  assertEquals(dropped, ["a1", "a2", "b1"]);
  assertEquals(line.drain(), "a3 b2");
});

Deno.test("WaitQueue lets go first, and keeps the newest of, who had less than his share", () => {
  const line = new Line();
  line.push("a1 a2 a3 a4 a5 a6 a7 a8 b1");
  const taken = Array.from({ length: 5 }, () => line.queue.take(false)!.item);
  assertEquals(taken, ["a1", "b1", "a2", "a3", "a4"]);
  line.push("b2 c1 c2");
  // The turn of `b` came four turns ago: of three callers that is more than his share would have it.
  assertEquals(line.queue.take(false)!.item, "b2");
  line.queue.expire(Infinity, () => {});
  assertEquals(line.drain(), "c2");
});

Deno.test("WaitQueue agrees with a list, over random steps", () => {
  const seed = Number(Deno.env.get("SEED") ?? 7);
  const random = seededRandom(seed);
  const below = (n: number) => random.u32() % n;
  const line = new Line();
  const there = new Set<Place<string>>();
  for (let step = 0; step < 20_000; step++) {
    const what = below(10);
    if (what < 5) there.add(line.push(`${"abcdefg"[below(7)]}${step}`, below(3) as Rank)[0]);
    else if (what < 8) {
      const place = line.queue.take(what === 7);
      assertEquals(place === undefined, there.size === 0, `seed ${seed}, step ${step}`);
      if (place !== undefined) assert(there.delete(place), `seed ${seed}, step ${step}: ${place.item} was taken twice`);
    } else if (what === 8) {
      const place = [...there][below(Math.max(1, there.size))];
      if (place !== undefined) assertEquals(line.queue.remove(place), there.delete(place));
    } else line.queue.expire(step - 400, (place) => assert(there.delete(place)));
    assertEquals(line.queue.size, there.size, `seed ${seed}, step ${step}`);
    if (step % 100 === 0) assertEquals(line.queue.bytes, [...there].reduce((sum, { bytes }) => sum + bytes, 0));
  }
});
