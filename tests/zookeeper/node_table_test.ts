import { assertEquals } from "@std/assert";
import { namesBeginWith, namesOf, NodeTable, parseName } from "../../src/zookeeper/node_table.ts";
import { instanceOf } from "../registry/instances.ts";

Deno.test("parseName gives back what namesBeginWith was given, whatever it is", () => {
  for (const id of ["a", "a;1;2", "a/b", ".", "..", "%2E", "漢字 🍺", "__proto__", "x".repeat(200)]) {
    const name = `${namesBeginWith(id)}17;0000000042`;
    assertEquals(/[/\0]|^\.{1,2}$/.test(name), false, name);
    assertEquals(parseName(name), { name, instanceId: id, incarnation: 17, sequence: 42 });
  }
  const wrong = ["", "a", "a;1", "a;1;2", "a;x;0000000001", "%zz;1;0000000001", ";1;0000000001", "a;1;0000000001;"];
  for (const name of wrong) assertEquals(parseName(name), undefined, name);
});

Deno.test("NodeTable lists of each instance the newest incarnation, and of that the last node", () => {
  const table = new NodeTable();
  const add = (id: string, incarnation: number, sequence: number, known = true) => {
    const name = parseName(`${namesBeginWith(id)}${incarnation};${String(sequence).padStart(10, "0")}`)!;
    table.add({
      name,
      entry: known
        ? { instance: instanceOf(id, { incarnation }), ttlMs: 1, token: `${sequence}`, owner: "" }
        : undefined,
    });
    return name;
  };
  const listed = (id: string) => table.listed(id)?.entry.token;
  const first = add("a", 1, 5);
  const second = add("a", 1, 7);
  const newer = add("a", 2, 6);
  const unreadable = add("a", 3, 9, false);
  add("a.b", 9, 9);
  assertEquals([listed("a"), listed("a.b"), listed("c"), table.size], ["6", "9", undefined, 5]);
  assertEquals(table.of("a").map(({ name }) => name), [unreadable, newer, second, first]);
  table.delete(newer);
  assertEquals(listed("a"), "7");
  for (const name of [unreadable, second, first]) table.delete(name);
  assertEquals([listed("a"), [...table.instanceIds], table.has(first.name)], [undefined, ["a.b"], false]);
});

Deno.test("namesOf finds the names of one instance among others", () => {
  const names = ["a;1;0000000001", "ab;1;0000000002", "a;2;0000000003", "a;1;0000000004", "b;1;0000000005", "a;x"];
  assertEquals(namesOf("a", names).map(({ name }) => name), ["a;2;0000000003", "a;1;0000000004", "a;1;0000000001"]);
});
