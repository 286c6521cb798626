/** Processes that stand still for a while, as in a long collection of garbage or on a machine that sleeps. */
import { assert, assertEquals } from "@std/assert";
import { Center, Client, type RpcError, Server } from "@erpc/erpc";
import { within } from "../../src/testing/contract.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { ask, FOR_EVER, Interop, interopHandlers, TAG, Traces } from "../support/interop.ts";
import { ClientProcess, ServerProcess } from "./processes.ts";

Deno.test("X20 a server that stands still for 20 s is evicted, registers again, and its late answers harm nobody", async () => {
  // The server's clock is real, those of the center and the client are the test's.
  const platform = virtualPlatform(1);
  const { clock } = platform;
  await using center = new Center({ platform });
  await center.listen("tcp://127.0.0.1:0");
  // Admission would let late calls wait for a moment, and never run those that were taken back meanwhile.
  const admission = false;
  await using server = await ServerProcess.start({ center: center.endpoint, id: "sleeper", beatMs: 50, admission });
  // Without the center, or the client would let go of the connection that the late answers come on.
  await using client = new Client({ endpoints: [server.endpoint], platform });
  const interop = client.service(Interop);
  const stop = new AbortController();
  const changes = center.registry.watch("test.Interop", { signal: stop.signal })[Symbol.asyncIterator]();
  const next = async () => (await within(changes.next(), "a change in the registry")).value;
  assertEquals((await next()).instances.length, 1);

  await interop.empty(new Uint8Array(0));
  const settled: string[] = [];
  const noted = (call: Promise<unknown>) => {
    call.then(() => settled.push("answered"), (error: RpcError) => settled.push(error.code));
  };
  const options = (tag: string) => ({ timeoutMs: 5_000, metadata: { [TAG]: tag } });
  for (const tag of ["a", "b"]) noted(interop.unary(ask({ delayMs: FOR_EVER }), options(tag)));
  await server.begun(2);
  await server.pause();
  // These are answered before anybody there sees that they were taken back.
  for (let i = 0; i < 20; i++) noted(interop.empty(new Uint8Array(i), options(`${i}`)));
  for (let second = 0; second < 20; second++) await clock.advance(1_000);
  assertEquals(settled, Array(22).fill("deadline_exceeded"));
  assertEquals((await next()).changes, [{ kind: "removed", instanceId: "sleeper", cause: "expired" }]);

  server.kill("SIGCONT");
  const [change] = (await next()).changes;
  assertEquals([change.kind, change.instance.id], ["put", "sleeper"]);
  await server.begun(20);
  // What was answered late comes before this, on the same connection.
  assertEquals(await interop.empty(new Uint8Array(500)), new Uint8Array(500));
  assertEquals(settled.length, 22);
  const { connectionsOpened, violations } = client.stats().counters;
  assertEquals([connectionsOpened, violations], [1, 0]);
  stop.abort();
  await changes.return?.();
});

Deno.test("X21 a client that stands still past its deadlines, each call ends once, on resuming, without a storm of timers", async () => {
  const traces = new Traces();
  await using server = new Server();
  server.handle(Interop, interopHandlers(traces));
  await server.listen();
  const count = 200;
  await using client = new ClientProcess("expire", server.endpoint, String(count), "300");
  const calls = Array.from({ length: count }, (_, i) => traces.of(`expire-${i}`));
  await Promise.all(calls.map(({ begun }) => begun.promise));
  await client.pause();
  // The server's deadlines are later than the client's: once they have passed, so have those.
  await within(Promise.all(calls.map(({ fate }) => fate.promise)), "the server's deadlines to pass");
  client.kill("SIGCONT");
  const { timers, settled } = JSON.parse(await within(client.line(/^settled (.*)$/), "the client's calls to settle"));
  assertEquals(settled.length, count);
  assertEquals(new Set(settled).size, count, "a call has settled twice");
  assert(settled.every((line: string) => line.endsWith("deadline_exceeded")), settled.join());
  assert(timers <= 20, `${timers} timers fired`);
  assertEquals((await client.ended()).code, 0);
});
