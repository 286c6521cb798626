import { assertEquals, assertThrows } from "@std/assert";
import { type Flag, type Operand, parse, UsageError } from "../../src/cli/args.ts";

const OPERANDS: Operand[] = [{ name: "<what>", about: "" }, { name: "<more>", about: "", optional: true }];
const FLAGS: Flag[] = [
  { name: "to", value: "url", about: "" },
  { name: "stream", about: "" },
  { name: "metadata", short: "m", value: "k=v", repeats: true, about: "" },
];

function parsed(...args: string[]) {
  const found = parse(args, OPERANDS, FLAGS);
  return [found.operands, found.get("to"), found.has("stream"), found.all("metadata")];
}

Deno.test("parse, well-formed command lines, values as they were written", () => {
  const rows: [string[], unknown[]][] = [
    [["x"], [["x"], undefined, false, []]],
    [["x", "--to", "y"], [["x"], "y", false, []]],
    [["--to=y", "x", "z"], [["x", "z"], "y", false, []]],
    [["x", "--to", "y", "--to", "z"], [["x"], "z", false, []]],
    [["x", "-m", "a=1", "--metadata", "b=2", "--metadata=c=3=4"], [["x"], undefined, false, ["a=1", "b=2", "c=3=4"]]],
    [["x", "-"], [["x", "-"], undefined, false, []]],
    [["007", "1e3"], [["007", "1e3"], undefined, false, []]],
    [["x", "--to", "007"], [["x"], "007", false, []]],
    // A switch leaves what stands behind it alone.
    [["x", "--stream", "true"], [["x", "true"], undefined, true, []]],
    [["--stream", "false", "x"], [["false", "x"], undefined, true, []]],
    [["x", "--", "-5"], [["x", "-5"], undefined, false, []]],
    [["--", "--stream", "--to"], [["--stream", "--to"], undefined, false, []]],
    [["x", '{"a":1}'], [["x", '{"a":1}'], undefined, false, []]],
  ];
  for (const [args, expected] of rows) assertEquals(parsed(...args), expected, args.join(" "));
});

Deno.test("parse, malformed command lines, errors that say what is wrong", () => {
  const rows: [string[], string][] = [
    [[], "Missing <what>"],
    [["x", "y", "z"], 'Unexpected argument "z"'],
    [["x", "--to"], 'Flag "--to" needs a value'],
    [["x", "--to="], 'Flag "--to" needs a value'],
    [["x", "--to", "--stream"], 'Flag "--to" needs a value'],
    [["x", "-m"], 'Flag "--metadata" needs a value'],
    [["x", "--stream=no"], 'Flag "--stream" takes no value'],
    [["x", "--steam"], 'Unknown flag "--steam": did you mean "--stream"?'],
    [["x", "--steam=1"], 'Unknown flag "--steam": did you mean "--stream"?'],
    [["x", "--no-stream"], 'Unknown flag "--no-stream": did you mean "--stream"?'],
    [["x", "-5"], 'Unknown flag "-5": write -- before an argument that begins with a dash'],
    [["x", "--frobnicate"], 'Unknown flag "--frobnicate"'],
    [["x", "--to.y", "z"], 'Unknown flag "--to.y"'],
    [["x", "--__proto__", "z"], 'Unknown flag "--__proto__"'],
    [["x", "--constructor", "z"], 'Unknown flag "--constructor"'],
  ];
  for (const [args, message] of rows) assertThrows(() => parsed(...args), UsageError, message, args.join(" "));
});

Deno.test("parse, help is asked for, nothing else is checked", () => {
  for (const args of [["--help"], ["-h"], ["x", "y", "z", "-h"], ["--steam", "--help"], ["--help", "--to"]]) {
    assertEquals(parse(args, OPERANDS, FLAGS).help, true, args.join(" "));
  }
  assertEquals(parse(["x", "--", "--help"], OPERANDS, FLAGS).help, false);
});
