import { etcdRegistry } from "../../src/etcd/etcd.ts";
import { registryContract } from "../../src/testing/registry_contract.ts";
import { isInstalled, startEtcd, type StoreProcess, storeTest } from "../support/stores.ts";
import { until } from "../support/until.ts";

let etcd: StoreProcess;
let opened = 0;

if (isInstalled("etcd")) {
  Deno.test.beforeAll(async () => {
    etcd = await startEtcd();
  });
  Deno.test.afterAll(() => etcd[Symbol.asyncDispose]());
}

const open = () =>
  Promise.resolve({
    registry: etcdRegistry({
      endpoints: [`http://127.0.0.1:${etcd.port}`],
      prefix: `/contract/${++opened}`,
      warmingMs: 0,
    }),
  });

const cases = registryContract("over etcd", open, {
  expire: ({ registry }, lease) =>
    until(async () => (await registry.lookup("*")).instances.every(({ id }) => id !== lease.instanceId)),
  knowsOwners: true,
  watcherCount: ({ registry }) => registry.watcherCount,
});
for (const { name, run } of cases) storeTest("etcd", name, async () => await run());
