import { assertEquals } from "@std/assert";
import { below } from "../../src/core/platform.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";
import { editDistance, suggest } from "../../src/core/suggest.ts";

Deno.test("editDistance, known pairs, as counted by hand", () => {
  const pairs: [string, string, number][] = [
    ["", "", 0],
    ["", "abc", 3],
    ["list", "list", 0],
    ["lst", "list", 1],
    ["lisst", "list", 1],
    ["lint", "list", 1],
    ["lsit", "list", 1],
    ["kitten", "sitting", 3],
    ["ca", "abc", 3], // restricted: what was exchanged is not edited again
  ];
  for (const [from, to, distance] of pairs) {
    assertEquals(editDistance(from, to), distance, `${from} → ${to}`);
    assertEquals(editDistance(to, from), distance, `${to} → ${from}`);
  }
});

Deno.test("editDistance, after n random edits, at most n", () => {
  const seed = 7;
  const random = seededRandom(seed);
  const letter = () => "abcd"[below(random, 4)];
  for (let round = 0; round < 300; round++) {
    const from = Array.from({ length: 2 + below(random, 8) }, letter);
    const to = [...from];
    const edits = below(random, 4);
    for (let edit = 0; edit < edits; edit++) {
      const at = below(random, to.length + 1);
      if (below(random, 2) === 0) to.splice(at, 0, letter());
      else to.splice(at, 1);
    }
    const distance = editDistance(from.join(""), to.join(""));
    assertEquals(distance <= edits, true, `${from.join("")} → ${to.join("")}: ${distance} > ${edits} (seed ${seed})`);
    assertEquals(distance === 0, from.join("") === to.join(""), `${from.join("")} → ${to.join("")} (seed ${seed})`);
  }
});

Deno.test("suggest, one name is near, that one; none is, nothing", () => {
  const names = ["center", "list", "call", "watch"];
  for (const [typed, meant] of [["lsit", "list"], ["cal", "call"], ["cneter", "center"], ["wtach", "watch"]]) {
    assertEquals(suggest(typed, names), meant);
  }
  for (const typed of ["", "x", "frobnicate", "zz"]) assertEquals(suggest(typed, names), undefined, typed);
  assertEquals(suggest("m", ["h"]), undefined);
});

Deno.test("suggest, two names are near, the nearer", () => {
  assertEquals(suggest("cente", ["canter", "center"]), "center");
  assertEquals(suggest("cente", ["center", "canter"]), "center");
});
