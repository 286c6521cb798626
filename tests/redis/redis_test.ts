import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { RpcError } from "../../src/core/error.ts";
import { redisClient, redisRegistry, type RedisRegistryOptions } from "../../src/redis/redis.ts";
import { follow } from "../../src/testing/follower.ts";
import { instanceOf } from "../registry/instances.ts";
import { isInstalled, startRedis, type StoreProcess, storeTest } from "../support/stores.ts";

let redis: StoreProcess;
let opened = 0;

if (isInstalled("Redis")) {
  Deno.test.beforeAll(async () => {
    redis = await startRedis();
  });
  Deno.test.afterAll(() => redis[Symbol.asyncDispose]());
}

/** A registry with a client of its own, which is closed after it. */
function open(options: Partial<RedisRegistryOptions> = {}, at = redis.port) {
  const client = redisClient(`redis://127.0.0.1:${at}`);
  const registry = redisRegistry({ client, prefix: `{test ${++opened}}`, ...options });
  return {
    registry,
    ask: (...command: string[]) => client.send(command),
    async [Symbol.asyncDispose]() {
      await registry.close();
      client.close();
    },
  };
}

storeTest("Redis", "redisRegistry writes what its documentation says, for others to read", async () => {
  await using scene = open({ prefix: "{layout}" });
  const { registry, ask } = scene;
  const lease = await registry.register(instanceOf("a b"), { ttlMs: 15_000 });
  const { token } = lease;
  const entry = JSON.stringify({ instance: instanceOf("a b"), ttlMs: 15_000 });
  const fields = await ask("HGETALL", "{layout}:instance:a b") as string[];
  const hash = new Map(fields.flatMap((name, n) => n % 2 === 0 ? [[name, fields[n + 1]]] : []));
  assertEquals(
    hash,
    new Map([["incarnation", "1"], ["token", token], ["ttlMs", "15000"], ["entry", entry], ["owner", ""]]),
  );
  const ttl = Number(await ask("PTTL", "{layout}:instance:a b"));
  assertEquals(ttl > 10_000 && ttl <= 15_000, true);
  await registry.deregister(lease, "drained");
  const changes = await ask("XRANGE", "{layout}:changes", "-", "+") as [string, string[]][];
  assertEquals(changes.map(([, fields]) => fields), [
    ["number", "1", "kind", "put", "id", "a b", "token", token, "entry", entry],
    ["number", "2", "kind", "removed", "id", "a b", "cause", "drained"],
  ]);
  assertEquals(await ask("ZCARD", "{layout}:deadlines"), 0);
  assertEquals((await ask("KEYS", "{layout}*") as string[]).sort(), ["{layout}:changes", "{layout}:number"]);
});

storeTest(
  "Redis",
  "redisRegistry, two of them, see each other's instances, and fence and renew for each other",
  async () => {
    await using one = open({ prefix: "{two}" });
    await using other = open({ prefix: "{two}" });
    await using watch = follow(other.registry, "demo.Words");
    await watch.begin();
    const lease = await one.registry.register(instanceOf("a"));
    await watch.until("a", () => watch.listed.has("a"));
    assertEquals(await other.registry.renew(lease), "renewed");
    const newer = await other.registry.register(instanceOf("a", { incarnation: 2 }));
    assertEquals(await one.registry.renew(lease), "fenced");
    await one.registry.deregister(newer, "drained");
    await watch.until("no a", () => !watch.listed.has("a"));
    assertEquals(watch.removals, [["a", "drained"]]);
  },
);

storeTest(
  "Redis",
  "redisRegistry, more changes than are kept while it could not read, begins afresh and misses nothing",
  async () => {
    const prefix = "{trimmed}";
    await using writer = open({ prefix, historyLimit: 10 });
    const client = redisClient(`redis://127.0.0.1:${redis.port}`);
    let reads = 0;
    let lists = 0;
    const late = {
      send(command: readonly string[]) {
        if (command[1].includes("XREVRANGE")) lists++;
        return client.send(command);
      },
      open() {
        const connection = client.open();
        return {
          ...connection,
          close: connection.close,
          async send(command: readonly string[]) {
            if (reads++ === 0) {
              // After the listing. A stream is trimmed by whole nodes of a hundred entries.
              for (let n = 0; n < 500; n++) await writer.registry.register(instanceOf(`n${n % 5}`, { weight: n }));
            }
            return await connection.send(command);
          },
        };
      },
    };
    await using registry = redisRegistry({ client: late, prefix });
    await using watch = follow(registry, "*");
    await watch.until("the last", () => watch.listed.get("n4")?.weight === 499);
    assertEquals([watch.listed.size, registry.state, lists], [5, "current", 2]);
    await registry.close();
    client.close();
  },
);

