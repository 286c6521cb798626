import { assertEquals, assertMatch } from "@std/assert";
import { Center, MemoryRegistry, Server } from "@erpc/erpc";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { instanceOf } from "../registry/instances.ts";
import { erpc, type FakeIo, start } from "./fake_io.ts";

/** The lines on standard output without their times. */
function lines(io: FakeIo): string[] {
  return io.out.trimEnd().split("\n").map((line) => {
    assertMatch(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z {2}/);
    return line.slice(26);
  });
}

async function startCenter(endpoint = "tcp://127.0.0.1:0", registry?: MemoryRegistry): Promise<Center> {
  const center = new Center({ registry });
  await center.listen(endpoint);
  return center;
}

Deno.test("erpc watch, first what is listed, then each change with its cause, until interrupted", async () => {
  await using center = await startCenter();
  const { registry } = center;
  const before = await registry.register(instanceOf("a"));
  await using running = start(["watch", "demo.Words", "--center", center.endpoint]);
  await running.io.until(/Watching "demo\.Words" at \S+: 1 listed\n/);
  const later = await registry.register(instanceOf("longer", { endpoints: ["tcp://10.0.0.8:4000"] }));
  await running.io.until(/registered\n/);
  await registry.register(instanceOf("other", { services: ["demo.Other"] }));
  await registry.register(instanceOf("longer", { endpoints: ["tcp://10.0.0.9:4000"], incarnation: 2 }));
  await running.io.until(/updated\n/);
  await registry.deregister(before, "drained");
  await running.io.until(/drained\n/);
  await registry.deregister(later); // fenced: no change
  await registry.register(instanceOf("a"));
  await running.io.until(/ a {2,}.*registered\n/);
  assertEquals(lines(running.io), [
    "+  a  tcp://10.0.0.7:4000  listed",
    "+  longer  tcp://10.0.0.8:4000  registered",
    "+  longer  tcp://10.0.0.9:4000  updated",
    "-  a       tcp://10.0.0.7:4000  drained",
    "+  a       tcp://10.0.0.7:4000  registered",
  ]);
  running.io.stop();
  assertEquals(await running.ended, 0);
});

Deno.test("erpc watch '*', follows every service", async () => {
  await using center = await startCenter();
  await using running = start(["watch", "*", "--center", center.endpoint]);
  await running.io.until(/Watching "\*" at \S+: 0 listed\n/);
  await center.registry.register(instanceOf("a", { services: ["demo.One"] }));
  await center.registry.register(instanceOf("b", { services: ["demo.Two"] }));
  await running.io.until(/ b {2}/);
  assertEquals(lines(running.io), [
    "+  a  tcp://10.0.0.7:4000  registered",
    "+  b  tcp://10.0.0.7:4000  registered",
  ]);
});

Deno.test("erpc watch, the center restarts empty, says so and tells who is gone and who is new", async () => {
  const first = await startCenter();
  const { endpoint } = first;
  await first.registry.register(instanceOf("gone"));
  await first.registry.register(instanceOf("stays"));
  await using running = start(["watch", "demo.Words", "--center", endpoint]);
  await running.io.until(/2 listed\n/);
  await first.close();
  await running.io.until(/Lost the center: .*\n/);
  const registry = new MemoryRegistry();
  await registry.register(instanceOf("stays"));
  await registry.register(instanceOf("new"));
  {
    await using _second = await startCenter(endpoint, registry);
    await running.io.until(/Lost the center: .*\n(.*\n)*Watching .*: 2 listed\n/);
    assertEquals(lines(running.io).slice(2), [
      "-  gone   tcp://10.0.0.7:4000  gone",
      "+  new    tcp://10.0.0.7:4000  listed",
    ]);
    assertEquals(running.io.err.match(/Lost the center/g)?.length, 1);
  }
  await registry.close();
});

