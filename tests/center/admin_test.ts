/** What those see who look after a center. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { Center, Client, RpcError } from "@erpc/erpc";
import { CenterAdmin, type HistoryRequest, type ListPart } from "../../src/center/admin.ts";
import type { HistoryEntry } from "../../src/registry/memory_registry.ts";
import type { Registry } from "../../src/registry/registry.ts";
import { instanceOf } from "../registry/instances.ts";
import { openCenter } from "./scene.ts";

async function listed(client: Client, request: { service?: string; revision?: number } = {}) {
  const parts: ListPart[] = [];
  for await (const part of client.service(CenterAdmin).list(request)) parts.push(part);
  return { ...parts[0], listings: parts.flatMap(({ listings }) => listings), parts: parts.length };
}

async function history(client: Client, request: HistoryRequest = {}): Promise<HistoryEntry[]> {
  const entries: HistoryEntry[] = [];
  for await (const part of client.service(CenterAdmin).history(request)) entries.push(...part.entries);
  return entries;
}

Deno.test("CenterAdmin, list, each instance with its age, what is left of its lease, its load and its owner", async () => {
  await using scene = await openCenter({ ttlMs: 15_000 });
  const registry = scene.registry();
  const lease = await registry.register(instanceOf("a", { zone: "north" }));
  await scene.clock.advance(4_000);
  await registry.renew(lease, { load: 3 });
  await scene.clock.advance(1_000);
  await registry.register(instanceOf("b", { services: ["demo.Other"] }));
  const { listings, ...common } = await listed(scene.client(), { service: "demo.Words" });
  assertEquals(common, {
    ...scene.memory.cursor,
    warming: true,
    preserving: false,
    more: false,
    parts: 1,
  });
  const standing = { suspect: false, ageMs: 5_000, ttlMs: 15_000, leftMs: 14_000, load: 3, owner: "" };
  assertEquals(listings, [{ instance: instanceOf("a", { zone: "north" }), ...standing }]);
  assertEquals((await listed(scene.client())).listings.map(({ instance }) => instance.id), ["a", "b"]);
});

Deno.test("CenterAdmin, list at a revision, what was listed then", async () => {
  await using scene = await openCenter();
  const registry = scene.registry();
  const lease = await registry.register(instanceOf("a"));
  await registry.register(instanceOf("b"));
  await registry.deregister(lease);
  const client = scene.client();
  const idsAt = async (revision: number) =>
    (await listed(client, { service: "demo.Words", revision })).listings.map(({ instance }) => instance.id).join();
  assertEquals([await idsAt(0), await idsAt(1), await idsAt(2), await idsAt(3)], ["", "a", "a,b", "b"]);
  const error = await assertRejects(() => idsAt(4), RpcError, "the history goes from 0 to 3");
  assertEquals(error.code, "invalid_argument");
  assertEquals((await listed(client, { revision: 1 })).listings, [{ instance: instanceOf("a"), suspect: false }]);
});

Deno.test("CenterAdmin, history, what happened to whom, of a service, of an instance, and between two revisions", async () => {
  await using scene = await openCenter();
  const registry = scene.registry();
  const a = await registry.register(instanceOf("a"));
  await registry.register(instanceOf("b", { services: ["demo.Other"] }));
  await registry.register(instanceOf("a", { weight: 2 }));
  await registry.deregister(a);
  await scene.clock.advance(16_000);
  const client = scene.client();
  const short = (entries: HistoryEntry[]) =>
    entries.map(({ revision, kind, instanceId, cause }) => [revision, kind, instanceId, cause ?? ""].join(" "));
  assertEquals(short(await history(client)), [
    "1 listed a ",
    "2 listed b ",
    "3 changed a ",
    "4 removed a expired",
    "5 removed b expired",
  ]);
  assertEquals(short(await history(client, { after: 2, until: 4 })), ["3 changed a ", "4 removed a expired"]);
  assertEquals(short(await history(client, { service: "demo.Other" })), ["2 listed b ", "5 removed b expired"]);
  assertEquals(short(await history(client, { instanceId: "a", after: 3 })), ["4 removed a expired"]);
  const [first] = await history(client);
  assertEquals(first.at, 1_700_000_000_000);
  assertMatch(first.actor, /^memory:\/\//);
});

Deno.test("CenterAdmin, 10 000 changes, come in parts", async () => {
  await using scene = await openCenter();
  for (let n = 0; n < 10_500; n++) await scene.memory.register(instanceOf(`a${n}`), { ttlMs: 86_400_000 });
  const entries = await history(scene.client());
  assertEquals([entries.length, entries[0].revision, entries.at(-1)?.revision], [10_000, 501, 10_500]);
  const { listings, parts } = await listed(scene.client());
  assertEquals([listings.length, parts > 5], [10_500, true]);
});

Deno.test("H55 CenterAdmin, somebody asks for the history again and again, has to wait, and others are not concerned", async () => {
  await using scene = await openCenter({ quotas: { historyBytesPerSecond: 1_000 } });
  const metadata = { text: "x".repeat(1_000) };
  for (let n = 0; n < 10; n++) await scene.memory.register(instanceOf(`a${n}`, { metadata }), { ttlMs: 86_400_000 });
  const client = scene.client();
  // 16 000 bytes at once; what is begun is told as a whole.
  for (let round = 0; round < 2; round++) assertEquals((await history(client)).length, 10);
  const error = await assertRejects(() => history(client), RpcError, "quotas.historyBytesPerSecond");
  assertEquals(error.code, "resource_exhausted");
  const waitMs = error.retryAfterMs!;
  assert(waitMs > 5_000 && waitMs < 15_000, `${waitMs} ms`);
  await assertRejects(() => listed(client, { revision: 3 }), RpcError, "quotas.historyBytesPerSecond");
  assertEquals((await listed(client)).listings.length, 10);
  assertEquals((await history(scene.client())).length, 10);
  await scene.clock.advance(waitMs);
  // What is new costs little, as often as it is asked for.
  for (let round = 0; round < 3; round++) assertEquals((await history(client, { after: 10 })).length, 0);
  assertEquals((await history(client, { after: 9 })).length, 1);
});

Deno.test("CenterAdmin, a registry that keeps no book, says so", async () => {
  const none = () => Promise.reject(new Error("not used"));
  const registry = { register: none, renew: none, deregister: none, lookup: none, watch: none, close: none };
  await using center = new Center({ registry: registry as unknown as Registry });
  await center.listen("memory://admin-foreign");
  await using client = new Client({ endpoints: [center.endpoint] });
  for (
    const ask of [
      () => listed(client),
      () => history(client),
      () => client.service(CenterAdmin).evict({ instanceId: "a" }),
    ]
  ) {
    const error = await assertRejects<RpcError>(ask, RpcError, "keeps no history");
    assertEquals(error.code, "unimplemented");
  }
});
