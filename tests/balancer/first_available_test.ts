import { assertEquals } from "@std/assert";
import { firstAvailable } from "../../src/balancer/first_available.ts";
import { balancerContract } from "../../src/testing/balancer_contract.ts";
import { candidatesOf, pickerOf, request } from "./candidates.ts";

for (const { name, run } of balancerContract(firstAvailable())) Deno.test(name, run);

function order(weights: Readonly<Record<string, number>>): string[] {
  const pick = pickerOf(firstAvailable(), candidatesOf(Object.keys(weights), (id) => weights[id]));
  const avoid: string[] = [];
  for (;;) {
    const { endpoint, instance } = pick(request(undefined, avoid))!;
    if (avoid.includes(endpoint)) return avoid.map((endpoint) => endpoint.slice("memory://".length));
    assertEquals(pick(request(undefined, avoid))?.instance.id, instance.id, "the same every time");
    avoid.push(endpoint);
  }
}

Deno.test("first available, the same weights, in the order of the list", () => {
  assertEquals(order({ c: 1, a: 1, b: 1 }), ["c", "a", "b"]);
});

Deno.test("first available, different weights, the largest first", () => {
  assertEquals(order({ a: 1, b: 3, c: 2, d: 3, e: 0 }), ["b", "d", "c", "a"]);
});

Deno.test("H59 first available, weights that are no use, an order all the same", () => {
  assertEquals(order({ a: NaN, b: 1, c: Infinity, d: -1, e: 1e308 }), ["c", "e", "b"]);
  assertEquals(order({ a: NaN, b: -Infinity, c: 0 }), ["a", "c", "b"]);
});
