import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { RpcError } from "../../src/core/error.ts";
import type { Lease, RenewResult } from "../../src/registry/registry.ts";
import type { Entry } from "../../src/store/entry.ts";
import type { Store, StoreEvent } from "../../src/store/store.ts";
import { StoreRegistry, type StoreRegistryOptions } from "../../src/store/store_registry.ts";
import { follow } from "../../src/testing/follower.ts";
import { type VirtualClock, virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { instanceOf } from "../registry/instances.ts";

const LEASE: Lease = { instanceId: "a", incarnation: 1, token: "t", ttlMs: 15_000 };

/** A store that does as the test says. */
class ScriptedStore implements Store {
  readonly name = "the store";
  /** How often it was read. */
  loops = 0;
  closed = false;
  registers: (signal: AbortSignal) => Promise<Lease> = () => Promise.resolve(LEASE);
  renews: (signal: AbortSignal) => Promise<RenewResult> = () => Promise.resolve("renewed");
  begins: () => void = () => {};
  #tell = Promise.withResolvers<StoreEvent>();
  #told = Promise.withResolvers<void>();

  register(_instance: unknown, _ttlMs: number, _owner: unknown, signal: AbortSignal): Promise<Lease> {
    return this.registers(signal);
  }

  renew(_lease: Lease, signal: AbortSignal): Promise<RenewResult> {
    return this.renews(signal);
  }

  deregister(): Promise<void> {
    return Promise.resolve();
  }

  async *follow(signal: AbortSignal): AsyncGenerator<StoreEvent> {
    this.loops++;
    this.begins();
    signal.addEventListener("abort", () => this.#tell.reject(signal.reason), { once: true });
    for (;;) {
      yield await this.#tell.promise;
      this.#tell = Promise.withResolvers();
      this.#tell.promise.catch(() => {});
      this.#told.resolve();
    }
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }

  /** Tells an event, and resolves when it was taken. */
  async tell(event: StoreEvent): Promise<void> {
    this.#told = Promise.withResolvers();
    this.#tell.resolve(event);
    await this.#told.promise;
  }

  /** The loop over it ends with an error. */
  lose(): void {
    this.#tell.reject(new Error("it is gone"));
    this.#tell = Promise.withResolvers();
  }

  list(...ids: string[]): Promise<void> {
    return this.tell({ kind: "listing", epoch: "e", warming: false, entries: ids.map(entryOf) });
  }
}

function entryOf(id: string): Entry {
  return { instance: instanceOf(id), ttlMs: 15_000, token: "t", owner: "" };
}

interface Scene {
  store: ScriptedStore;
  registry: StoreRegistry;
  clock: VirtualClock;
  warnings: string[];
}

async function scene(play: (scene: Scene) => Promise<void>, options: StoreRegistryOptions = {}): Promise<void> {
  const platform = virtualPlatform(1);
  const store = new ScriptedStore();
  const warnings: string[] = [];
  const nothing = () => {};
  const logger = { debug: nothing, info: nothing, error: nothing, warn: (text: string) => void warnings.push(text) };
  const registry = new StoreRegistry(store, { platform, logger, ...options });
  try {
    await play({ store, registry, clock: platform.clock, warnings });
  } finally {
    await registry.close();
  }
  assertEquals([store.closed, platform.clock.timerCount], [true, 0]);
}

Deno.test("StoreRegistry reads nothing for those who only register", () =>
  scene(async ({ store, registry }) => {
    await registry.register(instanceOf("a"));
    await registry.renew(LEASE);
    await registry.deregister(LEASE);
    assertEquals([store.loops, registry.state], [0, "unread"]);
  }));

Deno.test("StoreRegistry, a store that can't be read, rejects lookup and watch with unavailable, and reads it later", () =>
  scene(async ({ store, registry, clock }) => {
    store.begins = () => {
      throw new Error("connection refused");
    };
    const error = await assertRejects(() => registry.lookup("demo.Words"), RpcError, "the store can't be reached");
    assertEquals([error.code, error.executed], ["unavailable", "no"]);
    await assertRejects(() => registry.watch("demo.Words")[Symbol.asyncIterator]().next(), RpcError, "refused");
    store.begins = () => {};
    const loops = store.loops;
    await clock.advance(1_000);
    assertEquals(store.loops, loops + 1);
    const found = registry.lookup("demo.Words");
    await store.list("a");
    assertEquals((await found).instances.map(({ id }) => id), ["a"]);
  }));

Deno.test("X38 StoreRegistry, the store is away for an hour, answers from memory, tells of nothing and evicts nobody", () =>
  scene(async ({ store, registry, clock, warnings }) => {
    await using watch = follow(registry, "demo.Words");
    const begun = watch.begin();
    await store.list("a", "b");
    await begun;
    store.lose();
    await clock.advance(3_600_000);
    assertEquals(registry.state, "away");
    assertEquals((await registry.lookup("*")).instances.map(({ id }) => id), ["a", "b"]);
    assertEquals(warnings.filter((text) => text.startsWith("Lost sight")).length, 1);

    await store.list("b");
    assertEquals(registry.state, "current");
    assertEquals((await registry.lookup("*")).suspects, ["a"]);
    await clock.advance(20_000 - 1);
    assertEquals((await registry.lookup("*")).instances.map(({ id }) => id), ["a", "b"]);
    await clock.advance(1);
    await watch.until("no a", () => !watch.listed.has("a"));
    assertEquals([watch.snapshots, watch.removals], [1, [["a", "expired"]]]);
  }));

Deno.test("X38 StoreRegistry, whoever was away with the store registers again, is listed as before and no removal is told", () =>
  scene(async ({ store, registry, clock }) => {
    await using watch = follow(registry, "demo.Words");
    const begun = watch.begin();
    await store.list("a");
    await begun;
    store.lose();
    await clock.advance(60_000);
    await store.list();
    await store.tell({ kind: "changes", changes: [{ kind: "put", entry: entryOf("a") }] });
    await clock.advance(60_000);
    await store.tell({ kind: "changes", changes: [{ kind: "put", entry: entryOf("last") }] });
    await watch.until("the last", () => watch.listed.has("last"));
    assertEquals(watch.removals, []);
  }));

Deno.test("StoreRegistry, a store that nobody has used before, says that what is missing may return, for a while", () =>
  scene(async ({ store, registry, clock }) => {
    const events = registry.watch("*")[Symbol.asyncIterator]();
    const first = events.next();
    await store.tell({ kind: "listing", epoch: "e", warming: true, entries: [] });
    assertEquals([(await first).value.warming, (await registry.lookup("*")).warming], [true, true]);
    const next = events.next();
    await clock.advance(19_999);
    assertEquals((await registry.lookup("*")).warming, true);
    await clock.advance(1);
    assertEquals([(await next).value.warmed, (await registry.lookup("*")).warming], [true, false]);
  }));

Deno.test("StoreRegistry, an answer that never comes, gives up in time and says so", () =>
  scene(async ({ store, registry, clock }) => {
    store.renews = () => new Promise(() => {});
    const renewal = registry.renew(LEASE).catch((error) => error);
    await clock.advance(3_000);
    const error = await renewal;
    assertEquals(error.code, "unavailable");
    assertStringIncludes(error.message, "the store: no answer in 3000 ms");
  }, { timeoutMs: 3_000 }));

Deno.test("StoreRegistry, its user gives up, rejects with cancelled", () =>
  scene(async ({ store, registry }) => {
    store.registers = (signal) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(1)));
    const stop = new AbortController();
    const registering = assertRejects(() => registry.register(instanceOf("a"), { signal: stop.signal }), RpcError);
    stop.abort();
    assertEquals((await registering).code, "cancelled");
  }));

