import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { RpcError } from "../../src/core/error.ts";
import { etcdRegistry, type EtcdRegistryOptions } from "../../src/etcd/etcd.ts";
import { follow } from "../../src/testing/follower.ts";
import { instanceOf } from "../registry/instances.ts";
import { authority } from "../support/certs.ts";
import { isInstalled, startEtcd, type StoreProcess, storeTest } from "../support/stores.ts";

let etcd: StoreProcess;
let url: string;
let opened = 0;

if (isInstalled("etcd")) {
  Deno.test.beforeAll(async () => {
    etcd = await startEtcd();
    url = `http://127.0.0.1:${etcd.port}`;
  });
  Deno.test.afterAll(() => etcd[Symbol.asyncDispose]());
}

function open(options: Partial<EtcdRegistryOptions> = {}) {
  return etcdRegistry({ endpoints: [url], prefix: `/test/${++opened}/`, ...options });
}

const base64 = (text: string) => new TextEncoder().encode(text).toBase64();

/** Asks etcd something as its own tools would. */
// deno-lint-ignore no-explicit-any
async function ask(path: string, body: unknown, token?: string, at = url): Promise<any> {
  const headers: HeadersInit = token === undefined ? {} : { authorization: token };
  const response = await fetch(`${at}/v3/${path}`, { method: "POST", body: JSON.stringify(body), headers });
  const answer = await response.json();
  assert(response.ok, `${path}: ${JSON.stringify(answer)}`);
  return answer;
}

storeTest("etcd", "etcdRegistry writes what its documentation says, for others to read", async () => {
  await using registry = open({ prefix: "/layout" });
  const lease = await registry.register(instanceOf("a/b ä"), { ttlMs: 15_500 });
  const { kvs: [kv] } = await ask("kv/range", { key: base64("/layout/instances/a/b ä") });
  const value = JSON.parse(new TextDecoder().decode(Uint8Array.fromBase64(kv.value)));
  assertEquals(value, { instance: { ...instanceOf("a/b ä") }, ttlMs: 15_500 });
  assertEquals((await ask("lease/timetolive", { ID: kv.lease })).grantedTTL, "16");
  await registry.deregister(lease);
  const all = await ask("kv/range", { key: base64("/layout/"), range_end: base64("/layout0"), keys_only: true });
  assertEquals(all.kvs, undefined, "nothing is left but what a reader leaves");
});

storeTest(
  "etcd",
  "etcdRegistry, what others write there, is listed when it is an instance and left out otherwise",
  async () => {
    await using registry = open({ prefix: "/others/" });
    await using watch = follow(registry, "demo.Words");
    await watch.begin();
    const { ID: lease } = await ask("lease/grant", { TTL: "20" });
    const put = (id: string, value: string) =>
      ask("kv/put", { key: base64(`/others/instances/${id}`), value: base64(value), lease });
    await put("wrong", "no json");
    await put("other", JSON.stringify({ instance: instanceOf("another"), ttlMs: 1_000 }));
    await put("ours", JSON.stringify({ instance: instanceOf("ours"), ttlMs: 1_000, new: "in a later version" }));
    await watch.until("ours", () => watch.listed.has("ours"));
    await using late = open({ prefix: "/others/" });
    assertEquals((await late.lookup("*")).instances.map(({ id }) => id), ["ours"]);
    const taken = await registry.register(instanceOf("wrong"));
    assertEquals(await registry.renew(taken), "renewed");
  },
);

storeTest(
  "etcd",
  "etcdRegistry, two of them, see each other's instances, and fence and renew for each other",
  async () => {
    await using one = open({ prefix: "/two/" });
    await using other = open({ prefix: "/two/" });
    await using watch = follow(other, "demo.Words");
    await watch.begin();
    const lease = await one.register(instanceOf("a"));
    await watch.until("a", () => watch.listed.has("a"));
    assertEquals(await other.renew(lease), "renewed");
    const newer = await other.register(instanceOf("a", { incarnation: 2 }));
    assertEquals(await one.renew(lease), "fenced");
    await one.deregister(newer, "drained");
    await watch.until("no a", () => !watch.listed.has("a"));
    assertEquals(watch.removals, [["a", "drained"]]);
  },
);

