/** What the things that a call may carry cost, beside the plain call. */
import type { CallOptions, ClientOptions, Interceptor } from "../../mod.ts";
import { TraceContext } from "../../src/core/trace_context.ts";
import { columnsOf, type Contender, contest } from "./contest.ts";
import { callGreeter, serveGreeter } from "./greeter.ts";
import type { Section } from "./section.ts";

const METADATA: [string, string][] = [["tenant", "north"], ["request-id", "7f0c2a"], ["locale", "en"], [
  "tier",
  "gold",
]];
const TRACE = TraceContext.parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")!;

const pass: Interceptor = (next) => (call) => next(call);
const traced: Interceptor = (next) => (call) => {
  call.trace = TRACE;
  return next(call);
};

const ways: Readonly<Record<string, { client?: Omit<ClientOptions, "endpoints">; call?: CallOptions }>> = {
  plain: {},
  "4 entries of metadata": { call: { metadata: METADATA } },
  "3 interceptors": { client: { interceptors: [pass, pass, pass] } },
  "trace context": { client: { interceptors: [traced] } },
  "time-out": { call: { timeoutMs: 5_000 } },
  "signal": { call: { signal: new AbortController().signal } },
  "metadata, interceptors, trace": { client: { interceptors: [pass, pass, traced] }, call: { metadata: METADATA } },
  checksums: { client: { checksums: true } },
};

/** What the things that a call may carry cost. */
export const featuresSection: Section = {
  name: "features",
  roles: {
    serve: () => serveGreeter(),
    call: (endpoint, way) => callGreeter({ endpoints: [endpoint], ...ways[way].client }, ways[way].call),
  },
  async run(options, start) {
    await using stack = new AsyncDisposableStack();
    const contenders: Contender[] = [];
    for (const system of Object.keys(ways)) {
      const server = stack.use(await start("serve"));
      const client = stack.use(await start("call", server.hello as string, system));
      contenders.push({ system, client, servers: [server] });
    }
    return {
      title: "Unary calls with what they may carry",
      columns: columnsOf("calls", "plain"),
      rows: await contest(contenders, { inFlight: [64], yardstick: "plain" }, options),
    };
  },
};
