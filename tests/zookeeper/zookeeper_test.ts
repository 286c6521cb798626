import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { RpcError } from "../../src/core/error.ts";
import { follow } from "../../src/testing/follower.ts";
import { zookeeperRegistry, type ZooKeeperRegistryOptions } from "../../src/zookeeper/zookeeper.ts";
import { instanceOf } from "../registry/instances.ts";
import { isInstalled, startZooKeeper, type StoreProcess, storeTest } from "../support/stores.ts";
import { until } from "../support/until.ts";
import { aclOf, createClient, expire, type TestClient } from "./client.ts";

let server: StoreProcess;
let opened = 0;

if (isInstalled("ZooKeeper")) {
  Deno.test.beforeAll(async () => {
    server = await startZooKeeper();
  });
  Deno.test.afterAll(() => server[Symbol.asyncDispose]());
}

/** A registry, and the clients that it has made. */
function open(options: Partial<ZooKeeperRegistryOptions> = {}) {
  const clients: TestClient[] = [];
  const client = () => {
    clients.push(createClient(server.port));
    return clients.at(-1)!;
  };
  const registry = zookeeperRegistry({ client, path: `/test/${++opened}`, ...options });
  return { registry, clients, [Symbol.asyncDispose]: () => registry.close() };
}

/** Looks at ZooKeeper as its own tools would. */
async function look<T>(action: (client: TestClient) => Promise<T>): Promise<T> {
  const client = createClient(server.port);
  const connected = new Promise<void>((resolve) => client.once("connected", resolve));
  client.connect();
  await connected;
  try {
    return await action(client);
  } finally {
    client.close();
  }
}

const childrenOf = (client: TestClient, path: string) =>
  new Promise<string[]>((resolve, reject) =>
    client.getChildren(path, () => {}, (error, names) => error ? reject(error) : resolve(names))
  );
const textOf = (client: TestClient, path: string) =>
  new Promise<string>((resolve, reject) =>
    client.getData(path, (error, data) => error ? reject(error) : resolve(String(data)))
  );

/** The client leaves timers and sockets behind for a while when it is closed. */
function test(name: string, fn: () => Promise<void>): void {
  storeTest("ZooKeeper", name, fn, { sanitize: false });
}

test("zookeeperRegistry writes what its documentation says, for others to read", async () => {
  await using scene = open({ path: "/layout" });
  const { registry } = scene;
  const lease = await registry.register(instanceOf("a/b", { incarnation: 17 }), { ttlMs: 15_000 });
  const [name] = await look((client) => childrenOf(client, "/layout/instances"));
  assertEquals(name, "a%2Fb;17;0000000000");
  const text = await look((client) => textOf(client, `/layout/instances/${name}`));
  assertEquals(JSON.parse(text), {
    instance: { ...instanceOf("a/b", { incarnation: 17 }) },
    ttlMs: 15_000,
    token: lease.token,
  });
  assertEquals(await look((client) => childrenOf(client, "/layout/claims")), ["a%2Fb"]);
  await registry.deregister(lease, "drained");
  assertEquals(await look((client) => childrenOf(client, "/layout/instances")), []);
  assertEquals(await look((client) => childrenOf(client, "/layout/claims")), []);
  assertEquals(await look((client) => textOf(client, `/layout/farewells/${name}`)), "drained");
});

test("zookeeperRegistry, two of them, see each other's instances, and fence and renew for each other", async () => {
  await using one = open({ path: "/two" });
  await using other = open({ path: "/two" });
  await using watch = follow(other.registry, "demo.Words");
  const lease = await one.registry.register(instanceOf("a"));
  await watch.until("a", () => watch.listed.has("a"));
  assertEquals(await other.registry.renew(lease), "renewed");
  const newer = await other.registry.register(instanceOf("a", { incarnation: 2 }));
  assertEquals(await one.registry.renew(lease), "fenced");
  await one.registry.deregister(newer, "drained");
  await watch.until("no a", () => !watch.listed.has("a"));
  assertEquals(watch.removals, [["a", "drained"]]);
  assertEquals(await other.registry.renew(newer), "unknown");
});

