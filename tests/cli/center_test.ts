import { assertEquals, assertMatch } from "@std/assert";
import { Client, Server } from "@erpc/erpc";
import { erpc, start } from "./fake_io.ts";

const LISTENS = /The center listens on (\S+)/;

Deno.test("erpc center, runs, finds servers for clients, and ends with exit code 0 when interrupted", async () => {
  await using running = start(["center", "--listen", "tcp://127.0.0.1:0"]);
  const [, endpoint] = await running.io.until(LISTENS);
  {
    await using server = new Server({ center: endpoint });
    server.handle("demo.hello", () => "hello");
    await server.listen();
    await using client = new Client({ center: endpoint });
    assertEquals(await client.call("demo.hello"), "hello");
  }
  running.io.stop();
  assertEquals(await running.ended, 0);
  assertEquals(running.io.out, "");
  const lines = running.io.err.trimEnd().split("\n");
  for (const line of lines) assertMatch(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (info |warn |error) \S/);
  assertMatch(lines[0], LISTENS);
  assertMatch(lines.at(-1) ?? "", / info {2}The center is closed$/);
});

Deno.test("erpc center, log level error, is silent about its life", async () => {
  await using running = start(["center", "--listen", "memory://erpc-center-log", "--log", "error"]);
  running.io.stop();
  assertEquals(await running.ended, 0);
  assertEquals(running.io.err, "");
});

Deno.test("erpc center, log level debug, tells of every instance on one line", async () => {
  await using running = start(["center", "--listen", "tcp://127.0.0.1:0", "--log", "debug"]);
  const [, endpoint] = await running.io.until(LISTENS);
  await using server = new Server({ center: endpoint, id: "words-1" });
  server.handle("demo.hello", () => "hello");
  await server.listen();
  await running.io.until(/ info {2}Listed instance "words-1" of incarnation \d+ at tcp:\S+ \(revision 1.*\)\n/);
});

Deno.test("erpc center, the address is taken, one line says so, exit code 1", async () => {
  await using running = start(["center", "--listen", "tcp://127.0.0.1:0"]);
  const [, endpoint] = await running.io.until(LISTENS);
  const { code, out, err } = await erpc(["center", "--listen", endpoint]);
  assertEquals([code, out], [1, ""]);
  assertMatch(err, /^unavailable: Cannot listen on tcp:\/\/127\.0\.0\.1:\d+: Address already in use.*\n$/);
});
