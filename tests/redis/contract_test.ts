import { redisRegistry } from "../../src/redis/redis.ts";
import { registryContract } from "../../src/testing/registry_contract.ts";
import { isInstalled, startRedis, type StoreProcess, storeTest } from "../support/stores.ts";
import { until } from "../support/until.ts";
import { CLIENTS } from "./clients.ts";

let redis: StoreProcess;
let opened = 0;

if (isInstalled("Redis")) {
  Deno.test.beforeAll(async () => {
    redis = await startRedis();
  });
  Deno.test.afterAll(() => redis[Symbol.asyncDispose]());
}

for (const [name, connect] of Object.entries(CLIENTS)) {
  const open = async () => {
    const { client, close } = await connect(redis.port);
    const registry = redisRegistry({ client, prefix: `{contract ${++opened}}`, warmingMs: 0 });
    return { registry, close: () => Promise.resolve(close()) };
  };
  const cases = registryContract(`over Redis with ${name}`, open, {
    expire: ({ registry }, lease) =>
      until(async () => (await registry.lookup("*")).instances.every(({ id }) => id !== lease.instanceId)),
    knowsOwners: true,
    watcherCount: ({ registry }) => registry.watcherCount,
  });
  // Clients of others leave timers behind when they are ended; with our own, leaks are looked for.
  const sanitize = name === "its own client";
  for (const { name, run } of cases) storeTest("Redis", name, async () => await run(), { sanitize });
}
