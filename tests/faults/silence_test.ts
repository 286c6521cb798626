/**
 * The other side falls silent and nobody resets the connection: its process stands still, or the network takes everything.
 * Processes and sockets are real; the clock of the side that has to notice is a test's, so that the default times hold.
 */
import { assert, assertEquals } from "@std/assert";
import { Client, type RpcError, Server } from "@erpc/erpc";
import { inputSeen, runtimePlatform } from "../../src/core/platform.ts";
import { within } from "../../src/testing/contract.ts";
import { type VirtualClock, virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { ask, FOR_EVER, Interop, interopHandlers, TAG, Traces } from "../support/interop.ts";
import { startProxy } from "../support/proxy.ts";
import { until } from "../support/until.ts";
import { ClientProcess, ServerProcess } from "./processes.ts";

/** How long a ping may take to be answered, and what deadlines are rounded by. */
const PING_MS = 5_000 + 50;
/** The longest silence while calls are running: a ping goes out after 15 s. */
const DETECT_MS = 15_000 + PING_MS;

const NEVER = ask({ delayMs: FOR_EVER });
const LONG = { timeoutMs: 3_600_000 };

/** What a call ends with, and when. */
function outcomeOf(call: Promise<unknown>, clock: VirtualClock): { settled: boolean; code?: string; at: number } {
  const outcome: { settled: boolean; code?: string; at: number } = { settled: false, at: Infinity };
  call.then(() => "ok", (error: RpcError) => error.code).then((code) => {
    Object.assign(outcome, { settled: true, code, at: clock.now() });
  });
  return outcome;
}

/** Lets time pass in steps, with turns of the event loop between them in which sockets are served. */
async function pass(clock: VirtualClock, ms: number, isOver: () => boolean): Promise<void> {
  const end = clock.now() + ms;
  while (clock.now() < end && !isOver()) {
    await clock.advance(Math.min(100, end - clock.now()));
    await runtimePlatform.turn();
  }
}

for (const phaseMs of [0, 400, 900]) {
  Deno.test(`X13 a server that stands still, ${phaseMs} ms after it was dialled, is given up within 20 s of silence`, async () => {
    await using server = await ServerProcess.start();
    const platform = virtualPlatform(1);
    const { clock } = platform;
    await using client = new Client({ endpoints: [server.endpoint], platform });
    const interop = client.service(Interop);
    await interop.empty(new Uint8Array(0));
    await clock.advance(phaseMs);
    const call = outcomeOf(interop.unary(NEVER, { ...LONG, metadata: { [TAG]: "silent" } }), clock);
    await server.begun(1);
    await interop.empty(new Uint8Array(0)); // the last that is heard
    const heardAt = clock.now();
    await server.pause();
    await pass(clock, 30_000, () => call.settled);
    assertEquals(call.code, "unavailable");
    assert(call.at - heardAt <= DETECT_MS, `it was noticed after ${call.at - heardAt} ms`);
  });
}

Deno.test("X13 a server that has stood still since long, a new call asks first and fails long before its deadline", async () => {
  await using server = await ServerProcess.start();
  const platform = virtualPlatform(1);
  const { clock } = platform;
  await using client = new Client({ endpoints: [server.endpoint], platform });
  const interop = client.service(Interop);
  await interop.empty(new Uint8Array(0));
  await server.pause();
  await clock.advance(16_000);
  const calledAt = clock.now();
  const call = outcomeOf(interop.empty(new Uint8Array(0), { ...LONG, retry: false }), clock);
  await pass(clock, 30_000, () => call.settled);
  assertEquals(call.code, "unavailable");
  assert(call.at - calledAt <= PING_MS, `it was noticed after ${call.at - calledAt} ms`);
});

Deno.test("X13 a client that stands still, its handlers are aborted within 20 s of silence", async () => {
  const platform = virtualPlatform(1);
  const { clock } = platform;
  const traces = new Traces();
  await using server = new Server({ platform });
  server.handle(Interop, interopHandlers(traces));
  await server.listen();
  await using client = new ClientProcess("hold", server.endpoint);
  const calls = ["unary", "sumIn", "streamOut", "duplex", "count"].map((tag) => traces.of(tag));
  await Promise.all(calls.map(({ begun }) => begun.promise));
  await client.pause();
  await inputSeen(runtimePlatform); // what it sent until then
  const stoppedAt = clock.now();
  const ends = calls.map(({ fate }) => outcomeOf(fate.promise, clock));
  await pass(clock, 30_000, () => traces.running === 0);
  for (const { settled, at } of ends) {
    assert(settled && at - stoppedAt <= DETECT_MS, `it was noticed after ${at - stoppedAt} ms`);
  }
  await until(() => server.stats().connections === 0 && server.stats().handlers === 0);
});

Deno.test("X13 a network that takes everything, both sides notice; when it is back, the next call dials anew", async () => {
  const [near, far] = [virtualPlatform(1), virtualPlatform(2)];
  const traces = new Traces();
  await using server = new Server({ platform: far });
  server.handle(Interop, interopHandlers(traces));
  await server.listen();
  await using proxy = await startProxy(server.endpoint);
  await using client = new Client({ endpoints: [proxy.endpoint], platform: near });
  const interop = client.service(Interop);
  const call = outcomeOf(interop.unary(NEVER, { ...LONG, metadata: { [TAG]: "lost" } }), near.clock);
  await traces.of("lost").begun.promise;
  proxy.set({ up: { blackhole: true }, down: { blackhole: true } });
  await pass(near.clock, 30_000, () => call.settled);
  assertEquals(call.code, "unavailable");
  await pass(far.clock, 30_000, () => traces.running === 0);
  assertEquals(await within(traces.of("lost").fate.promise, "the handler to end"), "aborted");
  proxy.set({ up: {}, down: {} });
  assertEquals(await interop.empty(new Uint8Array(3)), new Uint8Array(3));
  assertEquals(proxy.accepted, 2);
});

for (const keepaliveMs of [15_000, 1_000]) {
  Deno.test(`I32 a quiet call outlives the pings that its server asks for every ${keepaliveMs} ms`, async () => {
    const platform = virtualPlatform(1);
    const { clock } = platform;
    await using server = new Server({ platform, limits: { keepaliveMs } });
    server.handle(Interop, interopHandlers(new Traces()));
    await server.listen(`memory://quiet-${keepaliveMs}`);
    await using client = new Client({ endpoints: [server.endpoint], platform });
    const stop = new AbortController();
    const call = outcomeOf(client.service(Interop).unary(NEVER, { ...LONG, signal: stop.signal }), clock);
    await clock.advance(120_000);
    assertEquals(call, { settled: false, at: Infinity });
    const pings = client.stats().counters.pingsSent + server.stats().counters.pingsSent;
    assert(pings >= 6, `there were only ${pings} pings`);
    stop.abort();
    await clock.advance(0);
    assertEquals(call.code, "cancelled");
  });
}
