/** Processes that are killed: the system closes their sockets, and nobody says goodbye. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Client, RpcError, Server } from "@erpc/erpc";
import { systemTransport } from "../../src/transport/transport.ts";
import { within } from "../../src/testing/contract.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { ask, Interop, interopHandlers, TAG, Traces } from "../support/interop.ts";
import { until } from "../support/until.ts";
import { ClientProcess, ServerProcess } from "./processes.ts";

/** How long it may take that a lost connection is noticed; really it is a few milliseconds. */
const SOON_MS = 2_000;

async function startServer(traces = new Traces()): Promise<Server> {
  const server = new Server();
  server.handle(Interop, interopHandlers(traces));
  await server.listen();
  return server;
}

Deno.test("X1 kill -9 of a server, unary calls settle as unavailable, idempotent ones are answered elsewhere, none runs twice", async () => {
  await using doomed = await ServerProcess.start({ deaf: true });
  const ranElsewhere: string[] = [];
  await using other = await startServer(new Traces((what, tag) => what === "begun" && ranElsewhere.push(tag)));
  await using client = new Client({ endpoints: [doomed.endpoint, other.endpoint] });
  const interop = client.service(Interop);
  const outcomes = new Map<string, string>();
  const calls = Array.from({ length: 40 }, async (_, i) => {
    const once = i % 4 < 2;
    const tag = `${once ? "once" : "idempotent"}-${i}`;
    const call = once ? interop.unary : interop.repeat;
    const outcome = await call(ask({}), { metadata: { [TAG]: tag } }).then(
      () => "answered",
      (error) => `${error.code}, ran: ${error.executed}`,
    );
    outcomes.set(tag, outcome);
  });
  const lost = await doomed.begun(20);
  assertEquals(lost.filter((tag) => tag.startsWith("once")).length, 10);
  doomed.kill("SIGKILL");
  await within(Promise.all(calls), "every call to settle", SOON_MS);
  for (const [tag, outcome] of outcomes) {
    const expected = lost.includes(tag) && tag.startsWith("once") ? "unavailable, ran: maybe" : "answered";
    assertEquals(outcome, expected, tag);
  }
  assertEquals(new Set(ranElsewhere).size, ranElsewhere.length);
  assertEquals(ranElsewhere.filter((tag) => tag.startsWith("once") && lost.includes(tag)), []);
});

Deno.test("X2 kill -9 of a server during a server stream, what came is a gapless beginning and then it fails", async () => {
  await using doomed = await ServerProcess.start();
  await using client = new Client({ endpoints: [doomed.endpoint] });
  const numbers = client.service(Interop).count({ from: 0, to: 1e9, textBytes: 100 });
  let expected = 0;
  const error = await assertRejects(async () => {
    for await (const { n } of numbers) {
      assertEquals(n, expected++);
      if (n === 500) doomed.kill("SIGKILL");
    }
  }, RpcError);
  assertEquals(error.code, "unavailable");
  assert(expected > 500);
});

Deno.test("X3 kill -9 of a server during a client stream, the call fails, the requests are let go, little was taken of them", async () => {
  await using doomed = await ServerProcess.start();
  await using client = new Client({ endpoints: [doomed.endpoint] });
  const interop = client.service(Interop);
  const size = 16 * 1024;
  let taken = 0;
  const full = Promise.withResolvers<void>();
  const letGo = Promise.withResolvers<void>();
  async function* requests() {
    try {
      for (;;) {
        if (++taken * size > 128 * 1024) full.resolve();
        yield ask({}, size);
      }
    } finally {
      letGo.resolve();
    }
  }
  await interop.empty(new Uint8Array(0));
  await doomed.pause();
  const call = interop.sumIn(requests()).catch((error) => error);
  await full.promise;
  doomed.kill("SIGKILL");
  const error: RpcError = await within(call, "the call to fail", SOON_MS);
  assertEquals([error.code, error.executed], ["unavailable", "maybe"]);
  await within(letGo.promise, "the requests to be let go", SOON_MS);
  // The window of a stream, and the one that waits.
  assert(taken * size <= 256 * 1024 + 2 * size, `${taken} requests were taken`);
});

Deno.test("X4 kill -9 of a server, new calls fail nowhere, it is dialled once, and picked again when it is back", async () => {
  await using doomed = await ServerProcess.start();
  const { endpoint } = doomed;
  await using other = await startServer();
  const dialled = new Map<string, number>();
  const transport: typeof systemTransport = {
    ...systemTransport,
    connect(to, options) {
      dialled.set(to, (dialled.get(to) ?? 0) + 1);
      return systemTransport.connect(to, options);
    },
  };
  // Time stands still: whatever is dialled a second time before the pause is over is dialled for a call.
  const platform = virtualPlatform(1);
  await using client = new Client({ endpoints: [endpoint, other.endpoint], transport, platform });
  const interop = client.service(Interop);
  const callTen = async () => {
    for (let i = 0; i < 10; i++) await interop.empty(new Uint8Array(i));
  };
  const stateOfDoomed = () => client.stats().services[0].instances.find((one) => one.endpoint === endpoint)?.state;
  await callTen();
  assertEquals([dialled.get(endpoint), dialled.get(other.endpoint)], [1, 1]);
  doomed.kill("SIGKILL");
  await until(() => stateOfDoomed() === "idle");
  for (let round = 0; round < 5; round++) await callTen();
  assertEquals([dialled.get(endpoint), stateOfDoomed()], [2, "failing"]);

  await using back = await ServerProcess.start({ endpoint });
  await callTen();
  assertEquals(dialled.get(endpoint), 2);
  // No call has to find out whether it is back.
  await platform.clock.advance(200);
  await until(() => stateOfDoomed() === "ready");
  const before = other.stats().counters.callsReceived;
  await callTen();
  assertEquals([dialled.get(endpoint), stateOfDoomed()], [3, "ready"]);
  assertEquals(other.stats().counters.callsReceived - before, 5);
  assertEquals(back.endpoint, endpoint);
});

Deno.test("X5 kill -9 of a client, the handlers of its calls are aborted, and nothing of it is left", async () => {
  const traces = new Traces();
  await using server = await startServer(traces);
  await using doomed = new ClientProcess("hold", server.endpoint);
  const calls = ["unary", "sumIn", "streamOut", "duplex", "count"].map((tag) => traces.of(tag));
  await Promise.all(calls.map(({ begun }) => begun.promise));
  doomed.kill("SIGKILL");
  const fates = await within(Promise.all(calls.map(({ fate }) => fate.promise)), "the handlers to end", SOON_MS);
  assertEquals(fates, calls.map(() => "aborted"));
  await until(() => server.stats().connections === 0 && server.stats().handlers === 0);
  assertEquals(server.stats().counters.violations, 0);
});
