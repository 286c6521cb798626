import zookeeper from "node-zookeeper-client";
import { registryContract } from "../../src/testing/registry_contract.ts";
import { zookeeperRegistry } from "../../src/zookeeper/zookeeper.ts";
import { isInstalled, startZooKeeper, type StoreProcess, storeTest } from "../support/stores.ts";
import { until } from "../support/until.ts";

let server: StoreProcess;
let opened = 0;

if (isInstalled("ZooKeeper")) {
  Deno.test.beforeAll(async () => {
    server = await startZooKeeper();
  });
  Deno.test.afterAll(() => server[Symbol.asyncDispose]());
}

const open = () =>
  Promise.resolve({
    registry: zookeeperRegistry({
      client: () => zookeeper.createClient(`127.0.0.1:${server.port}`, { sessionTimeout: 5_000 }),
      path: `/contract/${++opened}`,
      warmingMs: 0,
      // What it does is tested, not how fast: many tests at once leave a store little of the machine.
      timeoutMs: 20_000,
    }),
  });

const cases = registryContract("over ZooKeeper", open, {
  expire: ({ registry }, lease) =>
    until(async () => (await registry.lookup("*")).instances.every(({ id }) => id !== lease.instanceId)),
  knowsOwners: true,
  watcherCount: ({ registry }) => registry.watcherCount,
});
// The client leaves timers and sockets behind for a while when it is closed.
for (const { name, run } of cases) storeTest("ZooKeeper", name, async () => await run(), { sanitize: false });
