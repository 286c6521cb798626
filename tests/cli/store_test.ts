import { assertEquals, assertMatch } from "@std/assert";
import { Client, Server } from "@erpc/erpc";
import { etcdRegistry } from "../../src/etcd/etcd.ts";
import { startEtcd, startRedis, startZooKeeper, type StoreProcess, storeTest } from "../support/stores.ts";
import { until } from "../support/until.ts";
import { Child } from "../support/child.ts";
import { erpc, start } from "./fake_io.ts";

const LISTENS = /The center listens on (\S+)/;

/** Two centers over a store: who registers with one is found through the other, and listed on the command line. */
async function findThroughBoth(urls: readonly string[]): Promise<void> {
  const [first, second] = urls;
  await using server = new Server({ center: first, id: "words-1" });
  server.handle("demo.hello", () => "hello");
  await server.listen();
  await until(() => server.registration.state === "registered");
  await using client = new Client({ center: second });
  assertEquals(await client.call("demo.hello", undefined, { waitForReady: true }), "hello");
  const { code, out } = await erpc(["list", "--center", second]);
  assertEquals(code, 0);
  assertMatch(out, /demo +words-1 +tcp:/);
}

const inProcess: ["etcd" | "Redis", () => Promise<StoreProcess>, (port: number) => string][] = [
  ["etcd", startEtcd, (port) => `etcd://127.0.0.1:${port}/of/the/test`],
  ["Redis", startRedis, (port) => `redis://127.0.0.1:${port}/2`],
];
for (const [name, startStore, urlOf] of inProcess) {
  storeTest(name, `erpc center, with ${name} as its store, shares it with other centers`, async () => {
    await using store = await startStore();
    const args = ["center", "--listen", "tcp://127.0.0.1:0", "--store", urlOf(store.port)];
    await using one = start(args);
    await using other = start(args);
    const urls = [await one.io.until(LISTENS), await other.io.until(LISTENS)].map(([, url]) => url);
    await findThroughBoth(urls);
    for (const running of [one, other]) {
      running.io.stop();
      assertEquals(await running.ended, 0);
    }
  });
}

storeTest("ZooKeeper", "erpc center, with ZooKeeper as its store, shares it with other centers", async () => {
  await using store = await startZooKeeper();
  const cli = new URL("../../src/cli/cli.ts", import.meta.url);
  const args = [
    "center",
    "--listen",
    "tcp://127.0.0.1:0",
    "--store",
    `zookeeper://127.0.0.1:${store.port}/of/the/test`,
  ];
  await using one = new Child(cli, ...args);
  await using other = new Child(cli, ...args);
  await findThroughBoth([await one.complaint(LISTENS), await other.complaint(LISTENS)]);
  for (const child of [one, other]) {
    child.kill("SIGTERM");
    assertEquals((await child.ended()).code, 0);
  }
});

storeTest("etcd", "erpc center, with etcd as its store, finds who uses etcd itself", async () => {
  await using store = await startEtcd();
  await using running = start(["center", "--listen", "tcp://127.0.0.1:0", "--store", `etcd://127.0.0.1:${store.port}`]);
  const [, endpoint] = await running.io.until(LISTENS);
  await using registry = etcdRegistry({ endpoints: [`http://127.0.0.1:${store.port}`] });
  await using direct = new Server({ registry, id: "direct" });
  direct.handle("direct.say", () => "of the store");
  await direct.listen();
  await using through = new Server({ center: endpoint, id: "through" });
  through.handle("through.say", () => "of the center");
  await through.listen();
  await using client = new Client({ center: endpoint });
  await using other = new Client({ registry });
  for (const each of [client, other]) {
    assertEquals(await each.call("direct.say", undefined, { waitForReady: true }), "of the store");
    assertEquals(await each.call("through.say", undefined, { waitForReady: true }), "of the center");
  }
});

Deno.test("erpc center, a store that can't be used, says so, exit code 2", async () => {
  const rows: [string, RegExp][] = [
    ["10.0.0.1:2379", /^Cannot use store "10\.0\.0\.1:2379": write it as etcd:/],
    ["ectd://10.0.0.1", /did you mean "etcd:\/\/"\?/],
    ["redis://a:1,b:2", /one address/],
    ["redis://:secret@host/name", /number of a database/],
    ["etcd://%zz:x@host", /percent/],
    ["redis://me:my%secret@host", /^(?!.*secret).*percent/],
    ["etcd://ann@host", /username and password/],
    ["etcd://host:99999", /URL/],
  ];
  for (const [store, message] of rows) {
    const { code, err } = await erpc(["center", "--listen", "tcp://127.0.0.1:0", "--store", store]);
    assertEquals([code, err.includes("secret")], [2, false], store);
    assertMatch(err, message);
  }
  const { code, err } = await erpc(["center", "--store", "etcd://127.0.0.1:1", "--quota", "instances=1"]);
  assertEquals(code, 2);
  assertMatch(err, /^Cannot use option "instances" of the center together with registry\n/);
});
