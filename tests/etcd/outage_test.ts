import { etcdRegistry } from "../../src/etcd/etcd.ts";
import { OUTAGE_MS, pass, playOutage, TIMEOUT_MS, TTL_MS } from "../support/outage.ts";
import { startProxy } from "../support/proxy.ts";
import { startEtcd, startEtcdCluster, type StoreProcess, storeTest } from "../support/stores.ts";

function open(endpoints: readonly string[]) {
  return () => etcdRegistry({ endpoints, ttlMs: TTL_MS, timeoutMs: TIMEOUT_MS });
}

const at = ({ port }: StoreProcess) => `http://127.0.0.1:${port}`;

storeTest("etcd", "X38 etcd is down for longer than every lease, no call fails and nobody is removed", async () => {
  await using etcd = await startEtcd();
  await playOutage(open([at(etcd)]), async ({ lost }) => {
    await etcd.kill();
    await lost();
    await pass(OUTAGE_MS);
    await etcd.start();
  });
});

storeTest("etcd", "X38 etcd comes back and has lost everything, nobody is removed and all register again", async () => {
  await using etcd = await startEtcd();
  await playOutage(open([at(etcd)]), async ({ lost }) => {
    await etcd.kill();
    await lost();
    await etcd.forget();
    await etcd.start();
  });
});

storeTest("etcd", "X38 etcd stands still and refuses nobody, no call fails and nobody is removed", async () => {
  await using etcd = await startEtcd();
  await playOutage(open([at(etcd)]), async ({ lost }) => {
    etcd.pause();
    await lost();
    await pass(OUTAGE_MS);
    etcd.resume();
  });
});

storeTest("etcd", "X38 etcd is slow, no call fails and nobody is removed", async () => {
  await using etcd = await startEtcd();
  await using proxy = await startProxy(`tcp://127.0.0.1:${etcd.port}`);
  await playOutage(open([proxy.endpoint.replace("tcp", "http")]), async () => {
    proxy.set({ up: { latencyMs: 100, jitterMs: 100 }, down: { latencyMs: 100, jitterMs: 100 } });
    await pass(OUTAGE_MS);
    proxy.set({ up: {}, down: {} });
  });
});

storeTest(
  "etcd",
  "X38 three etcds, the leader is killed and later comes back, no call fails and nobody is removed",
  async () => {
    await using stack = new AsyncDisposableStack();
    const members = await startEtcdCluster();
    for (const member of members) stack.use(member);
    await playOutage(open(members.map(at)), async ({ found }) => {
      const leader = await leaderOf(members);
      await leader.kill();
      await pass(OUTAGE_MS);
      // The other two have agreed on another by now, or will.
      await found();
      await leader.start();
    });
  },
);

storeTest(
  "etcd",
  "X38 three etcds, two are down, the third has no leader and says so, and nobody is removed",
  async () => {
    await using stack = new AsyncDisposableStack();
    const members = await startEtcdCluster();
    for (const member of members) stack.use(member);
    await playOutage(open(members.map(at)), async ({ lost }) => {
      await Promise.all([members[0].kill(), members[1].kill()]);
      await lost();
      await pass(OUTAGE_MS);
      members[0].spawn();
      members[1].spawn();
      await members[0].ready();
    });
  },
);

/** Who leads: whose own id is the leader's. */
async function leaderOf(members: readonly StoreProcess[]): Promise<StoreProcess> {
  for (const member of members) {
    const response = await fetch(`${at(member)}/v3/maintenance/status`, { method: "POST", body: "{}" });
    const { leader, header } = await response.json();
    if (leader === header.member_id) return member;
  }
  throw new Error("Nobody leads");
}
