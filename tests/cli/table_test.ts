import { assertEquals } from "@std/assert";
import { Columns, displayWidth, table } from "../../src/cli/table.ts";

Deno.test("displayWidth, texts of many scripts, as terminals show them", () => {
  const widths: [string, number][] = [
    ["", 0],
    ["abc", 3],
    ["é", 1],
    ["e\u0301", 1],
    ["日本", 4],
    ["한", 2],
    ["ｆ", 2],
    ["😀", 2],
    ["👨‍👩‍👧", 2],
    ["\x1b[32m+\x1b[0m", 1],
  ];
  for (const [text, width] of widths) assertEquals(displayWidth(text), width, JSON.stringify(text));
});

Deno.test("table, rows of different widths, columns stand under each other", () => {
  const rows = [["NAME", "ZONE", "WEIGHT"], ["a", "eu-日本", "1"], ["longer", "-", "12.5"]];
  assertEquals(table(rows, [2]), [
    "NAME    ZONE     WEIGHT",
    "a       eu-日本       1",
    "longer  -          12.5",
  ]);
});

Deno.test("table, the last cell is short or empty, no spaces at the end", () => {
  assertEquals(table([["a", "bbb"], ["aa", "b"], ["aaa", ""]]), ["a    bbb", "aa   b", "aaa"]);
});

Deno.test("Columns, a wider row comes later, lines from then on are as wide", () => {
  const columns = new Columns();
  assertEquals(columns.line(["a", "1"]), "a  1");
  assertEquals(columns.line(["aaa", "1"]), "aaa  1");
  assertEquals(columns.line(["a", "1"]), "a    1");
});
