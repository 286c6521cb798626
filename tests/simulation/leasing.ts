/** Puts down what a center does with leases, and what watchers are told of it over the network. */
import type { MemoryRegistry } from "../../src/registry/memory_registry.ts";
import type { Lease, WatchEvent } from "../../src/registry/registry.ts";
import { CenterRegistry } from "../../src/center/center_registry.ts";
import type { NodeContext } from "../../src/testing/simulated.ts";
import { makeSettings } from "../support/settings.ts";
import type { Config } from "./config.ts";
import type { Recorder } from "./history.ts";
import { Work } from "./workload/service.ts";

/** How long a watcher waits before it watches again. */
const AGAIN_MS = 300;

/** Puts down every lease that a registry gives or renews, and every change in what it lists. */
export function recordLeases(registry: MemoryRegistry, record: Recorder): void {
  const { register, renewNow } = registry;
  /** What was given, by token: whoever renews a lease may say something else of it, were it for a bit that has flipped. */
  const given = new Map<string, Lease>();
  const put = ({ instanceId, token, ttlMs }: Lease) => record({ what: "lease", instance: instanceId, token, ttlMs });
  registry.register = async (instance, options) => {
    const lease = await register.call(registry, instance, options);
    given.set(lease.token, lease);
    put(lease);
    return lease;
  };
  registry.renewNow = (lease, load) => {
    const result = renewNow.call(registry, lease, load);
    if (result === "renewed") put(given.get(lease.token)!);
    return result;
  };
  void (async () => {
    for await (const event of registry.watch(Work.name)) record({ what: "listing", ...toldIn(event) });
  })();
}

/** Follows a center from a client's node for as long as that lives, and puts down all that it is told. */
export function watchCenter(config: Config, center: string, context: NodeContext, record: Recorder): AsyncDisposable {
  const { platform, transport, sleep } = context;
  const settings = makeSettings({ platform, limits: config.limits.client });
  const registry = new CenterRegistry(`tcp://${center}:7700`, settings, transport);
  const stop = new AbortController();
  const { signal } = stop;
  let after: { epoch: string; revision: number } | undefined;
  const follow = async () => {
    while (!signal.aborted) {
      try {
        for await (const event of registry.watch(Work.name, { after, signal })) {
          after = { epoch: event.epoch, revision: event.revision };
          record({ what: "told", center, ...toldIn(event) });
        }
      } catch {
        // It is lost; from there on it goes on once it is back.
      }
      if (!signal.aborted) await Promise.race([sleep(AGAIN_MS), aborted(signal)]);
    }
  };
  const following = follow();
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await following;
      await registry.close();
      settings.timers[Symbol.dispose]();
    },
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

function toldIn(event: WatchEvent) {
  const { epoch, revision } = event;
  if (event.kind === "snapshot") {
    const suspects = new Set(event.suspects);
    const changes = event.instances.map(({ id, incarnation }) => ({ id, incarnation, suspect: suspects.has(id) }));
    return { afresh: true, epoch, revision, changes };
  }
  const changes = event.changes.map((change) => {
    if (change.kind === "removed") return { id: change.instanceId, cause: change.cause };
    return { id: change.instance.id, incarnation: change.instance.incarnation, suspect: change.suspect === true };
  });
  return { afresh: false, epoch, revision, changes };
}
