import { assert, assertEquals, assertGreater, assertGreaterOrEqual } from "@std/assert";
import { textOf } from "./report.ts";

interface Printed {
  readonly caveat: string;
  readonly machine: Record<string, string | number>;
  readonly tables: readonly {
    section: string;
    columns: { key: string; title: string }[];
    rows: Record<string, unknown>[];
  }[];
}

const BENCH = new URL("bench.ts", import.meta.url).href;

async function bench(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const command = new Deno.Command(Deno.execPath(), { args: ["run", "-A", BENCH, ...args] });
  const { code, stdout, stderr } = await command.output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

Deno.test("bench prints a row of numbers for every contender and load, when it is run with --quick --json", async () => {
  const { code, out, err } = await bench("--quick", "--json", "--only", "unary");
  assertEquals(code, 0, err);
  const printed: Printed = JSON.parse(out);
  assertGreater(printed.caveat.length, 0);
  assertEquals(printed.machine.deno, Deno.version.deno);
  const unary = printed.tables.find(({ section }) => section === "unary");
  assert(unary !== undefined);
  assertEquals(
    unary.rows.map(({ inFlight, system }) => `${inFlight} ${system}`),
    ["1 erpc", "1 floor", "64 erpc", "64 floor", "256 erpc", "256 floor"],
  );
  for (const row of unary.rows) {
    for (const [name, value] of Object.entries(row)) {
      if (name !== "system") assert(Number.isFinite(value) && value as number > 0, `${name} is ${value}`);
    }
    assertGreaterOrEqual(row.p99Us as number, row.p50Us as number);
    for (const { key, title } of unary.columns) assert(key in row, `no figure for column "${title}"`);
  }
});

Deno.test("bench measures a center, when that is named", async () => {
  const { code, out, err } = await bench("--quick", "--json", "center");
  assertEquals(code, 0, err);
  const { tables }: Printed = JSON.parse(out);
  assertEquals(tables.map(({ section, rows }) => [section, rows.length]), [["center", 10]]);
  for (const { what, figure } of tables[0].rows) assert(figure as number > 0, `${what}: ${figure}`);
});

Deno.test("bench offers a server more than it can do, and counts what a refusal costs, when these are named", async () => {
  const { code, out, err } = await bench("--quick", "--json", "overload", "refusal");
  assertEquals(code, 0, err);
  const { tables }: Printed = JSON.parse(out);
  assertEquals(tables.map(({ section, rows }) => [section, rows.length]), [["overload", 24], ["refusal", 4]]);
  for (const row of tables.flatMap(({ rows }) => rows)) {
    for (const [name, value] of Object.entries(row)) {
      if (typeof value !== "string") assert(Number.isFinite(value), `${name} is ${value}`);
    }
  }
});

Deno.test("bench says what it can be told and fails, when a flag is unknown", async () => {
  const { code, err } = await bench("--fast");
  assertEquals(code, 1);
  assert(err.includes('Cannot take "--fast"'), err);
});

Deno.test("report aligns numbers to the right and text to the left, when cells differ in width", () => {
  const text = textOf({
    title: "Speed",
    columns: [
      { key: "system", title: "system" },
      { key: "rate", title: "calls/s" },
      { key: "from", upTo: "to", title: "range", digits: 1 },
    ],
    rows: [{ system: "a", rate: 12345.6, from: 0.5, to: 10 }, { system: "longer", rate: 7, from: 1, to: 2 }],
  });
  assertEquals(text.split("\n"), [
    "Speed",
    "",
    "system  calls/s     range",
    "------  -------  --------",
    "a        12,346  0.5–10.0",
    "longer        7   1.0–2.0",
  ]);
});
