/** One seed is one run: here, in another process, and with other work beside it. */
import { assertEquals, assertNotEquals } from "@std/assert";
import { Child } from "../support/child.ts";
import { configOf } from "./config.ts";
import { run } from "./run.ts";

const SEEDS = [3, 14, 15, 92, 65];
const hashOf = async (seed: number) => (await run(configOf(seed))).hash;

Deno.test("simulation: a seed gives the same log in two processes", async () => {
  const main = new URL("main.ts", import.meta.url);
  for (const seed of SEEDS.slice(0, 2)) {
    await using process = new Child(main, "--seed", `${seed}`, "--once", "--hash");
    assertEquals(await process.line(/^hash ([0-9a-f]{16})$/), await hashOf(seed), `seed ${seed}`);
  }
});

Deno.test("simulation: a seed gives the same log while others run, and timers, beside it", async () => {
  const alone: string[] = [];
  for (const seed of SEEDS) alone.push(await hashOf(seed));
  assertEquals(new Set(alone).size, SEEDS.length);
  let over = false;
  const noise = (async () => {
    while (!over) await new Promise((resolve) => setTimeout(resolve, 1));
  })();
  assertEquals(await Promise.all(SEEDS.map(hashOf)), alone);
  over = true;
  await noise;
});

Deno.test("simulation: what one part of a run draws does not change what another one does", async () => {
  const [all, fewer] = [configOf(7), configOf(7, { clients: 1, without: ["crash"] })];
  assertEquals(fewer.limits, all.limits);
  assertEquals(fewer.servers, all.servers);
  assertNotEquals((await run(fewer)).hash, (await run(all)).hash);
});