storeTest(
  "etcd",
  "etcdRegistry, somebody has deleted the key and left the lease, says unknown, followed or not",
  async () => {
    for (const followed of [false, true]) {
      await using registry = open({ prefix: `/deleted/${followed}/` });
      await using watch = follow(registry, "*");
      if (followed) await watch.begin();
      const lease = await registry.register(instanceOf("a"));
      if (followed) await watch.until("a", () => watch.listed.has("a"));
      assertEquals(await registry.renew(lease), "renewed");
      await ask("kv/deleterange", { key: base64(`/deleted/${followed}/instances/a`) });
      if (followed) await watch.until("no a", () => watch.listed.size === 0);
      assertEquals(await registry.renew(lease), "unknown");
    }
  },
);

storeTest(
  "etcd",
  "etcdRegistry, the history before its place is compacted, begins afresh and misses nothing",
  async () => {
    let compacted = 0;
    const prefix = "/compacted/";
    await using writer = open({ prefix });
    await writer.register(instanceOf("early"));
    await using registry = open({
      prefix,
      async fetch(url, init) {
        if (url.endsWith("/v3/watch") && compacted++ === 0) {
          // After the listing, before the watch: what happens now is neither in the one nor, once compacted, in the other.
          await writer.register(instanceOf("between"));
          await writer.register(instanceOf("later"));
          const { header } = await ask("kv/range", { key: base64("x") });
          await ask("kv/compaction", { revision: header.revision, physical: true });
        }
        return await fetch(url, init);
      },
    });
    await using watch = follow(registry, "*");
    await watch.until("all three", () => watch.listed.size === 3);
    assertEquals([compacted, registry.state], [2, "current"]);
  },
);

storeTest("etcd", "etcdRegistry reads many instances page by page", async () => {
  const prefix = "/pages/";
  await using writer = open({ prefix });
  const ids = Array.from({ length: 250 }, (_, n) => `n${String(n).padStart(3, "0")}`);
  await Promise.all(ids.map((id) => writer.register(instanceOf(id))));
  let ranges = 0;
  await using registry = open({
    prefix,
    fetch(url, init) {
      if (url.endsWith("/v3/kv/range")) ranges++;
      return fetch(url, init);
    },
  });
  assertEquals((await registry.lookup("*")).instances.map(({ id }) => id), ids);
  assertEquals(ranges, 2);
});

storeTest("etcd", "etcdRegistry, an endpoint that is down, goes to the next and stays there", async () => {
  let tried = 0;
  await using registry = open({
    endpoints: ["http://127.0.0.1:1", url],
    fetch(url, init) {
      if (url.startsWith("http://127.0.0.1:1/")) tried++;
      return fetch(url, init);
    },
  });
  const lease = await registry.register(instanceOf("a"));
  assertEquals((await registry.lookup("*")).instances.length, 1);
  assertEquals(await registry.renew(lease), "renewed");
  assertEquals(tried, 1);
});

storeTest("etcd", "etcdRegistry, an endpoint that accepts and never answers, is left in time", async () => {
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using registry = open({ endpoints: [`http://127.0.0.1:${silent.addr.port}`, url], timeoutMs: 1_000 });
  assertEquals((await registry.register(instanceOf("a"))).instanceId, "a");
});

storeTest("etcd", "etcdRegistry, nobody there, rejects with unavailable and says where", async () => {
  await using registry = open({ endpoints: ["http://127.0.0.1:1"] });
  const error = await assertRejects(() => registry.register(instanceOf("a")), RpcError);
  assertEquals(error.code, "unavailable");
  assertStringIncludes(error.message, 'Cannot register instance "a" with etcd at http://127.0.0.1:1');
});