Deno.test("StoreRegistry, one who registers, waits to see it in what is followed, but not for long", () =>
  scene(async ({ store, registry, clock }) => {
    const lookup = registry.lookup("*");
    await store.list();
    await lookup;
    let done = false;
    const registering = registry.register(instanceOf("a")).then(() => done = true);
    await clock.settle();
    assertEquals(done, false);
    await store.tell({ kind: "changes", changes: [{ kind: "put", entry: entryOf("a") }] });
    await registering;

    store.registers = () => Promise.resolve({ ...LEASE, token: "never told" });
    done = false;
    const late = registry.register(instanceOf("a")).then(() => done = true);
    await clock.advance(999);
    assertEquals(done, false);
    await clock.advance(1);
    await late;
  }));

Deno.test("StoreRegistry, closed while somebody waits for the store, ends everything", () =>
  scene(async ({ store, registry, clock }) => {
    store.registers = () => new Promise(() => {});
    const lookup = assertRejects(() => registry.lookup("*"), RpcError, "closed");
    const registering = assertRejects(() => registry.register(instanceOf("a")), RpcError, "closed");
    const watching = assertRejects(() => registry.watch("*")[Symbol.asyncIterator]().next(), RpcError, "closed");
    await clock.settle();
    await registry.close();
    await Promise.all([lookup, registering, watching]);
    assertEquals(registry.state, "closed");
  }));

Deno.test("StoreRegistry refuses options out of range, and those that it does not have", () => {
  const store = new ScriptedStore();
  for (const wrong of [{ ttlMs: 0 }, { timeoutMs: 60_001 }, { historyLimit: 0 }, { believeMs: NaN }]) {
    assertThrows(() => new StoreRegistry(store, wrong), RangeError);
  }
  assertThrows(() => new StoreRegistry(store, { ttl: 1 } as StoreRegistryOptions), TypeError, '"ttl"');
});
