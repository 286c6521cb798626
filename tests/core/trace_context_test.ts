import { assertEquals } from "@std/assert";
import { TraceContext } from "../../src/core/trace_context.ts";

const PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

Deno.test("TraceContext keeps what the headers say", () => {
  const trace = TraceContext.parse(PARENT, "vendor=x,other=y")!;
  assertEquals(trace.traceId, "0af7651916cd43dd8448eb211c80319c");
  assertEquals(trace.spanId, "b7ad6b7169203331");
  assertEquals([trace.flags, trace.sampled, trace.state], [1, true, "vendor=x,other=y"]);
  assertEquals([trace.traceparent, String(trace)], [PARENT, PARENT]);
  assertEquals(TraceContext.of(trace), trace);
});

Deno.test("TraceContext.parse takes what W3C allows, and nothing else", () => {
  const rows: [string, boolean][] = [
    [PARENT, true],
    [` ${PARENT.toUpperCase()} `, true],
    [PARENT.replace(/^00/, "01"), true],
    [PARENT.replace(/^00/, "cc") + "-what-comes-later", true],
    [PARENT + "-what-comes-later", false],
    [PARENT.replace(/^00/, "ff"), false],
    [PARENT.slice(0, -1), false],
    [PARENT.replace("0af", "0gf"), false],
    [`00-${"0".repeat(32)}-b7ad6b7169203331-01`, false],
    [`00-0af7651916cd43dd8448eb211c80319c-${"0".repeat(16)}-01`, false],
    ["", false],
  ];
  for (const [text, taken] of rows) assertEquals(TraceContext.parse(text) !== undefined, taken, text);
});

Deno.test("TraceContext leaves out a state that can't travel", () => {
  for (const state of ["ä=1", "a=\n", "x".repeat(513)]) assertEquals(TraceContext.parse(PARENT, state)?.state, "");
  assertEquals(TraceContext.parse(PARENT, "x".repeat(512))?.state.length, 512);
});
