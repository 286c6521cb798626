import { assertEquals } from "@std/assert";
import { usableWeight, withWeight } from "../../src/balancer/weight.ts";
import { candidatesOf } from "./candidates.ts";

Deno.test("H59 usableWeight, whatever an instance says, 0 or a millionth to a million", () => {
  const weights = [
    [1, 1],
    [0.5, 0.5],
    [0, 0],
    [-0, 0],
    [-1, 0],
    [-Infinity, 0],
    [NaN, 0],
    [Infinity, 1e6],
    [1e308, 1e6],
    [5e-324, 1e-6],
  ];
  for (const [weight, expected] of weights) {
    const [candidate] = candidatesOf(["a"], () => weight);
    assertEquals(usableWeight(candidate.instance), expected, `${weight}`);
  }
});

Deno.test("H59 withWeight, some that take no calls, left out unless all are", () => {
  const weights = new Map([["a", 1], ["b", 0], ["c", -1], ["d", NaN], ["e", 2]]);
  const idsOf = (ids: string[]) =>
    withWeight(candidatesOf(ids, (id) => weights.get(id)!)).map((candidate) => candidate.instance.id);
  assertEquals(idsOf(["a", "b", "c", "d", "e"]), ["a", "e"]);
  assertEquals(idsOf(["b", "c", "d"]), ["b", "c", "d"]);
});
