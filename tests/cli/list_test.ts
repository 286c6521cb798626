import { assertEquals, assertMatch } from "@std/assert";
import { Center, Server } from "@erpc/erpc";
import { instanceOf } from "../registry/instances.ts";
import { erpc, FakeIo } from "./fake_io.ts";

const WARMING = "The center has just started: what is missing may not have returned yet\n";

async function startCenter(): Promise<Center> {
  const center = new Center();
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
    "SERVICE     INSTANCE  ENDPOINT                                ZONE     VERSION  WEIGHT",
    "demo.Words  a-long    tcp://10.0.0.7:4000                     eu-日本  2.1.0      12.5",
    "demo.Words  b         tcp://10.0.0.8:4000,unix:///run/b.sock  -        -             1",
    "demo.Zoo    a-long    tcp://10.0.0.7:4000                     eu-日本  2.1.0      12.5",
    "demo.Zoo    b         tcp://10.0.0.8:4000,unix:///run/b.sock  -        -             1",
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
