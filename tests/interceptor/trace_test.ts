import { assert, assertEquals, assertRejects } from "@std/assert";
import { Client, RpcError, Server, serverStream, service, trace, unary } from "@erpc/erpc";
import { TraceContext } from "@erpc/erpc/extend";
import { collect } from "../support/words.ts";
import { fakeTelemetry } from "./fake_telemetry.ts";

const Chain = service("test.Chain", {
  down: unary<number, string>(),
  count: serverStream<number, number>(),
});

/** A server that calls itself, both sides traced. */
async function start(name: string, options: { server?: boolean; client?: boolean } = {}) {
  const stack = new AsyncDisposableStack();
  const server = stack.use(new Server({ interceptors: options.server === false ? [] : [trace()] }));
  const interceptors = options.client === false ? [] : [trace()];
  const client = stack.use(new Client({ endpoints: [`memory://${name}`], interceptors }));
  const self = client.service(Chain);
  const seen: (TraceContext | undefined)[] = [];
  server.handle(Chain, {
    down(left, ctx) {
      seen.push(ctx.trace);
      if (left === -1) throw new RpcError("not_found", "no such thing");
      if (left === -2) throw new Error("a secret");
      return left === 0 ? "" : self.down(left - 1, { parent: ctx });
    },
    async *count(to) {
      for (let n = 0; n < to; n++) yield n;
      if (to === 3) throw new RpcError("data_loss", "no more");
    },
  });
  await server.listen(`memory://${name}`);
  return { stack, self, seen };
}

Deno.test("trace makes a span on each side of each call, each a child of the one before", async () => {
  using telemetry = fakeTelemetry();
  const { stack, self, seen } = await start("trace-both");
  await using _ = stack;
  await self.down(1);
  const rows = telemetry.spans.map(({ name, kind, spanId, parentId, ends, status }) => ({
    name,
    kind,
    ends,
    parent: parentId === undefined ? 0 : Number(parentId),
    id: Number(spanId),
    status,
  }));
  const span = { name: "test.Chain/down", ends: 1, status: undefined };
  assertEquals(rows, [
    { ...span, kind: 2, parent: 0, id: 1 },
    { ...span, kind: 1, parent: 1, id: 2 },
    { ...span, kind: 2, parent: 2, id: 3 },
    { ...span, kind: 1, parent: 3, id: 4 },
  ]);
  assertEquals(new Set(telemetry.spans.map(({ traceId }) => traceId)).size, 1);
  assertEquals(seen.map((trace) => Number(trace?.spanId)), [2, 4]);
  assertEquals(telemetry.spans[0].attributes, {
    "rpc.system": "erpc",
    "rpc.service": "test.Chain",
    "rpc.method": "down",
    "server.address": "memory://trace-both",
  });
});

Deno.test("trace takes over the trace that came, where only one side has it", async () => {
  using telemetry = fakeTelemetry();
  const { stack, self } = await start("trace-server", { client: false });
  await using _ = stack;
  await self.down(1);
  // Nobody told the first server of a trace; the second hears of its span through `parent`.
  assertEquals(telemetry.spans.map(({ parentId }) => parentId), [undefined, telemetry.spans[0].spanId]);
});

Deno.test("trace says how a call failed, on the server only when it is the server's fault", async () => {
  using telemetry = fakeTelemetry();
  const { stack, self } = await start("trace-fail");
  await using _ = stack;
  await assertRejects(() => self.down(-1), RpcError);
  await assertRejects(() => self.down(-2), RpcError);
  const rows = telemetry.spans.map(({ kind, attributes, status, exceptions }) => [
    kind,
    attributes["error.type"],
    status?.code,
    exceptions.length,
  ]);
  assertEquals(rows, [[2, "not_found", 2, 0], [1, "not_found", undefined, 0], [2, "internal", 2, 0], [
    1,
    "internal",
    2,
    1,
  ]]);
});

Deno.test("trace ends the span of a stream with its last message, however that comes about", async () => {
  using telemetry = fakeTelemetry();
  const { stack, self } = await start("trace-stream");
  await using _ = stack;
  assertEquals(await collect(self.count(2)), [0, 1]);
  await assertRejects(() => collect(self.count(3)), RpcError, "no more");
  for await (const n of self.count(1_000_000)) if (n === 1) break;
  const client = telemetry.spans.filter(({ kind }) => kind === 2);
  assertEquals(client.map(({ ends, status }) => [ends, status?.code]), [[1, undefined], [1, 2], [1, undefined]]);
});

Deno.test("trace lets a trace flow on untouched where there is no API", async () => {
  const here = TraceContext.parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=1")!;
  await using server = new Server({ interceptors: [trace()] });
  server.handle("t.t", (_, ctx) => [ctx.trace?.traceparent, ctx.trace?.state]);
  await server.listen("memory://trace-none");
  await using client = new Client({
    endpoints: ["memory://trace-none"],
    interceptors: [trace(), (next) => (call) => next(call.with({ trace: here }))],
  });
  assertEquals(await client.call("t.t"), [here.traceparent, "a=1"]);
  const next = () => Promise.reject();
  assert(trace()(next) === next, "a call pays for what is not there");
});

Deno.test("trace with Deno's own telemetry joins the spans of a chain, across await", async () => {
  const program = new URL("programs/traced.ts", import.meta.url);
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", program.href],
    env: { NO_COLOR: "1", OTEL_DENO: "true", OTEL_EXPORTER_OTLP_PROTOCOL: "console", OTEL_DENO_CONSOLE: "ignore" },
  });
  const { code, stdout, stderr } = await command.output();
  const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  assertEquals(code, 0, text);
  // deno-lint-ignore no-control-regex
  const plain = text.replace(/\x1b\[[0-9;]*m/g, "");
  const spans = [...plain.matchAll(/^SPAN demo\.Hop\/go \[(\w+)\/(\w+)\] (\w+).*\n(?:\s+parent: (\w+))?/gm)];
  const byId = new Map(spans.map(([, , id, kind, parent]) => [id, { kind, parent }]));
  assertEquals([byId.size, new Set(spans.map(([, trace]) => trace)).size], [6, 1], plain);
  // From the last handler up to the first call.
  const last = spans.find(([, , id]) => ![...byId.values()].some(({ parent }) => parent === id))!;
  const kinds: string[] = [];
  for (let id: string | undefined = last[2]; id !== undefined; id = byId.get(id)!.parent) {
    kinds.push(byId.get(id)!.kind);
  }
  assertEquals(kinds, ["Server", "Client", "Server", "Client", "Server", "Client"], plain);
});