/** Registries, each of a process of its own, that write what they have decided on only when all have looked at what is there. */
function openTogether(count: number, path: string) {
  const decided = Promise.withResolvers<void>();
  let looking = count;
  const client = () => {
    const client = createClient(server.port);
    let hasDecided = false;
    const decide = (write: () => void) => {
      if (!hasDecided && --looking === 0) decided.resolve();
      hasDecided = true;
      void decided.promise.then(write);
    };
    const { create, transaction } = client;
    client.create = (path, data, acl, mode, done) => {
      if (mode === 0) create.call(client, path, data, acl, mode, done);
      else decide(() => create.call(client, path, data, acl, mode, done));
    };
    client.transaction = () => {
      const changes = transaction.call(client);
      const { commit } = changes;
      changes.commit = (done) => decide(() => commit.call(changes, done));
      return changes;
    };
    return client;
  };
  return Array.from({ length: count }, () => open({ path, client }));
}

const codeOf = (promise: Promise<unknown>) =>
  promise.then(() => "listed", (error) => error instanceof RpcError ? error.code : String(error));

test("H56 zookeeperRegistry, two owners register one instance at the same moment, and one of them gets it", async () => {
  await using seen = open({ path: "/owners" });
  await seen.registry.lookup("*");
  const [one, other] = openTogether(2, "/owners");
  await using _one = one;
  await using _other = other;
  const outcomes = await Promise.all([
    codeOf(one.registry.register(instanceOf("a"), { owner: "ann" })),
    codeOf(other.registry.register(instanceOf("a", { incarnation: 2 }), { owner: "ben" })),
  ]);
  assertEquals(outcomes.toSorted(), ["listed", "permission_denied"]);
  assertEquals((await look((client) => childrenOf(client, "/owners/instances"))).length, 1);
});

test("H56 zookeeperRegistry, processes of one instance register it at the same moment, and the newest is listed", async () => {
  await using seen = open({ path: "/racing" });
  await seen.registry.register(instanceOf("a"));
  const scenes = openTogether(3, "/racing");
  await using stack = new AsyncDisposableStack();
  for (const scene of scenes) stack.use(scene);
  const leases = await Promise.allSettled(
    [2, 4, 3].map((incarnation, n) => scenes[n].registry.register(instanceOf("a", { incarnation }))),
  );
  const renewals = await Promise.all(leases.map(async (lease, n) => {
    return lease.status === "fulfilled" ? await scenes[n].registry.renew(lease.value) : "refused";
  }));
  assertEquals(renewals.map((renewal) => renewal === "renewed"), [false, true, false], String(renewals));
  const names = await look((client) => childrenOf(client, "/racing/instances"));
  assertEquals(names.map((name) => name.split(";")[1]), ["4"]);
  assertEquals(await look((client) => childrenOf(client, "/racing/claims")), ["a"]);
});

test("H56 zookeeperRegistry, processes of one incarnation register it at the same moment, and one stays", async () => {
  const scenes = openTogether(2, "/same");
  await using stack = new AsyncDisposableStack();
  for (const scene of scenes) stack.use(scene);
  const leases = await Promise.all(scenes.map(({ registry }) => registry.register(instanceOf("a"))));
  // As it is in ZooKeeper, before anybody has made anew what is missing.
  assertEquals((await look((client) => childrenOf(client, "/same/instances"))).length, 1);
  const renewals = await Promise.all(leases.map((lease, n) => scenes[n].registry.renew(lease)));
  assertEquals(renewals.toSorted(), ["renewed", "unknown"]);
});

test("zookeeperRegistry, a node was removed by hand and its claim left, is registered again", async () => {
  await using scene = open({ path: "/orphan" });
  await scene.registry.register(instanceOf("a"));
  await look(async (client) => {
    const [name] = await childrenOf(client, "/orphan/instances");
    await new Promise<void>((resolve) => client.remove(`/orphan/instances/${name}`, -1, () => resolve()));
  });
  const lease = await scene.registry.register(instanceOf("a"));
  assertEquals(await scene.registry.renew(lease), "renewed");
  assertEquals((await look((client) => childrenOf(client, "/orphan/instances"))).length, 1);
});

