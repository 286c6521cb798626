import { assertGreater } from "@std/assert";
import { zookeeperRegistry } from "../../src/zookeeper/zookeeper.ts";
import { OUTAGE_MS, pass, playOutage, TIMEOUT_MS, TTL_MS } from "../support/outage.ts";
import { startProxy } from "../support/proxy.ts";
import { startZooKeeper, storeTest } from "../support/stores.ts";
import { until } from "../support/until.ts";
import { createClient, expire, type TestClient } from "./client.ts";

/** Plays a scene; `clients` are all that were made in it. */
async function play(
  port: number,
  trouble: (scene: Parameters<Parameters<typeof playOutage>[1]>[0], clients: readonly TestClient[]) => Promise<void>,
) {
  const clients: TestClient[] = [];
  const client = () => {
    clients.push(createClient(port));
    return clients.at(-1)!;
  };
  const open = () => zookeeperRegistry({ client, ttlMs: TTL_MS, timeoutMs: TIMEOUT_MS });
  await playOutage(open, (scene) => trouble(scene, clients));
}

/** The client leaves timers and sockets behind for a while when it is closed. */
function test(name: string, fn: () => Promise<void>): void {
  storeTest("ZooKeeper", name, fn, { sanitize: false });
}

test("X38 ZooKeeper is down for longer than every session, no call fails and nobody is removed", async () => {
  await using server = await startZooKeeper();
  await play(server.port, async ({ lost }) => {
    await server.kill();
    await lost();
    await pass(OUTAGE_MS);
    await server.start();
  });
});

test("X38 ZooKeeper comes back and has lost everything, nobody is removed and all are listed again", async () => {
  await using server = await startZooKeeper();
  await play(server.port, async ({ lost }) => {
    await server.kill();
    await lost();
    await server.forget();
    await server.start();
  });
});

test("X38 ZooKeeper stands still until sessions have expired, no call fails and nobody is removed", async () => {
  await using server = await startZooKeeper();
  await play(server.port, async ({ lost }) => {
    server.pause();
    await lost();
    await pass(OUTAGE_MS);
    server.resume();
  });
});

test("X38 ZooKeeper is slow, no call fails and nobody is removed", async () => {
  await using server = await startZooKeeper();
  await using proxy = await startProxy(`tcp://127.0.0.1:${server.port}`);
  await play(Number(proxy.endpoint.split(":")[2]), async () => {
    proxy.set({ up: { latencyMs: 100, jitterMs: 100 }, down: { latencyMs: 100, jitterMs: 100 } });
    await pass(OUTAGE_MS);
    proxy.set({ up: {}, down: {} });
  });
});

test("X38 every session with ZooKeeper has expired, no call fails and nobody is removed", async () => {
  await using server = await startZooKeeper();
  await play(server.port, async (_, clients) => {
    const before = [...clients];
    const ended = await Promise.all(before.map((client) => expire(client, server.port)));
    const count = ended.filter((wasThere) => wasThere).length;
    assertGreater(count, 0);
    await until(() => clients.length >= before.length + count);
  });
});
