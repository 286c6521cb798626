import { assertEquals, assertThrows } from "@std/assert";
import { checkEjection, decide, DEFAULT_EJECTION, type EjectionOptions, Standing } from "../../src/cluster/ejector.ts";

class Named extends Standing {
  readonly name: string;

  constructor(name: string) {
    super();
    this.name = name;
  }
}

function standings(count: number): Named[] {
  return Array.from({ length: count }, (_, n) => new Named(`s${n}`));
}

/** Who is ejected after an interval in which the n-th had `[good, bad]` calls. */
function ejected(counts: readonly (readonly [number, number])[], options: EjectionOptions = {}): string[] {
  const all = standings(counts.length);
  all.forEach((one, n) => [one.good, one.bad] = counts[n]);
  return decide(all, checkEjection(options), 0).ejected.map(({ name }) => name);
}

const all = (count: number, counts: readonly [number, number]) => Array.from({ length: count }, () => counts);

Deno.test("ejector, one fails what the others answer, it alone is ejected", () => {
  assertEquals(ejected([[0, 100], ...all(9, [100, 0])]), ["s0"]);
  assertEquals(ejected([[60, 40], ...all(9, [99, 1])]), ["s0"]);
});

Deno.test("ejector, as gRFC A50, its golden cases", () => {
  const rows: [string, (readonly [number, number])[], EjectionOptions, string[]][] = [
    ["four instances are too few", [[0, 200], ...all(3, [200, 0])], {}, []],
    ["five are enough", [[0, 200], ...all(4, [200, 0])], {}, ["s0"]],
    ["99 calls are too few to compare", [[50, 49], ...all(9, [99, 0])], {}, []],
    ["100 are enough", [[50, 50], ...all(9, [100, 0])], {}, ["s0"]],
    ["49 calls are too few for the share of failures", [[0, 49], ...all(9, [49, 0])], {}, []],
    ["50 are enough", [[0, 50], ...all(9, [50, 0])], {}, ["s0"]],
    ["85 % of failures are not too much", [[15, 85], ...all(4, [15, 85])], {}, []],
    ["86 % are", [[14, 86], ...all(4, [14, 86])], {}, ["s0"]],
    ["all fail alike, one place", all(10, [0, 100]), {}, ["s0"]],
    ["all answer", all(10, [100, 0]), {}, []],
    ["nobody was called", all(10, [0, 0]), {}, []],
    ["the mean less 1.9 deviations: 0.8 - 1.9 × 0.4 is above 0.02", [[2, 98], ...all(4, [100, 0])], {}, ["s0"]],
    ["the mean less 3 deviations", [[50, 50], ...all(9, [100, 0])], { deviations: 3 }, []],
    ["20 instances, two places, the worst go", [[10, 90], [0, 100], [5, 95], ...all(17, [100, 0])], {}, ["s1", "s2"]],
    ["half may go", [...all(5, [0, 100]), ...all(5, [100, 0])], { maxShare: 0.5 }, ["s0", "s1", "s2", "s3", "s4"]],
    ["none may go, one does", [[0, 100], ...all(9, [100, 0])], { maxShare: 0 }, ["s0"]],
    ["19 instances, one place", [...all(2, [0, 100]), ...all(17, [100, 0])], {}, ["s0"]],
  ];
  for (const [name, counts, options, expected] of rows) assertEquals(ejected(counts, options), expected, name);
});

Deno.test("ejector, ejected again and again, each time for longer, up to five minutes; it is forgiven while it is well", () => {
  const all = standings(5);
  const [bad] = all;
  const options = DEFAULT_EJECTION;
  const spells: number[] = [];
  let now = 0;
  const interval = (good: boolean) => {
    now += options.intervalMs;
    for (const one of all) [one.good, one.bad] = one === bad && !good ? [0, 100] : [100, 0];
    if (bad.ejectedAt !== undefined) [bad.good, bad.bad] = [0, 0];
    return decide(all, options, now);
  };
  for (let n = 0; n < 14; n++) {
    assertEquals(interval(false).ejected, [bad]);
    const from = now;
    while (interval(false).returned.length === 0) continue;
    spells.push(now - from);
  }
  assertEquals(spells, [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300, 300, 300].map((s) => s * 1_000));
  assertEquals(bad.times, 14);
  for (let n = 0; n < 20; n++) interval(true);
  assertEquals([bad.times, bad.ejectedAt], [0, undefined]);
});

Deno.test("ejector, places that are taken, count; a place that is free again is given again", () => {
  const all = standings(10);
  const fail = (...names: string[]) => {
    for (const one of all) {
      [one.good, one.bad] = one.ejectedAt !== undefined ? [0, 0] : names.includes(one.name) ? [0, 100] : [100, 0];
    }
  };
  fail("s0");
  assertEquals(decide(all, DEFAULT_EJECTION, 0).ejected.map(({ name }) => name), ["s0"]);
  fail("s1");
  assertEquals(decide(all, DEFAULT_EJECTION, 10_000).ejected, []);
  fail("s1");
  const { ejected, returned } = decide(all, DEFAULT_EJECTION, 30_000);
  assertEquals([ejected.length, returned.map(({ name }) => name)], [0, ["s0"]]);
  fail("s1");
  assertEquals(decide(all, DEFAULT_EJECTION, 40_000).ejected.map(({ name }) => name), ["s1"]);
});

Deno.test("ejector, what was counted, counts once", () => {
  const all = standings(5);
  for (const one of all) [one.good, one.bad] = [60, 30];
  decide(all, DEFAULT_EJECTION, 0);
  assertEquals(all.map(({ good, bad }) => good + bad), [0, 0, 0, 0, 0]);
});

Deno.test("ejector, options out of range, says the range", () => {
  for (
    const [options, text] of [
      [{ intervalMs: 0 }, "ejection.intervalMs 0"],
      [{ maxShare: 1.1 }, "ejection.maxShare 1.1"],
      [{ panicBelow: NaN }, "ejection.panicBelow NaN"],
      [{ minCalls: 0.5 }, "ejection.minCalls 0.5"],
      [{ deviations: -1 }, "ejection.deviations -1"],
    ] as const
  ) assertThrows(() => checkEjection(options), RangeError, text);
  assertThrows(() => checkEjection({ interval: 1 } as object), TypeError, '"interval"');
});
