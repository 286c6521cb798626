/** Servers and centers that can't start. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Center, Client, RpcError, Server } from "@erpc/erpc";

Deno.test("X30 a port in use is a clear error, nothing is registered, and the server can listen elsewhere", async () => {
  await using center = new Center();
  await center.listen("tcp://127.0.0.1:0");
  await using server = new Server({ center: center.endpoint });
  server.handle("who.am", () => "a");
  const error = await assertRejects(
    () => server.listen(center.endpoint),
    RpcError,
    `Cannot listen on ${center.endpoint}`,
  );
  assertEquals([error.code, error.executed], ["unavailable", "no"]);
  assertEquals(server.registration, { state: "none", centers: [] });
  assertEquals((await center.registry.lookup("*")).instances, []);
  await server.listen();
  assertEquals(server.registration.state, "registered");
  await using client = new Client({ center: center.endpoint });
  assertEquals(await client.call("who.am"), "a");
});

Deno.test("a server or a center that is closed while it begins to listen, listens nowhere and leaves nothing behind", async () => {
  const nowhere = "memory://nobody-listens-here";
  for (const endpoint of ["tcp://127.0.0.1:0", `unix://${Deno.makeTempDirSync()}/s`, "memory://closed-at-once"]) {
    for (const turns of [0, 1, 2, 3, 5, 8]) {
      for (const it of [new Server({ center: nowhere }), new Center()]) {
        if (it instanceof Server) it.handle("who.am", () => "a");
        const listening = it.listen(endpoint).then(() => "listens", (error) => error.code);
        for (let turn = 0; turn < turns; turn++) await undefined;
        const closing = it.close();
        const outcome = await listening;
        assert(outcome === "unavailable" || outcome === "listens", outcome);
        await closing;
        // Whatever it said, it is over: nobody registers it, and the address is free.
        if (it instanceof Server) assert(["none", "stopped"].includes(it.registration.state), it.registration.state);
        await using other = new Server();
        await other.listen(endpoint);
      }
    }
  }
});

Deno.test("X30 a bad address is misuse, a folder that is not there is not, for servers and centers", async () => {
  await using server = new Server();
  await using center = new Center();
  for (const it of [server, center]) {
    for (const wrong of ["127.0.0.1:0", "tcp://127.0.0.1", "udp://127.0.0.1:1", "tcp://127.0.0.1:70000", ""]) {
      await assertRejects(() => it.listen(wrong), TypeError, "Cannot use endpoint");
    }
    const error = await assertRejects(() => it.listen("unix:///nowhere/at/all"), RpcError, "Cannot listen on unix:");
    assertEquals(error.code, "unavailable");
  }
});

/** Runs a program that can't start, and gives what it left. */
async function run(program: string, permissions: string[]): Promise<{ code: number; stderr: string }> {
  const mod = JSON.stringify(new URL("../../mod.ts", import.meta.url).href);
  const source = `data:application/typescript,${
    encodeURIComponent(`import { Center, Server } from ${mod};\n${program}`)
  }`;
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--no-prompt", ...permissions, source],
    env: { NO_COLOR: "1" },
  }).output();
  return { code, stderr: new TextDecoder().decode(stderr) };
}

Deno.test("X30 a program whose server can't start ends with an exit code, and says why", async () => {
  await using taken = new Server();
  await taken.listen();
  const { code, stderr } = await run(
    `
    const center = new Center();
    await center.listen("tcp://127.0.0.1:0");
    const server = new Server({ center: center.endpoint });
    server.handle("who.am", () => 1);
    await server.listen(${JSON.stringify(taken.endpoint)});`,
    ["--allow-net=127.0.0.1"],
  );
  assertEquals(code, 1);
  assert(stderr.includes(`Cannot listen on ${taken.endpoint}`), stderr);
});

Deno.test("X30 a program that may not listen ends with an exit code, and says why", async () => {
  const { code, stderr } = await run(`await new Server().listen("tcp://127.0.0.1:0");`, []);
  assertEquals(code, 1);
  assert(/Cannot listen on tcp:\/\/127\.0\.0\.1:0.*--allow-net/s.test(stderr), stderr);
});