storeTest("Redis", "redisRegistry, a change is lost on its way, reads everything again by itself", async () => {
  await using scene = open({ prefix: "{lost}" });
  const { registry, ask } = scene;
  await using watch = follow(registry, "*");
  await watch.begin();
  await registry.register(instanceOf("a"));
  await watch.until("a", () => watch.listed.has("a"));
  // As if somebody had listed it and its change had never come.
  const entry = JSON.stringify({ instance: instanceOf("b"), ttlMs: 15_000 });
  await ask("HSET", "{lost}:instance:b", "incarnation", "1", "token", "t", "ttlMs", "15000", "entry", entry);
  await ask("ZADD", "{lost}:deadlines", "99999999999999", "b");
  await ask("INCR", "{lost}:number");
  await watch.until("b", () => watch.listed.has("b"));
  assertEquals([watch.removals, registry.state], [[], "current"]);
});

storeTest("Redis", "redisRegistry, somebody else's entry among the changes, hides none that is missing", async () => {
  await using scene = open({ prefix: "{foreign}" });
  const { registry, ask } = scene;
  await using watch = follow(registry, "*");
  await watch.begin();
  await registry.register(instanceOf("a"));
  await watch.until("a", () => watch.listed.has("a"));
  const entry = JSON.stringify({ instance: instanceOf("b"), ttlMs: 15_000 });
  await ask("HSET", "{foreign}:instance:b", "incarnation", "1", "token", "t", "ttlMs", "15000", "entry", entry);
  await ask("ZADD", "{foreign}:deadlines", "99999999999999", "b");
  await ask("INCR", "{foreign}:number");
  await ask("XADD", "{foreign}:changes", "*", "who", "knows");
  await registry.register(instanceOf("c"));
  await watch.until("b", () => watch.listed.has("b") && watch.listed.has("c"));
  assertEquals([watch.removals, registry.state], [[], "current"]);
});

storeTest("Redis", "redisRegistry, everything is flushed while it follows, evicts nobody who returns", async () => {
  await using flushed = await startRedis();
  await using scene = open({}, flushed.port);
  const { registry, ask } = scene;
  await using watch = follow(registry, "*");
  await watch.begin();
  const lease = await registry.register(instanceOf("a"));
  await registry.register(instanceOf("b"), { ttlMs: 1_500 });
  await watch.until("b", () => watch.listed.has("b"));
  await ask("FLUSHALL");
  assertEquals(await registry.renew(lease), "unknown");
  await registry.register(instanceOf("a"));
  await watch.until("no b, who did not return", () => !watch.listed.has("b"));
  assertEquals(watch.removals, [["b", "expired"]]);
});

storeTest("Redis", "redisRegistry, a user who may not write, says so", async () => {
  await using scene = open();
  await scene.ask("ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@read", "+@connection");
  const client = redisClient(`redis://reader:secret@127.0.0.1:${redis.port}`);
  await using registry = redisRegistry({ client });
  const error = await assertRejects(() => registry.register(instanceOf("a")), RpcError, "NOPERM");
  assertEquals(error.code, "unavailable");
  await registry.close();
  client.close();
});

Deno.test("redisRegistry refuses what it can't use", () => {
  const client = redisClient("redis://127.0.0.1:6379");
  const wrong: [unknown, string][] = [
    [{}, "client"],
    [{ client: { send() {} } }, "client"],
    [{ client, prefix: "" }, "prefix"],
    [{ client, url: "redis://" }, '"url"'],
  ];
  for (const [options, what] of wrong) {
    assertThrows(() => redisRegistry(options as RedisRegistryOptions), TypeError, what);
  }
});
