import { assert, assertEquals, assertLess, assertMatch, assertStringIncludes } from "@std/assert";
import { Program, run } from "./program.ts";

/** An endpoint of this machine where nobody listens. */
function deadEndpoint(): string {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return `tcp://127.0.0.1:${listener.addr.port}`;
}

Deno.test("center.ts, server.ts and client.ts, greet and close cleanly, in three processes", async () => {
  await using center = new Program("center.ts", "tcp://127.0.0.1:0");
  const endpoint = await center.line(/^The center listens on (tcp:\S+)$/);
  await using server = new Program("server.ts", endpoint);
  await server.line(/^The server listens on (tcp:\S+)$/);

  assertEquals(await run("client.ts", endpoint), { code: 0, stdout: "Hello, world!\n", stderr: "" });

  server.kill("SIGINT");
  await server.line(/^The server is closed$/);
  const { code, stderr } = await server.ended();
  assertEquals({ code, stderr }, { code: 0, stderr: "" });

  const lonely = await run("client.ts", endpoint);
  assertEquals(lonely.code, 1);
  assertStringIncludes(
    lonely.stderr,
    'Cannot call service "demo": no instance of it is registered yet, and the registry has only just started\n',
  );

  center.kill("SIGTERM");
  await center.line(/^The center is closed$/);
  assertEquals((await center.ended()).code, 0);
});

Deno.test("client.ts, says what to start, without a center", async () => {
  const endpoint = deadEndpoint();
  const { code, stdout, stderr } = await run("client.ts", endpoint);
  assertEquals(code, 1);
  assertEquals(stdout, "");
  assertStringIncludes(stderr, `Cannot connect to ${endpoint}`);
  assertStringIncludes(stderr, "Are examples/center.ts and examples/server.ts running?\n");
});

Deno.test("server.ts, says that it waits for the center, without one", async () => {
  const endpoint = deadEndpoint();
  await using server = new Program("server.ts", endpoint);
  await server.line(/^The server listens on/);
  server.kill("SIGTERM");
  const { code, stderr } = await server.ended();
  assertEquals(code, 0);
  assertStringIncludes(stderr, `There is no center at ${endpoint} yet`);
});

Deno.test("calculator.ts, calculates, through a typed client", async () => {
  assertEquals(await run("calculator.ts"), {
    code: 0,
    stdout: "40 + 2 = 42\n40 − 2 = 38\n40 ÷ 0 : invalid_argument - Cannot divide by zero\n",
    stderr: "",
  });
});

Deno.test("streams.ts, shows each kind of method, and that leaving a stream ends its handler", async () => {
  const { code, stdout, stderr } = await run("streams.ts");
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  for (
    const expected of [
      "  { words: 3 }\n",
      '  { line: 2, text: "on little cat feet." }\n  { line: 5, text: "and then moves on." }\n',
      "  1\n  2\n  3\n  the handler has ended: ctx.signal.aborted is true\n",
      "  { words: 18 }\n",
      "  < THE FOG COMES\n",
      "  < ON LITTLE CAT FEET.\n",
      "  the server noted: remember the fog\n",
    ]
  ) assertStringIncludes(stdout, expected);
});

Deno.test("balance.ts, counts calls per server, and moves keys only to the server that joined", async () => {
  const { code, stdout, stderr } = await run("balance.ts");
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  const rows = new Map(stdout.trim().split("\n").map((line) => [line.slice(0, 16).trim(), line.slice(16)]));
  const cells = (label: string) => rows.get(label)?.trim().split(/\s+/) ?? [];

  for (const name of ["random", "round_robin", "consistent_hash"]) {
    const calls = cells(name).map(Number);
    assertEquals(calls.length, 3, stdout);
    assertEquals(calls.reduce((sum, count) => sum + count), 600, stdout);
    // Taking turns begins anew whenever one of the three connections comes up.
    if (name === "round_robin") assertLess(Math.max(...calls) - Math.min(...calls), 20, stdout);
    assert(calls.every((count) => count > 0), stdout);
  }

  const [before, after] = [cells("three servers"), cells("with dan")];
  assertEquals(before.length, cells("hash key").length, stdout);
  const moved = after.filter((server, i) => server !== before[i]);
  assertEquals(moved, moved.map(() => "dan"), stdout);
  assert(moved.length > 0 && moved.length < after.length, stdout);
});

Deno.test("canary.ts, sends as many users to the new version as the rule says, and none back", async () => {
  const { code, stdout, stderr } = await run("canary.ts");
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  const rows = stdout.trim().split("\n").slice(1).map((line) => line.replace("%", "").trim().split(/\s+/).map(Number));
  assertEquals(rows.map(([percent]) => percent), [0, 10, 50, 100], stdout);
  let last = 0;
  for (const [percent, old, fresh, forward, back] of rows) {
    assertEquals([old + fresh, forward, back], [1_000, fresh - last, 0], stdout);
    // The keys are always the same, so these figures are, too.
    assertLess(Math.abs(fresh - percent * 10), 40, stdout);
    last = fresh;
  }
  assertEquals([rows[0][2], rows[3][1]], [0, 0], stdout);
});

