/** What a call says of itself beside its message: where it comes from, how often it was tried, how much it matters. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  type CallOptions,
  Client,
  type ClientOptions,
  type Context,
  RpcError,
  Server,
  type ServerOptions,
  service,
  unary,
} from "@erpc/erpc";
import { type Criticality, TraceContext } from "@erpc/erpc/extend";

const Chain = service("test.Chain", {
  plain: unary<number, string>({ idempotent: true }),
  optional: unary<number, string>({ criticality: "sheddable" }),
  vital: unary<number, string>({ criticality: "critical" }),
});
type Name = keyof typeof Chain.methods;

interface ChainOptions {
  client?: ClientOptions;
  server?: ServerOptions;
  /** The method by which the server calls itself. */
  next?: Name;
}

/** Calls a server that calls itself as often as it is told to; gives what `show` makes of the last context. */
async function callChain<T>(
  show: (ctx: Context) => T,
  first: Name,
  calls: number,
  options: ChainOptions & { call?: CallOptions } = {},
): Promise<T> {
  await using server = new Server(options.server);
  const name = `memory://header-${crypto.randomUUID()}`;
  await using client = new Client({ endpoints: [name], ...options.client });
  const self = client.service(Chain);
  const shown: T[] = [];
  const answer = (left: number, ctx: Context): string | Promise<string> => {
    if (left > 0) return self[options.next ?? "plain"](left - 1, { parent: ctx });
    shown.push(show(ctx));
    return "";
  };
  server.handle(Chain, { plain: answer, optional: answer, vital: answer });
  await server.listen(name);
  await self[first](calls, options.call);
  return shown[0];
}

Deno.test("ctx.hop counts the calls that led to this one", async () => {
  for (const calls of [0, 1, 5]) assertEquals(await callChain((ctx) => ctx.hop, "plain", calls), calls);
});

Deno.test("services that call each other in a circle end at the server's maxHops", async () => {
  const server = { limits: { maxHops: 7 } };
  assertEquals(await callChain((ctx) => ctx.hop, "plain", 7, { server }), 7);
  const error = await assertRejects(() => callChain((ctx) => ctx.hop, "plain", 1_000_000, { server }), RpcError);
  assertEquals([error.code, error.executed, error.retryAfterMs], ["resource_exhausted", "yes", -1]);
  assertEquals(error.message.includes("limits.maxHops is 7"), true, error.message);
  assertThrows(() => new Server({ limits: { maxHops: 255 } }), RangeError, "maxHops");
});

Deno.test("ctx.attempt counts what was tried before, here and in the calls that led here", async () => {
  let failures = 2;
  const client: ClientOptions = { retry: { firstBackoffMs: 0 } };
  const show = (ctx: Context) => {
    if (failures-- > 0) throw new RpcError("unavailable", "as planned");
    return ctx.attempt;
  };
  assertEquals(await callChain(show, "plain", 0, { client }), 2);
  const again: ClientOptions = {
    interceptors: [(next) => (call) => next(call.hop === 0 ? call.with({ attempt: 2 }) : call)],
  };
  assertEquals(await callChain((ctx) => [ctx.hop, ctx.attempt], "plain", 3, { client: again }), [3, 2]);
});

Deno.test("ctx.criticality is what the call says, or its method and its parent, or the client", async () => {
  const rows: [Criticality, Name, number, (ChainOptions & { call?: CallOptions })?][] = [
    ["default", "plain", 0],
    ["sheddable", "optional", 0],
    ["critical", "vital", 0],
    ["sheddable", "vital", 0, { call: { criticality: "sheddable" } }],
    ["default", "vital", 0, { call: { criticality: "default" } }],
    ["critical", "plain", 0, { client: { criticality: "critical" } }],
    ["sheddable", "optional", 0, { client: { criticality: "critical" } }],
    // From call to call.
    ["critical", "vital", 3],
    ["sheddable", "optional", 3],
    ["sheddable", "optional", 1, { next: "vital" }],
    ["sheddable", "vital", 1, { next: "optional" }],
    ["critical", "plain", 1, { next: "vital" }],
  ];
  for (const [expected, first, calls, options] of rows) {
    const seen = await callChain((ctx) => ctx.criticality, first, calls, options);
    assertEquals(seen, expected, JSON.stringify([first, calls, options]));
  }
});

Deno.test("a criticality that there is none of is refused where it is written", () => {
  const wrong = { criticality: "urgent" as Criticality };
  assertThrows(() => unary(wrong), TypeError, "urgent");
  assertThrows(() => new Client(wrong), TypeError, "urgent");
});

Deno.test("a trace goes on from call to call, and a handler may write its own span into it", async () => {
  const trace = TraceContext.parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=1")!;
  assertEquals(await callChain((ctx) => ctx.trace, "plain", 2), undefined);
  const client: ClientOptions = {
    interceptors: [(next) => (call) => next(call.hop === 0 ? call.with({ trace }) : call)],
  };
  assertEquals(await callChain((ctx) => ctx.trace, "plain", 2, { client }), trace);
  const server: ServerOptions = {
    interceptors: [(next) => (call) => {
      const { context } = call;
      if (context?.trace !== undefined) {
        context.trace = TraceContext.of({
          traceId: context.trace.traceId,
          spanId: `000000000000000${context.hop + 1}`,
        });
      }
      return next(call);
    }],
  };
  const last = await callChain((ctx) => ctx.trace, "plain", 2, { client, server });
  assertEquals([last?.traceId, last?.spanId], [trace.traceId, "0000000000000003"]);
});
