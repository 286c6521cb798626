import { assertEquals, assertMatch } from "@std/assert";
import { Center, type MemoryRegistry } from "@erpc/erpc";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { instanceOf } from "../registry/instances.ts";
import { erpc } from "./fake_io.ts";

/** A center whose time stands still, in which something has happened. */
async function startCenter(): Promise<Center & { at: string[] }> {
  const center = new Center({ platform: virtualPlatform(1) });
  await center.listen("tcp://127.0.0.1:0");
  const memory = center.registry as MemoryRegistry;
  const a = await memory.register(instanceOf("a", { zone: "north" }), { owner: "red" });
  await memory.register(instanceOf("b", { services: ["demo.Zoo"] }), { actor: "ann\u001b[2J" });
  await memory.register(instanceOf("a", { zone: "south", weight: 3 }), { owner: "red" });
  await memory.deregister(a);
  memory.evict("b", "admin", "boss");
  await memory.register(instanceOf("c"));
  return Object.assign(center, { at: ["--center", center.endpoint] });
}

Deno.test("erpc history, each change with its time, its cause and who did it", async () => {
  await using center = await startCenter();
  const { code, out, err } = await erpc(["history", ...center.at]);
  assertEquals([code, err], [0, ""]);
  assertEquals(out.split("\n"), [
    "1  2023-11-14T22:13:20.000Z  listed   a  tcp://10.0.0.7:4000  -      red",
    "2  2023-11-14T22:13:20.000Z  listed   b  tcp://10.0.0.7:4000  -      ann\\u001b[2J",
    "3  2023-11-14T22:13:20.000Z  changed  a  tcp://10.0.0.7:4000  -      red",
    "4  2023-11-14T22:13:20.000Z  removed  b  tcp://10.0.0.7:4000  admin  boss",
    "5  2023-11-14T22:13:20.000Z  listed   c  tcp://10.0.0.7:4000  -      -",
    "",
  ]);
});

Deno.test("erpc history, of one service, of one instance, and of some revisions", async () => {
  await using center = await startCenter();
  const revisions = async (...args: string[]) => {
    const { out } = await erpc(["history", ...args, ...center.at]);
    return [...out.matchAll(/^ *(\d+) /gm)].map(([, revision]) => revision).join();
  };
  assertEquals(await revisions("demo.Zoo"), "2,4");
  assertEquals(await revisions("--instance", "a"), "1,3");
  assertEquals(await revisions("--after", "2", "--until", "4"), "3,4");
  const { code, out, err } = await erpc(["history", "demo.Nobody", ...center.at]);
  assertEquals([code, out, err], [0, "", `Nothing of that is remembered at ${center.endpoint}\n`]);
  assertEquals((await erpc(["history", "--after", "-1", ...center.at])).code, 2);
  assertEquals((await erpc(["history", "no name", ...center.at])).code, 2);
});

Deno.test("erpc diff, who came, who went, and what has changed in whom", async () => {
  await using center = await startCenter();
  assertEquals((await erpc(["diff", "1", "3", ...center.at])).out.split("\n"), [
    "~  a  tcp://10.0.0.7:4000  zone north → south, weight 1 → 3",
    "+  b  tcp://10.0.0.7:4000",
    "",
  ]);
  assertEquals((await erpc(["diff", "3", ...center.at])).out.split("\n"), [
    "-  b  tcp://10.0.0.7:4000",
    "+  c  tcp://10.0.0.7:4000",
    "",
  ]);
  assertEquals((await erpc(["diff", "3", "--service", "demo.Zoo", ...center.at])).out, "-  b  tcp://10.0.0.7:4000\n");
  const { out, err } = await erpc(["diff", "5", "5", ...center.at]);
  assertEquals([out, err], ["", "Nothing is different\n"]);
  assertMatch((await erpc(["diff", "5", "x", ...center.at])).err, /^Cannot use revision "x"/);
  assertMatch((await erpc(["diff", "0", "99", ...center.at])).err, /^invalid_argument: .*from 0 to 5\n$/);
});
