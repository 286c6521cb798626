import { assertEquals } from "@std/assert";
import { DialBudget } from "../../src/center/dial_budget.ts";

/** How many of so many dials it gives. */
function taken(budget: DialBudget, whose: string, count: number, now: number): number {
  let given = 0;
  for (let n = 0; n < count; n++) if (budget.take(whose, now)) given++;
  return given;
}

Deno.test("DialBudget gives each a thousand dials and one more each second, and those back that have found somebody", () => {
  const budget = new DialBudget();
  assertEquals([taken(budget, "a", 2_000, 0), taken(budget, "b", 2_000, 0)], [1_000, 1_000]);
  assertEquals([taken(budget, "a", 10, 999), taken(budget, "a", 10, 2_000)], [0, 2]);
  for (let n = 0; n < 3; n++) budget.giveBack("a");
  budget.giveBack("nobody");
  assertEquals(taken(budget, "a", 10, 2_000), 3);
  assertEquals(taken(budget, "a", 5_000, 10_000_000), 1_000);
});

Deno.test("DialBudget of very many, forgets those who have all of it again, and nobody else", () => {
  const budget = new DialBudget();
  for (let n = 0; n < 3_000; n++) budget.take(`owner ${n}`, 0);
  assertEquals(taken(budget, "owner 0", 2_000, 0), 999);
  taken(budget, "somebody new", 1, 1_000);
  assertEquals(taken(budget, "owner 0", 10, 1_000), 1);
});