Deno.test("erpc watch, the center is away for a while and has forgotten nothing, goes on with the causes", async () => {
  const registry = new MemoryRegistry();
  const first = await startCenter("tcp://127.0.0.1:0", registry);
  const { endpoint } = first;
  const lease = await registry.register(instanceOf("a"));
  await using running = start(["watch", "demo.Words", "--center", endpoint]);
  await running.io.until(/1 listed\n/);
  await first.close();
  await running.io.until(/Lost the center: .*\n/);
  await registry.deregister(lease, "drained");
  {
    // Attempts that fail are not told of again.
    using listener = Deno.listen({ hostname: "127.0.0.1", port: Number(new URL(endpoint).port) });
    for (let attempt = 0; attempt < 3; attempt++) (await listener.accept()).close();
  }
  {
    await using _second = await startCenter(endpoint, registry);
    await running.io.until(/drained\n/);
    await running.io.until(/Watching .*: 0 listed\n/);
    assertEquals(running.io.err.match(/Lost the center/g)?.length, 1);
  }
  await registry.close();
});

Deno.test("erpc watch, interrupted while the center is lost, exit code 0", async () => {
  const center = await startCenter();
  await using running = start(["watch", "demo.Words", "--center", center.endpoint]);
  await running.io.until(/0 listed\n/);
  await center.close();
  await running.io.until(/Lost the center: .*\n/);
  running.io.stop();
  assertEquals(await running.ended, 0);
});

Deno.test("erpc watch, no center there to begin with, says what could not be reached, exit code 1", async () => {
  const { code, out, err } = await erpc(["watch", "demo.Words", "--center", "tcp://127.0.0.1:1"]);
  assertEquals([code, out], [1, ""]);
  assertMatch(err, /^unavailable: Cannot connect to tcp:\/\/127\.0\.0\.1:1: Connection refused.*\n$/);
});

Deno.test("erpc watch, zone and version of who has them; who is doubted and trusted again; and who is gone when a center has warmed up", async () => {
  const platform = virtualPlatform(1);
  const started = async (endpoint: string) => {
    const center = new Center({ platform });
    await center.listen(endpoint);
    return center;
  };
  const first = await started("tcp://127.0.0.1:0");
  const { endpoint } = first;
  const memory = first.registry as MemoryRegistry;
  await using running = start(["watch", "demo.Words", "--center", endpoint]);
  await running.io.until(/0 listed\n/);
  for (let n = 0; n < 4; n++) {
    await memory.register(instanceOf(`other${n}`, { services: ["demo.Zoo"] }), { ttlMs: 86_400_000 });
  }
  await memory.register(instanceOf("a", { zone: "north", version: "2.1" }), { ttlMs: 86_400_000 });
  await running.io.until(/ a {2,}/);
  const incarnation = platform.clock.wall();
  await using server = new Server({ id: "quiet", platform });
  await server.listen("memory://cli-watch-quiet");
  const quiet = await memory.register(
    instanceOf("quiet", { endpoints: [server.endpoint], incarnation }),
  );
  await running.io.until(/ quiet {2,}/);
  for (let second = 0; second < 15; second++) await platform.clock.advance(1_000);
  await running.io.until(/doubted\n/);
  assertEquals(await memory.renew(quiet), "renewed");
  await running.io.until(/trusted\n/);
  await first.close();
  await running.io.until(/Lost the center: .*\n/);
  await using second = await started(endpoint);
  await running.io.until(/Lost the center: .*\n(.*\n)*Watching .*: 2 listed\n/);
  await second.registry.register(
    instanceOf("quiet", { endpoints: [server.endpoint], incarnation }),
    { ttlMs: 86_400_000 },
  );
  await platform.clock.advance(21_000);
  await running.io.until(/gone/);
  assertEquals(lines(running.io).map((line) => line.replaceAll(/ +/g, " ")), [
    "+ a tcp://10.0.0.7:4000 registered zone north, version 2.1",
    "+ quiet memory://cli-watch-quiet registered",
    "? quiet memory://cli-watch-quiet doubted",
    "+ quiet memory://cli-watch-quiet trusted",
    "- a tcp://10.0.0.7:4000 gone zone north, version 2.1",
  ]);
});