test("X38 zookeeperRegistry, the session has expired, lists again at once, and nobody is told of a removal", async () => {
  await using scene = open({ path: "/expired" });
  await using onlooker = open({ path: "/expired" });
  const leases = await Promise.all(["a", "b", "c"].map((id) => scene.registry.register(instanceOf(id))));
  await using watch = follow(onlooker.registry, "demo.Words");
  await watch.until("all", () => watch.listed.size === 3);
  const before = scene.clients.length;
  assertEquals(await expire(scene.clients[before - 1], server.port), true);
  await until(() => scene.clients.length > before);
  // Suspects while they are gone, and then no more.
  await until(async () => (await onlooker.registry.lookup("*")).suspects === undefined);
  await until(async () => (await look((client) => childrenOf(client, "/expired/instances"))).length === 3);
  for (const lease of leases) {
    assertEquals(await until(async () => await scene.registry.renew(lease).catch(() => "") === "renewed"), undefined);
  }
  await onlooker.registry.register(instanceOf("last"));
  await watch.until("the last", () => watch.listed.has("last"));
  assertEquals([watch.removals, watch.listed.size], [[], 4]);
});

test("X38 zookeeperRegistry, who registered an instance dies, another who renewed it takes it over", async () => {
  const dying = open({ path: "/dying" });
  await using heir = open({ path: "/dying" });
  await using onlooker = open({ path: "/dying" });
  const lease = await dying.registry.register(instanceOf("a"));
  const other = await dying.registry.register(instanceOf("nobody's"), { ttlMs: 1_500 });
  assertEquals(await heir.registry.renew(lease), "renewed");
  await using watch = follow(onlooker.registry, "demo.Words");
  await watch.until("both", () => watch.listed.size === 2);
  await until(() => heir.registry.state === "current");
  await dying.registry.close();
  await watch.until("the other to go", () => !watch.listed.has("nobody's"));
  assertEquals(watch.removals, [["nobody's", "expired"]]);
  assertEquals([await heir.registry.renew(lease), await heir.registry.renew(other)], ["renewed", "unknown"]);
  assertEquals((await look((client) => childrenOf(client, "/dying/instances"))).length, 1);
  await heir.registry.deregister(lease);
  await watch.until("nobody", () => watch.listed.size === 0);
});

test("zookeeperRegistry, a lease lasts as long as it was registered for, whatever whoever renews it says of it", async () => {
  const dying = open({ path: "/said" });
  await using heir = open({ path: "/said" });
  await using watch = follow(heir.registry, "demo.Words");
  const own = await dying.registry.register(instanceOf("a"), { ttlMs: 1_000 });
  assertEquals(await dying.registry.renew({ ...own, ttlMs: 86_400_000 }), "renewed");
  const left = await dying.registry.register(instanceOf("b"), { ttlMs: 1_500 });
  assertEquals(await heir.registry.renew({ ...left, ttlMs: NaN, incarnation: NaN }), "renewed");
  await watch.until("a to go", () => !watch.listed.has("a") && watch.removals.length > 0);
  await dying.registry.close();
  await watch.until("b to go", () => watch.removals.length === 2);
  assertEquals(watch.removals.toSorted(), [["a", "expired"], ["b", "expired"]]);
});

test("zookeeperRegistry, renewed through another for longer than the lease, stays listed through that one", async () => {
  await using first = open({ path: "/moved" });
  await using second = open({ path: "/moved" });
  await using watch = follow(second.registry, "demo.Words");
  const lease = await first.registry.register(instanceOf("a"), { ttlMs: 1_500 });
  await watch.until("a", () => watch.listed.has("a"));
  const [name] = await look((client) => childrenOf(client, "/moved/instances"));
  // Until the first has given it up, and the second has made it anew.
  await until(async () => {
    assertEquals(await second.registry.renew(lease), "renewed");
    const names = await look((client) => childrenOf(client, "/moved/instances"));
    return names.length === 1 && names[0] !== name;
  });
  assertEquals(watch.removals, []);
});