Deno.test("cluster.ts, shares the work among as many processes as it says", async () => {
  const { code, stdout, stderr } = await run("cluster.ts", "2", "300");
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  const rows = stdout.trim().split("\n").slice(3).map((line) => line.trim().split(/\s{2,}/));
  assertEquals(rows.map(([servers]) => servers), ["1", "2"], stdout);
  assertEquals(rows.map((row) => row.length), [4, 5], stdout);
});

Deno.test("worker.ts, answers other calls while a worker computes, and ends what overruns its deadline", async () => {
  const { code, stdout, stderr } = await run("worker.ts");
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  const pings = (label: string) => Number(new RegExp(`^${label} +(\\d+)`, "m").exec(stdout)?.[1]);
  assert(pings("in a worker") > 5 * pings("in the server's thread"), stdout);
  assertStringIncludes(stdout, "primes below 9007199254740991: deadline_exceeded\nprimes below 100: 25\n");
});

Deno.test("msgpack.ts, brings back bytes and 64-bit integers as what they were", async () => {
  const { code, stdout, stderr } = await run("msgpack.ts");
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  const received = stdout.slice(stdout.indexOf("received"));
  assertStringIncludes(received, "takenAtNs: 1767225600123456789n");
  assertStringIncludes(received, "pixels: Uint8Array(4) [ 255, 245, 127, 0 ]");
});

Deno.test("logging.ts, shows the cause of a failure to the log and not to the caller", async () => {
  const { code, stdout, stderr } = await run("logging.ts");
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /^The server listens on tcp:/m);
  assertMatch(stdout, /^info {2}The server listens on tcp:/m);
  assertMatch(stderr, /^The handler of "demo\/fail" failed Error: the disk is full$/m);
  assertMatch(stdout, /^error The handler of "demo\/fail" failed Error: the disk is full$/m);
  assertEquals(
    stdout.match(/the caller sees only: The handler failed; the logger of its server was told why\n/g)?.length,
    2,
    stdout,
  );
});

Deno.test("auth.ts, lets those in who show the token", async () => {
  assertEquals(await run("auth.ts"), {
    code: 0,
    stdout: 'with "sesame": { holds: "what is in box 7" }\nwith "please": unauthenticated, Show a token\n',
    stderr: "",
  });
});

Deno.test("hedge.ts, answers slow calls from another server", async () => {
  const { code, stdout, stderr } = await run("hedge.ts", "300");
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  const row = (name: string) => new RegExp(`^${name} +(.*)$`, "m").exec(stdout)?.[1].split(/ +/).map(Number) ?? [];
  assertEquals(row("without").slice(3, 5), [0, 0], stdout);
  const [hedges, won] = row("with").slice(3, 5);
  assert(hedges > 0 && won > 0 && hedges >= won, stdout);
});

Deno.test("overload.ts, refuses what is too much, where it has admission", async () => {
  const { code, stdout, stderr } = await run("overload.ts", "0.5");
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  const rows = [...stdout.matchAll(/^(without|an? .*?) +(\d+) +(\d+) +(\S+) +(\d+) %$/gm)]
    .map(([, name, perSecond, , , refused]) => [name, Number(perSecond), Number(refused) > 0] as const);
  assertEquals(rows.length, 9, stdout);
  for (const [name, perSecond, refused] of rows) {
    if (name === "without") assert(!refused, stdout);
    else if (perSecond === 2_000) assert(refused, stdout);
  }
});

Deno.test("zones.ts, keeps calls near while there is room, and sends only the excess further away", async () => {
  const { code, stdout, stderr } = await run("zones.ts", "200");
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  const rows = stdout.trim().split("\n").filter((line) => /\d$/.test(line))
    .map((line) => line.slice(20).trim().split(/\s+/).map(Number));
  assertEquals(rows.length, 7, stdout);
  const [anywhere, calm, busy, full, strict, gone, goneStrict] = rows.map(([, ...zones]) => zones);
  assert(anywhere.slice(0, 3).every((count) => count > 40), stdout);
  assertEquals(calm, [200, 0, 0, 0], stdout);
  assert(busy[0] > busy[1] && busy[1] > 0 && busy[2] === 0, stdout);
  assert(full[0] >= full[2] && full[1] >= full[2] && full[2] > 0, stdout);
  assertEquals(strict, [200, 0, 0, 0], stdout);
  assertEquals(gone, [0, 200, 0, 0], stdout);
  assertEquals(goneStrict, [0, 0, 0, 200], stdout);
});

Deno.test("deploy.ts, replaces servers under load, and no call fails", async () => {
  const { code, stdout, stderr } = await run("deploy.ts", "2", "50", "3");
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  assertMatch(stdout, /^old-1 +new-1 +\d+ +0 /m);
  assertStringIncludes(stdout, "150 calls, 0 failed (0 of those that may run twice)");
});

Deno.test("simulate.ts, sells through partitions and crashes, the same each time", async () => {
  const first = await run("simulate.ts");
  assertEquals({ code: first.code, stderr: first.stderr }, { code: 0, stderr: "" });
  const lines = first.stdout.trim().split("\n");
  assertEquals(lines.length, 5, first.stdout);
  for (const line of lines) {
    assertMatch(line, /^seed \d, \d+ virtual s: 15 in the books, \{"sold":1\d,.*"unavailable":\d/);
  }
  assertEquals(await run("simulate.ts"), first);
});
