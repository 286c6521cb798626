import { assertEquals, assertRejects } from "@std/assert";
import { Center, Client, RpcError, Server } from "@erpc/erpc";
import { Health, Reflection } from "@erpc/erpc/extend";
import { Words, words } from "../support/words.ts";

Deno.test("a server tells whether it is well, and those who watch when that changes", async () => {
  const server = new Server();
  server.handle(Words, words);
  await server.listen();
  await using client = new Client({ endpoints: [server.endpoint] });
  const health = client.service(Health);
  assertEquals(await health.check({}), { status: "serving" });
  assertEquals(await health.check(undefined), { status: "serving" });
  assertEquals(await health.check({ service: "demo.Words" }), { status: "serving" });
  assertEquals(await health.check({ service: "demo.Later" }), { status: "unknown" });
  const later = health.watch({ service: "demo.Later" });
  assertEquals((await later.next()).value, { status: "unknown" });
  server.handle("demo.Later/x", () => 1);
  assertEquals((await later.next()).value, { status: "serving" });
  const draining = server.drain();
  assertEquals((await later.next()).value, { status: "draining" });
  await later.return!();
  assertEquals((await draining).complete, true);
});

Deno.test("a server tells what it offers", async () => {
  await using server = new Server();
  server.handle(Words, words);
  server.handle("demo.hello", () => 1);
  await server.listen();
  await using client = new Client({ endpoints: [server.endpoint] });
  const { services } = await client.service(Reflection).services({});
  assertEquals(services.map(({ name }) => name), ["demo", "demo.Words", "erpc.Health", "erpc.Reflection"]);
  assertEquals(services[0], {
    name: "demo",
    fingerprint: "",
    methods: [{ name: "hello", kind: "unary", idempotent: false }],
  });
  assertEquals(services[1].fingerprint, Words.fingerprint);
  assertEquals(services[1].methods.map(({ name, kind }) => `${name} ${kind}`), [
    "add unary",
    "count unary",
    "note oneway",
    "search serverStream",
    "shout bidi",
    "total clientStream",
  ]);
});

Deno.test("health and reflection can be left out, and are never registered", async () => {
  await using center = new Center();
  await center.listen("tcp://127.0.0.1:0");
  await using server = new Server({ center: center.endpoint, health: false, reflection: false });
  server.handle(Words, words);
  await server.listen();
  assertEquals((await center.registry.lookup("*")).instances[0].services, ["demo.Words"]);
  await using client = new Client({ endpoints: [server.endpoint] });
  for (const name of ["erpc.Health/check", "erpc.Reflection/services"]) {
    assertEquals((await assertRejects(() => client.call(name), RpcError)).code, "unimplemented");
  }
});
