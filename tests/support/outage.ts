/** Two stateless centers, servers and clients over one store, under load while something happens to the store. */
import { assertEquals } from "@std/assert";
import { Center, Client, type Registry, Server } from "@erpc/erpc";
import type { WatchEvent } from "../../src/registry/registry.ts";
import type { StoreRegistry } from "../../src/store/store_registry.ts";
import { runtimePlatform } from "../../src/core/platform.ts";
import { until } from "./until.ts";
import { Words, words } from "./words.ts";

/** `ERPC_OUTAGE_MS=60000` plays them in full length, with the usual leases; otherwise just over the length of short ones. */
const WHOLE_MS = Number(Deno.env.get("ERPC_OUTAGE_MS") ?? 0);

/** How long leases last in it. */
export const TTL_MS = WHOLE_MS > 0 ? 15_000 : 4_000;
/** How long the trouble lasts: longer than a lease, and a beat. */
export const OUTAGE_MS = WHOLE_MS > 0 ? WHOLE_MS : 6_000;

/** How long a registry may wait for an answer in it. */
export const TIMEOUT_MS = WHOLE_MS > 0 ? 5_000 : 1_000;

/** Lets time pass, which is the point of an outage. */
export function pass(ms: number): Promise<void> {
  return new Promise((resolve) => runtimePlatform.clock.timer(ms, resolve));
}

/** What a scene is made of, for whatever happens in it. */
export interface Scene {
  /** The registries of the two centers, of a server and of a client, and one that only looks on. */
  readonly registries: readonly StoreRegistry[];
  /** Resolves when each registry was told that the store is lost. */
  lost(): Promise<void>;
  /** Resolves when each registry follows the store again. */
  found(): Promise<void>;
}

/**
 * Plays it: three servers, two of them through centers and one on the store itself; two clients likewise; calls all the time.
 * No call may fail, nobody may be removed anywhere, and in the end everybody must be listed in the store itself.
 *
 * @param open makes a registry over the store, with short leases
 */
export async function playOutage(open: () => StoreRegistry, trouble: (scene: Scene) => Promise<void>): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const registries = Array.from({ length: 5 }, () => stack.use(open()));
  const [first, second, ofServer, ofClient] = registries;
  const centers: string[] = [];
  for (const registry of [first, second]) {
    const center = stack.use(new Center({ registry }));
    await center.listen("tcp://127.0.0.1:0");
    centers.push(center.endpoint);
  }
  const ids = ["ada", "ben", "cyd"];
  const places = [{ center: centers }, { center: centers.toReversed() }, { registry: ofServer }];
  for (const [n, id] of ids.entries()) {
    const server = stack.use(new Server({ id, ttlMs: TTL_MS, ...places[n] }));
    server.handle(Words, words);
    await server.listen();
    await until(() => server.registration.state === "registered");
  }

  const stop = stack.use(new Stop());
  const removed: string[] = [];
  const watches = registries.map((registry) => note(registry, stop.signal, removed));
  const loads = [new Client({ center: centers }), new Client({ registry: ofClient })].map((client) => {
    const load: Load = { calls: 0, failures: [] };
    return { load, ended: callUntil(client, stop.signal, load) };
  });
  const scene: Scene = {
    registries,
    lost: () => until(() => registries.every(({ state }) => state === "away")),
    found: () => until(() => registries.every(({ state }) => state === "current")),
  };
  await until(async () => (await Promise.all(registries.map(listed))).every((found) => found === ids.join()));
  await trouble(scene);
  await scene.found();
  await until(async () => (await Promise.all(registries.map(doubted))).every((count) => count === 0));
  // As the store itself has it, not as somebody remembers.
  await until(async () => {
    await using fresh = open();
    return await listed(fresh) === ids.join();
  });
  // A busy machine may have let few calls through until now.
  await until(() => loads.every(({ load }) => load.calls > 100));
  stop.abort();
  await Promise.all(loads.map(({ ended }) => ended));
  await Promise.all(watches);
  for (const { load: { calls, failures } } of loads) assertEquals(failures, [], `of ${calls} calls`);
  assertEquals(removed, []);
}

class Stop extends AbortController implements Disposable {
  [Symbol.dispose](): void {
    this.abort();
  }
}

async function note(registry: Registry, signal: AbortSignal, removed: string[]): Promise<void> {
  let known: readonly string[] = [];
  const tell = (event: WatchEvent) => {
    if (event.kind === "snapshot") {
      const ids = event.instances.map(({ id }) => id);
      removed.push(...known.filter((id) => !ids.includes(id)));
      known = ids;
    } else {
      for (const change of event.changes) {
        if (change.kind === "removed") removed.push(change.instanceId);
        else known = [...new Set([...known, change.instance.id])];
      }
    }
  };
  for await (const event of registry.watch("*", { signal })) tell(event);
}

/** What a client has done. */
interface Load {
  calls: number;
  readonly failures: unknown[];
}

async function callUntil(client: Client, signal: AbortSignal, load: Load): Promise<void> {
  await using _client = client;
  const service = client.service(Words);
  while (!signal.aborted) {
    const { words } = await service.count({ text: "one two" }).catch((error) => {
      load.failures.push(error);
      return { words: 2 };
    });
    if (words !== 2) load.failures.push(new Error(`${words} words`));
    load.calls++;
    // Often enough to notice everything, and seldom enough to leave the store some of the machine.
    if (load.calls % 16 === 0) await pass(5);
  }
}

async function listed(registry: Registry): Promise<string> {
  return (await registry.lookup("demo.Words")).instances.map(({ id }) => id).join();
}

async function doubted(registry: Registry): Promise<number> {
  return (await registry.lookup("*")).suspects?.length ?? 0;
}
