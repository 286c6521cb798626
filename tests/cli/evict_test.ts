import { assertEquals, assertMatch } from "@std/assert";
import { Center, Server } from "@erpc/erpc";
import { instanceOf } from "../registry/instances.ts";
import { until } from "../support/until.ts";
import { erpc } from "./fake_io.ts";

Deno.test("erpc evict, an instance that lives, comes back with its next beat", async () => {
  await using center = new Center();
  await center.listen("tcp://127.0.0.1:0");
  await using server = new Server({ center: center.endpoint, id: "words-1", beatMs: 20 });
  server.handle("demo.hello", () => "hello");
  await server.listen();
  const { code, out, err } = await erpc(["evict", "words-1", "--center", center.endpoint]);
  assertEquals([code, out, err], [0, 'Instance "words-1" is evicted\n', ""]);
  await until(async () => (await center.registry.lookup("demo")).instances.length === 1);
});

Deno.test("erpc drain, an instance that lives, stays away until it is started anew", async () => {
  await using center = new Center();
  await center.listen("tcp://127.0.0.1:0");
  const start = async () => {
    const server = new Server({ center: center.endpoint, id: "words-1", beatMs: 20 });
    server.handle("demo.hello", () => "hello");
    await server.listen();
    return server;
  };
  {
    await using server = await start();
    const { code, out, err } = await erpc(["drain", "words-1", "--center", center.endpoint]);
    assertEquals([code, out, err], [0, 'Instance "words-1" is drained\n', ""]);
    await until(() => server.registration.state === "fenced");
    assertEquals((await center.registry.lookup("demo")).instances, []);
    // Incarnations are milliseconds.
    const drainedAt = Date.now();
    await until(() => Date.now() > drainedAt);
  }
  await using server = await start();
  assertEquals(server.registration.state, "registered");
  assertEquals((await center.registry.lookup("demo")).instances.length, 1);
});

Deno.test("erpc evict and drain, at every center that is given; somebody who is nowhere, exit code 1", async () => {
  const centers = [new Center(), new Center()];
  for (const center of centers) await center.listen("tcp://127.0.0.1:0");
  const at = centers.flatMap((center) => ["--center", center.endpoint]);
  for (const center of centers) await center.registry.register(instanceOf("a"));
  assertMatch((await erpc(["drain", "a", ...at])).out, /^(Instance "a" is drained at tcp:\S+\n){2}$/);
  const { code, out, err } = await erpc(["evict", "a", ...at]);
  assertEquals([code, out], [1, ""]);
  assertMatch(err, /^(No instance "a" is listed at tcp:\S+\n){2}$/);
  for (const center of centers) await center.close();
});

Deno.test("erpc, a center with tokens, serves those who bring one and nobody else", async () => {
  const tokens = [
    { token: "boss", register: ["*"], watch: ["*"], admin: true },
    { token: "reader", watch: ["demo.Words"] },
  ];
  await using center = new Center({ tokens });
  await center.listen("tcp://127.0.0.1:0");
  await center.registry.register(instanceOf("a"));
  const ask = async (...args: string[]) => {
    const { code, err } = await erpc([...args, "--center", center.endpoint]);
    return code === 0 ? "ok" : err.split(":")[0];
  };
  assertEquals(await ask("list", "--token", "boss"), "ok");
  assertEquals(await ask("list", "--token", "reader"), "permission_denied");
  assertEquals(await ask("list", "demo.Words", "--token", "reader"), "ok");
  assertEquals(await ask("history", "--token", "reader"), "permission_denied");
  assertEquals(await ask("evict", "a", "--token", "reader"), "permission_denied");
  assertEquals(await ask("list"), "unauthenticated");
  assertEquals(await ask("list", "--token", "wrong"), "unauthenticated");
  assertEquals(await ask("evict", "a", "--token", "boss"), "ok");
});
