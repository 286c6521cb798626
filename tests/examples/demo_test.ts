import { assert, assertEquals, assertFalse, assertMatch } from "@std/assert";
import { storeTest } from "../support/stores.ts";
import { Program, run } from "./program.ts";

Deno.test("demo, counts every word and fails no call, although a server is killed", () => runDemo());

for (const store of ["etcd", "Redis", "ZooKeeper"] as const) {
  const name = `demo on ${store}, counts every word and fails no call, although a server is killed`;
  storeTest(store, name, () => runDemo(store.toLowerCase()));
}

Deno.test("demo on a store that is not there, says so, exit code 1", async () => {
  const { code, stdout, stderr } = await run("demo.ts", "mongo");
  assertEquals([code, stdout], [1, ""]);
  assertMatch(stderr, /^Cannot run the demo on mongo: there is no store "mongo"; there are etcd, redis, zookeeper\n$/);
});

async function runDemo(...args: string[]): Promise<void> {
  const { code, stdout, stderr } = await run("demo.ts", ...args);
  assertEquals(code, 0, stdout + stderr);
  assertFalse(stdout.includes("\r"), "the progress line is for terminals");
  const cell = (label: string) => {
    const match = new RegExp(`^${label} +([\\d,]+)`, "m").exec(stdout);
    assert(match, `no row "${label}" in\n${stdout}`);
    return Number(match[1].replaceAll(",", ""));
  };
  const [ada, ben, cyd, dan] = ["ada", "ben", "cyd", "dan"].map(cell);
  assert(ada > ben && cyd > ben && ben > 0 && dan > 0, stdout);
  assertEquals(ada + ben + cyd + dan, cell("calls"), stdout);
  assert(cell("tried again") > 0, stdout);
  assertEquals(cell("failures"), 0, stdout);
  assertEquals(Number(/^words.* ([\d,]+) counted here$/m.exec(stdout)?.[1].replaceAll(",", "")), cell("words"), stdout);
  assert(cell("words") > 0, stdout);
  assert(cell("search hits") > 0, stdout);
}

Deno.test("demo, leaves no process behind, when it is killed itself", () => killDemo(/^A center on/));

storeTest(
  "Redis",
  "demo on Redis, leaves no process behind, when it is killed itself",
  () => killDemo(/^Centers on/, "redis"),
);

async function killDemo(begun: RegExp, ...args: string[]): Promise<void> {
  await using demo = new Program("demo.ts", ...args);
  await demo.line(begun);
  demo.kill("SIGKILL");
  // The processes that it started share its standard error, which is open until the last of them has ended.
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error("a process of the demo still runs")), 30_000);
  try {
    await Promise.race([demo.ended(), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