test("zookeeperRegistry, taken away through one, is not made anew by another that has renewed it", async () => {
  await using first = open({ path: "/taken" });
  await using second = open({ path: "/taken" });
  await using watch = follow(second.registry, "demo.Words");
  const lease = await first.registry.register(instanceOf("a"));
  await watch.until("a", () => watch.listed.has("a"));
  assertEquals(await second.registry.renew(lease), "renewed");
  await second.registry.deregister(lease, "admin");
  await watch.until("no a", () => watch.listed.size === 0);
  assertEquals([await first.registry.renew(lease), await second.registry.renew(lease)], ["unknown", "unknown"]);
  assertEquals(await look((client) => childrenOf(client, "/taken/instances")), []);
});

test("zookeeperRegistry, what others write there, is listed when it is an instance and left out otherwise", async () => {
  await using scene = open({ path: "/others" });
  await scene.registry.register(instanceOf("first"));
  await look(async (client) => {
    const put = (name: string, text: string) =>
      new Promise<void>((resolve, reject) =>
        client.create(
          `/others/instances/${name}`,
          Buffer.from(text),
          undefined,
          0,
          (error) => error ? reject(error) : resolve(),
        )
      );
    const entry = (id: string, incarnation = 1) =>
      JSON.stringify({ instance: instanceOf(id, { incarnation }), ttlMs: 1_000, token: "x", new: "later" });
    await put("notes", "of somebody");
    await put("a;1;0000000001", "no json");
    await put("b;1;0000000001", entry("another"));
    await put("c;2;0000000001", entry("c", 1));
    await put("ours;1;0000000001", entry("ours"));
  });
  assertEquals((await scene.registry.lookup("*")).instances.map(({ id }) => id), ["first", "ours"]);
});

test("zookeeperRegistry, nodes for those with a password alone, are for nobody else", async () => {
  // echo -n user:secret | openssl dgst -binary -sha1 | base64
  const acl = aclOf("user", await digestOf("user:secret"));
  const client = () => {
    const client = createClient(server.port);
    client.addAuthInfo("digest", Buffer.from("user:secret"));
    return client;
  };
  await using guarded = open({ path: "/guarded", acl, client });
  const lease = await guarded.registry.register(instanceOf("a"));
  assertEquals(await guarded.registry.renew(lease), "renewed");
  assertEquals((await guarded.registry.lookup("*")).instances.length, 1);
  await using stranger = open({ path: "/guarded" });
  const error = await assertRejects(() => stranger.registry.register(instanceOf("b")), RpcError, "NO_AUTH");
  assertEquals(error.code, "unavailable");
});

test("zookeeperRegistry, nobody there, rejects with unavailable", async () => {
  await using scene = open({ client: () => createClient(1), timeoutMs: 300 });
  for (const call of [() => scene.registry.register(instanceOf("a")), () => scene.registry.lookup("*")]) {
    const error = await assertRejects(call, RpcError, "ZooKeeper");
    assertEquals(error.code, "unavailable");
  }
});

Deno.test("zookeeperRegistry refuses what it can't use", () => {
  const client = () => createClient(1);
  const wrong: [unknown, string][] = [
    [{}, "client"],
    [{ client: client() }, "client"],
    [{ client, path: "erpc" }, "path"],
    [{ client, path: "/erpc/" }, "path"],
    [{ client, acl: "everybody" }, "acl"],
    [{ client, prefix: "/" }, '"prefix"'],
  ];
  for (const [options, what] of wrong) {
    assertThrows(() => zookeeperRegistry(options as ZooKeeperRegistryOptions), TypeError, what);
  }
});

async function digestOf(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-1", new TextEncoder().encode(text));
  return new Uint8Array(digest).toBase64();
}
