import { redisClient, redisRegistry } from "../../src/redis/redis.ts";
import { OUTAGE_MS, pass, playOutage, TIMEOUT_MS, TTL_MS } from "../support/outage.ts";
import { startProxy } from "../support/proxy.ts";
import { startRedis, type StoreProcess, storeTest } from "../support/stores.ts";
import { CLIENTS } from "./clients.ts";

/** Plays a scene with clients of our own, which are ended after it. */
async function play(port: number, trouble: Parameters<typeof playOutage>[1]): Promise<void> {
  const client = redisClient(`redis://127.0.0.1:${port}`);
  try {
    await playOutage(() => redisRegistry({ client, ttlMs: TTL_MS, timeoutMs: TIMEOUT_MS }), trouble);
  } finally {
    client.close();
  }
}

const keeping = ["--appendonly", "yes", "--appendfsync", "always"];

async function down(redis: StoreProcess, lost: () => Promise<void>): Promise<void> {
  await redis.kill();
  await lost();
  await pass(OUTAGE_MS);
  await redis.start();
}

storeTest("Redis", "X38 Redis is down until every lease has run out, no call fails and nobody is removed", async () => {
  await using redis = await startRedis(keeping);
  await play(redis.port, ({ lost }) => down(redis, lost));
});

storeTest(
  "Redis",
  "X38 Redis comes back and has lost everything, nobody is removed and all register again",
  async () => {
    await using redis = await startRedis();
    await play(redis.port, ({ lost }) => down(redis, lost));
  },
);

storeTest("Redis", "X38 Redis stands still and refuses nobody, no call fails and nobody is removed", async () => {
  await using redis = await startRedis();
  await play(redis.port, async ({ lost }) => {
    redis.pause();
    await lost();
    await pass(OUTAGE_MS);
    redis.resume();
  });
});

storeTest("Redis", "X38 Redis is slow, no call fails and nobody is removed", async () => {
  await using redis = await startRedis();
  await using proxy = await startProxy(`tcp://127.0.0.1:${redis.port}`);
  await play(Number(proxy.endpoint.split(":")[2]), async () => {
    proxy.set({ up: { latencyMs: 100, jitterMs: 100 }, down: { latencyMs: 100, jitterMs: 100 } });
    await pass(OUTAGE_MS);
    proxy.set({ up: {}, down: {} });
  });
});

for (const name of ["node-redis 6", "ioredis 6", "iovalkey"]) {
  storeTest("Redis", `X38 Redis is down and has lost everything, seen by ${name}, nobody is removed`, async () => {
    await using redis = await startRedis();
    const { client, close } = await CLIENTS[name](redis.port);
    try {
      const open = () => redisRegistry({ client, ttlMs: TTL_MS, timeoutMs: TIMEOUT_MS });
      await playOutage(open, ({ lost }) => down(redis, lost));
    } finally {
      close();
    }
  }, { sanitize: false });
}
