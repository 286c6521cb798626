import { assertEquals, assertMatch } from "@std/assert";
import { Center, MemoryRegistry, type Registry, Server } from "@erpc/erpc";
import { instanceOf } from "../registry/instances.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { erpc, FakeIo } from "./fake_io.ts";

const WARMING = "The center has just started: what is missing may not have returned yet\n";

async function startCenter(): Promise<Center> {
  const center = new Center({ platform: virtualPlatform(1) });
  await center.listen("tcp://127.0.0.1:0");
  return center;
}

Deno.test("erpc list, nothing is listed, says so on stderr, exit code 0", async () => {
  await using center = await startCenter();
  const { code, out, err } = await erpc(["list", "--center", center.endpoint]);
  assertEquals([code, out, err], [0, "", `No service is listed at ${center.endpoint}\n${WARMING}`]);
});

Deno.test("erpc list, instances with and without labels, a table by service and instance", async () => {
  await using center = await startCenter();
  const endpoints = ["tcp://10.0.0.8:4000", "unix:///run/b.sock"];
  await center.registry.register(instanceOf("b", { services: ["demo.Words", "demo.Zoo"], endpoints }));
  await center.registry.register(
    instanceOf("a-long", { services: ["demo.Zoo", "demo.Words"], zone: "eu-日本", version: "2.1.0", weight: 12.5 }),
  );
  const { code, out, err } = await erpc(["list", "--center", center.endpoint]);
  assertEquals([code, err], [0, WARMING]);
  assertEquals(out.split("\n"), [
    "SERVICE     INSTANCE  ENDPOINT                                ZONE     VERSION  WEIGHT  STATE  AGE  LEASE  LOAD",
    "demo.Words  a-long    tcp://10.0.0.7:4000                     eu-日本  2.1.0      12.5  ok      0s    15s     -",
    "demo.Words  b         tcp://10.0.0.8:4000,unix:///run/b.sock  -        -             1  ok      0s    15s     -",
    "demo.Zoo    a-long    tcp://10.0.0.7:4000                     eu-日本  2.1.0      12.5  ok      0s    15s     -",
    "demo.Zoo    b         tcp://10.0.0.8:4000,unix:///run/b.sock  -        -             1  ok      0s    15s     -",
    "",
  ]);
});

Deno.test("erpc list, a terminal, only the header has a style", async () => {
  await using center = await startCenter();
  await center.registry.register(instanceOf("a"));
  const { out } = await erpc(["list", "--center", center.endpoint], new FakeIo({ color: true }));
  // deno-lint-ignore no-control-regex
  assertMatch(out, /^\x1b\[1mSERVICE +INSTANCE [^\x1b]*\x1b\[0m\ndemo\.Words [^\x1b]*$/);
});

Deno.test("erpc list, the first center is dead, asks the other", async () => {
  await using center = await startCenter();
  await center.registry.register(instanceOf("a"));
  // Often enough that chance begins with the dead one.
  for (let round = 0; round < 8; round++) {
    const { code, out } = await erpc(["list", "--center", "tcp://127.0.0.1:1", "--center", center.endpoint]);
    assertEquals(code, 0);
    assertMatch(out, /^demo\.Words +a /m);
  }
});

Deno.test("erpc list, no center there, says what could not be reached, exit code 1", async () => {
  const { code, out, err } = await erpc(["list", "--center", "tcp://127.0.0.1:1"]);
  assertEquals([code, out], [1, ""]);
  assertMatch(err, /^unavailable: Cannot connect to tcp:\/\/127\.0\.0\.1:1: Connection refused.*\n$/);
});

Deno.test("erpc list, a server that is no center, says so, exit code 1", async () => {
  await using server = new Server();
  server.handle("demo.hello", () => "hello");
  await server.listen();
  const { code, err } = await erpc(["list", "--center", server.endpoint]);
  assertEquals([code, err], [1, 'unimplemented: There is no service "erpc.Center" on this server\n']);
});

Deno.test("erpc list, one service, how old each is, what is left of its lease, its load, and who is a suspect", async () => {
  const platform = virtualPlatform(1);
  await using center = new Center({ platform });
  await center.listen("tcp://127.0.0.1:0");
  const memory = center.registry as MemoryRegistry;
  for (let n = 0; n < 3; n++) {
    await memory.register(instanceOf(`other${n}`, { services: ["demo.Zoo"] }), { ttlMs: 86_400_000 });
  }
  const busy = await memory.register(instanceOf("busy"), { ttlMs: 7_200_000 });
  await platform.clock.advance(3_700_000);
  await memory.renew(busy, { load: 12 });
  await memory.register(instanceOf("silent", { endpoints: ["memory://nobody-answers"] }));
  await platform.clock.advance(3_000);
  const { code, out, err } = await erpc(["list", "demo.Words", "--center", center.endpoint]);
  assertEquals([code, err], [0, ""]);
  assertEquals(out.split("\n"), [
    "SERVICE     INSTANCE  ENDPOINT                 ZONE  VERSION  WEIGHT  STATE  AGE  LEASE  LOAD",
    "demo.Words  busy      tcp://10.0.0.7:4000      -     -             1  ok      1h     1h    12",
    "demo.Words  silent    memory://nobody-answers  -     -             1  ok      3s    12s     -",
    "",
  ]);
});

Deno.test("erpc list --at, what was listed then, without what nobody knows any more", async () => {
  await using center = await startCenter();
  const { registry } = center;
  const a = await registry.register(instanceOf("a"));
  await registry.register(instanceOf("b", { services: ["demo.Zoo"] }));
  await registry.deregister(a);
  const at = (revision: string) => erpc(["list", "--at", revision, "--center", center.endpoint]);
  const { out, err } = await at("2");
  assertEquals([out.split("\n"), err], [[
    "SERVICE     INSTANCE  ENDPOINT             ZONE  VERSION  WEIGHT  STATE",
    "demo.Words  a         tcp://10.0.0.7:4000  -     -             1  ok",
    "demo.Zoo    b         tcp://10.0.0.7:4000  -     -             1  ok",
    "",
  ], ""]);
  assertMatch((await at("3")).out, /^SERVICE[^\n]*\ndemo\.Zoo [^\n]*\n$/);
  const { code, err: why } = await at("9");
  assertEquals([code, why], [1, "invalid_argument: Cannot look up revision 9: the history goes from 0 to 3\n"]);
  assertEquals((await at("x")).code, 2);
});

Deno.test("erpc list, a center over another registry, lists what it can", async () => {
  await using memory = new MemoryRegistry();
  await memory.register(instanceOf("a"));
  const registry: Registry = {
    register: (instance, options) => memory.register(instance, options),
    renew: (lease, options) => memory.renew(lease, options),
    deregister: (lease, cause) => memory.deregister(lease, cause),
    lookup: (service, options) => memory.lookup(service, options),
    watch: (service, options) => memory.watch(service, options),
    close: () => memory.close(),
  };
  await using center = new Center({ registry });
  await center.listen("tcp://127.0.0.1:0");
  const { code, out, err } = await erpc(["list", "--center", center.endpoint]);
  assertEquals([code, err], [0, ""]);
  assertEquals(out.split("\n").map((line) => line.replaceAll(/ +/g, " ")), [
    "SERVICE INSTANCE ENDPOINT ZONE VERSION WEIGHT STATE",
    "demo.Words a tcp://10.0.0.7:4000 - - 1 ok",
    "",
  ]);
});
