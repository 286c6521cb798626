import { assertEquals, assertMatch, assertNotMatch, assertStringIncludes } from "@std/assert";
import { displayWidth } from "../../src/cli/table.ts";
import { erpc, FakeIo } from "./fake_io.ts";

const COMMANDS = ["center", "list", "call", "watch", "route"];

Deno.test("erpc, help, on stdout, names every command, exit code 0", async () => {
  for (const flag of ["--help", "-h"]) {
    const { code, out, err } = await erpc([flag]);
    assertEquals([code, err], [0, ""]);
    for (const name of COMMANDS) assertMatch(out, new RegExp(`^  ${name} +\\w`, "m"));
    assertStringIncludes(out, "deno run -A jsr:@erpc/erpc/cli");
  }
});

Deno.test("erpc, help of each command, names its flags and fits a terminal of 82 columns", async () => {
  for (const name of COMMANDS) {
    for (const flag of ["--help", "-h"]) {
      const { code, out, err } = await erpc([name, flag]);
      assertEquals([code, err], [0, ""]);
      assertStringIncludes(out, `Usage: erpc ${name} `);
      assertMatch(out, /^ {2}-h, --help +show this text$/m);
      for (const line of out.split("\n")) assertEquals(displayWidth(line) <= 82, true, line);
    }
  }
  const { out } = await erpc(["call", "--help"]);
  for (const flag of ["--center", "--to", "--timeout", "--stream", "--key", "-m, --metadata"]) {
    assertStringIncludes(out, flag);
  }
});

Deno.test("erpc, command lines that nobody understands, a hint on stderr, exit code 2", async () => {
  const rows: [string[], RegExp][] = [
    [[], /^erpc finds, calls/],
    [["lsit"], /^Unknown command "lsit": did you mean "list"\?\nRun "erpc --help" to see how it is used\n$/],
    [
      ["frobnicate"],
      /^Unknown command "frobnicate": there are center, list, call, watch, route, history, diff, drain, evict\n/,
    ],
    [["toString"], /^Unknown command "toString": there are/],
    [["--center", "x", "list"], /^Unknown flag "--center": the command comes first\n/],
    [["list", "--cnter", "x"], /^Unknown flag "--cnter": did you mean "--center"\?\nRun "erpc list --help" to see/],
    [["list", "demo", "x"], /^Unexpected argument "x"\n/],
    [["list", "a b"], /^Cannot use service name "a b"/],
    [["list", "--at", "1.5"], /^Cannot use revision "1.5": it must be a whole number\n/],
    [["diff"], /^Missing <revision>\n/],
    [["diff", "1", "-2"], /^Unknown flag "-2"/],
    [["evict"], /^Missing <instance>\n/],
    [["drain", ""], /^The instance's id is empty\n/],
    [["list", "--center", "127.0.0.1"], /^Cannot use endpoint "127.0.0.1": write it as a URL/],
    [["center", "--listen", "7700"], /^Cannot use endpoint "7700": write it as a URL/],
    [["center", "--log", "inf"], /^Cannot log at level "inf": .*; did you mean "info"\?\n/],
    [["watch"], /^Missing <service>\n/],
    [["watch", "a b"], /^Cannot use service name "a b"/],
    [["call"], /^Missing <procedure>\n/],
    [["call", "hello"], /^Cannot use procedure "hello"/],
    [["call", "demo.hello", "--to", "tcp://a:1", "--center", "tcp://a:1"], /^Give one of "--center" and "--to"\n/],
    [["call", "demo.hello", "--to", "nowhere"], /^Cannot use endpoint "nowhere"/],
    [
      ["call", "demo.hello", "--timeout", "soon"],
      /^Cannot use timeout "soon": it must be whole milliseconds from 1 to/,
    ],
    [["call", "demo.hello", "--timeout", "0"], /^Cannot use timeout "0"/],
    [["call", "demo.hello", "--timeout", "0x10"], /^Cannot use timeout "0x10"/],
    [["call", "demo.hello", "-m", "x"], /^Cannot use metadata "x": write it as key=value\n/],
    [["call", "demo.hello", "-m", "a b=c"], /^Cannot use metadata key "a b"/],
    [["call", "demo.hello", "-m", "rpc-x=c"], /^Cannot use metadata key "rpc-x"/],
    [["route"], /^Missing <set\|list\|rm\|try>\n/],
    [["route", "sett"], /^Cannot sett routing rules: there are set, list, rm, try; did you mean "set"\?\n/],
    [["route", "set"], /^Missing <json>, a file or -\n/],
    [["route", "set", "{"], /^Cannot read the rule as JSON: /],
    [["route", "set", "[{}]"], /^Cannot use rule undefined: its name must match/],
    [["route", "set", "/no/such/file"], /^Cannot read the file "\/no\/such\/file": /],
    [["route", "rm"], /^Missing the rule's name\n/],
    [["route", "try"], /^Missing <procedure>\n/],
    [["route", "try", "hello"], /^Cannot use procedure "hello"/],
    [
      ["route", "try", "a.B/c", "--with", '{"name":"x","service":"a.C","to":[{}],"otherwise":"all"}'],
      /^Rule "x" is about "a.C", not "a.B"\n/,
    ],
    [["x\x1b[31m"], /^Unknown command "x\\u001b\[31m"/],
  ];
  for (const [args, message] of rows) {
    const { code, out, err } = await erpc(args);
    assertEquals([code, out], [2, ""], args.join(" "));
    assertMatch(err, message);
  }
});

Deno.test("erpc, errors, in colour only where there is colour", async () => {
  const args = ["list", "--center", "tcp://127.0.0.1:1"];
  // deno-lint-ignore no-control-regex
  const escape = /\x1b/;
  assertMatch((await erpc(args, new FakeIo({ color: true }))).err, escape);
  assertNotMatch((await erpc(args)).err, escape);
});