storeTest("etcd", "etcdRegistry logs in, again when its token is unknown, and says when it may not", async () => {
  await using guarded = await startEtcd();
  const at = `http://127.0.0.1:${guarded.port}`;
  const range = { key: base64("/erpc/"), range_end: base64("/erpc0") };
  for (const [name, password] of [["root", "r"], ["server", "s"], ["reader", "t"]]) {
    await ask("auth/user/add", { name, password }, undefined, at);
    await ask("auth/role/add", { name }, undefined, at);
    await ask("auth/user/grant", { user: name, role: name }, undefined, at);
  }
  await ask("auth/role/grant", { name: "server", perm: { permType: "READWRITE", ...range } }, undefined, at);
  await ask("auth/role/grant", { name: "reader", perm: { permType: "READ", ...range } }, undefined, at);
  await ask("auth/enable", {}, undefined, at);

  const endpoints = [at];
  await using reader = etcdRegistry({ endpoints, username: "reader", password: "t" });
  assertEquals((await reader.lookup("*")).instances, [], "who may only read finds an empty store");
  await using server = etcdRegistry({ endpoints, username: "server", password: "s" });
  await using watch = follow(server, "*");
  await watch.begin();
  const lease = await server.register(instanceOf("a"));
  await watch.until("a", () => watch.listed.has("a"));
  assertEquals((await reader.lookup("*")).instances.length, 1);
  const denied = await assertRejects(() => reader.register(instanceOf("b")), RpcError);
  assertEquals(denied.code, "permission_denied");

  await using elsewhere = etcdRegistry({ endpoints, username: "server", password: "s", prefix: "/secret/" });
  assertEquals((await assertRejects(() => elsewhere.register(instanceOf("a")), RpcError)).code, "permission_denied");
  await using wrong = etcdRegistry({ endpoints, username: "server", password: "wrong" });
  assertEquals((await assertRejects(() => wrong.register(instanceOf("a")), RpcError)).code, "unauthenticated");
  await using nobody = etcdRegistry({ endpoints });
  assertEquals((await assertRejects(() => nobody.register(instanceOf("a")), RpcError)).code, "unavailable");

  // A member that was restarted knows none of the tokens that it gave.
  await guarded.kill();
  await guarded.start();
  assertEquals(await server.renew(lease), "renewed");
});

storeTest("etcd", "etcdRegistry over TLS, with what the fetch that it is given trusts", async () => {
  const certificate = new URL("../support/certs/server.pem", import.meta.url).pathname;
  await using guarded = await startEtcd([
    ...["--listen-client-urls", "https://127.0.0.1:PORT", "--advertise-client-urls", "https://127.0.0.1:PORT"],
    ...["--cert-file", certificate, "--key-file", certificate],
  ]);
  const endpoints = [`https://127.0.0.1:${guarded.port}`];
  using client = Deno.createHttpClient({ caCerts: [authority("ca")] });
  await using registry = etcdRegistry({ endpoints, fetch: (url, init) => fetch(url, { ...init, client }) });
  await registry.register(instanceOf("a"));
  assertEquals((await registry.lookup("*")).instances.length, 1);
  await using trusting = etcdRegistry({ endpoints });
  const error = await assertRejects(() => trusting.register(instanceOf("a")), RpcError);
  assertEquals(error.code, "unavailable");
});

Deno.test("etcdRegistry refuses what it can't use", () => {
  const endpoints = ["http://127.0.0.1:2379"];
  const wrong: [EtcdRegistryOptions, string][] = [
    [{ endpoints: [] }, "empty"],
    [{ endpoints: ["127.0.0.1:2379"] }, "URL"],
    [{ endpoints: ["etcd://127.0.0.1:2379"] }, "URL"],
    [{ endpoints: ["http://127.0.0.1:2379/v3"] }, "URL"],
    [{ endpoints, prefix: "" }, "prefix"],
    [{ endpoints, username: "a" }, "password"],
    [{ endpoints, user: "a" } as EtcdRegistryOptions, '"user"'],
  ];
  for (const [options, what] of wrong) assertThrows(() => etcdRegistry(options), TypeError, what);
});
