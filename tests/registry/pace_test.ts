import { assert, assertEquals } from "@std/assert";
import { below } from "../../src/core/platform.ts";
import { Pace } from "../../src/registry/pace.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";

Deno.test("H62 Pace, whoever wants more all the time, does it so many times in any second and no more", () => {
  for (const perSecond of [2, 3, 10, 100]) {
    const pace = new Pace(perSecond);
    const done: number[] = [];
    for (let now = 0; now < 5_000; now++) {
      if (pace.readyAt("a") > now) continue;
      pace.take("a", now);
      done.push(now);
    }
    for (const from of done) {
      const inSecond = done.filter((at) => at >= from && at < from + 1_000).length;
      assert(inSecond <= perSecond, `${inSecond} in the second from ${from}, of ${perSecond}`);
    }
    assert(done.length >= 5 * Math.floor(perSecond / 2), `only ${done.length} in five seconds of ${perSecond}`);
  }
});

Deno.test("Pace, many, do not wait for each other, and are forgotten once they rest", () => {
  const pace = new Pace(10);
  const random = seededRandom(1);
  for (let n = 0; n < 1_000; n++) {
    assertEquals(pace.readyAt(`a${n}`) <= 0, true);
    pace.take(`a${n}`, below(random, 100));
  }
  for (let n = 0; n < 5; n++) pace.take("busy", 300);
  const busyUntil = pace.readyAt("busy");
  assert(busyUntil > 300);
  for (let n = 0; n < 1_000; n++) pace.take(`b${n}`, 350);
  assertEquals(pace.readyAt("busy"), busyUntil, "forgotten while it has to wait");
  assertEquals(pace.readyAt("a1"), -Infinity);
});

Deno.test("H55 Pace, new ones come for ever and nobody tidies up, remembers no more than those of the last second", () => {
  const pace = new Pace(10);
  for (let now = 0; now < 20_000; now++) {
    for (let n = 0; n < 3; n++) pace.take(`a${now}-${n}`, now);
    // One that does it all the time stands in nobody's way.
    if (now % 100 === 0) pace.take("busy", now);
    assert(pace.size <= 3_300, `${pace.size} after ${now} ms`);
  }
});
