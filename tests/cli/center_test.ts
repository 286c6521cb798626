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

Deno.test("erpc center, tokens on the command line and in a file, are what it asks for", async () => {
  const file = `${await Deno.makeTempDir()}/tokens.json`;
  await Deno.writeTextFile(file, JSON.stringify([{ token: "reader", watch: ["*"] }]));
  const args = [
    "center",
    "--listen",
    "tcp://127.0.0.1:0",
    "--token",
    "boss",
    "--tokens",
    file,
    "--quota",
    "instances=1",
  ];
  await using running = start(args);
  const [, endpoint] = await running.io.until(LISTENS);
  const list = async (token: string) => (await erpc(["list", "--token", token, "--center", endpoint])).code;
  assertEquals([await list("boss"), await list("reader"), await list("nobody")], [0, 0, 1]);
  await using server = new Server({ center: endpoint, token: "boss", id: "words-1" });
  server.handle("demo.hello", () => "hello");
  await server.listen();
  assertEquals(server.registration.state, "registered");
  await using second = new Server({ center: endpoint, token: "boss", id: "words-2" });
  second.handle("demo.hello", () => "hello");
  await second.listen();
  assertMatch(second.registration.centers[0].error ?? "", /there would be 2 instances, and the registry takes 1/);
  await using reader = new Server({ center: endpoint, token: "reader", id: "words-3" });
  reader.handle("demo.hello", () => "hello");
  await reader.listen();
  assertMatch(reader.registration.centers[0].error ?? "", /Cannot register instance "words-3"/);
});

Deno.test("erpc center, with data, has its routing rules when it is started again", async () => {
  const data = `${await Deno.makeTempDir()}/data`;
  const rule = JSON.stringify({ name: "canary", service: "demo", to: [{ version: "2" }], otherwise: "all" });
  for (const life of [1, 2]) {
    await using running = start(["center", "--listen", "tcp://127.0.0.1:0", "--data", data]);
    const [, endpoint] = await running.io.until(LISTENS);
    if (life === 1) assertEquals((await erpc(["route", "set", rule, "--center", endpoint])).code, 0);
    assertMatch((await erpc(["route", "list", "--center", endpoint])).out, /canary/);
    running.io.stop();
    assertEquals(await running.ended, 0);
  }
});

Deno.test("erpc center, options that can't be used, say so, exit code 2", async () => {
  const file = `${await Deno.makeTempDir()}/tokens.json`;
  const rows: [string[], RegExp][] = [
    [["--quota", "instances"], /^Cannot use quota "instances": write it as name=count\n/],
    [["--quota", "instance=5"], /^There is no quota "instance"; did you mean "instances"\?\n/],
    [["--tokens", file], /^Cannot read .*tokens\.json: No such file/],
  ];
  for (const [args, message] of rows) {
    const { code, err } = await erpc(["center", "--listen", "tcp://127.0.0.1:0", ...args]);
    assertEquals(code, 2);
    assertMatch(err, message);
  }
  for (
    const [text, message] of [["{", /as JSON/], ["{}", /must be a list/], ["[{}]", /token 1 of the center/]] as const
  ) {
    await Deno.writeTextFile(file, text);
    const { code, err } = await erpc(["center", "--listen", "tcp://127.0.0.1:0", "--tokens", file]);
    assertEquals(code, 2);
    assertMatch(err, message);
  }
});
