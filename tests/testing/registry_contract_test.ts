import { assertEquals } from "@std/assert";
import type { Instance } from "../../src/registry/instance.ts";
import { MemoryRegistry } from "../../src/registry/memory_registry.ts";
import type {
  Lease,
  RegisterOptions,
  RemovalCause,
  RenewResult,
  Snapshot,
  WatchEvent,
  WatchOptions,
} from "../../src/registry/registry.ts";
import { registryContract } from "../../src/testing/registry_contract.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";

type Platform = ReturnType<typeof virtualPlatform>;

/** The names of the cases that a registry fails. */
async function failures(make: (platform: Platform) => MemoryRegistry, patienceMs?: number): Promise<string[]> {
  const failed: string[] = [];
  const open = () => {
    const platform = virtualPlatform(1);
    return Promise.resolve({ platform, registry: make(platform) });
  };
  const cases = registryContract("faulty", open, {
    knowsOwners: true,
    expire: ({ platform }, lease) => platform.clock.advance(lease.ttlMs + 1_000),
    watcherCount: ({ registry }) => registry.watcherCount,
    patienceMs,
  });
  for (const { name, run } of cases) {
    try {
      await run();
    } catch {
      failed.push(name.replace("registry faulty, ", ""));
    }
  }
  return failed;
}

/** A registry whose watches are what `change` makes of them. */
function watching(change: (events: AsyncIterable<WatchEvent>) => AsyncIterable<WatchEvent>) {
  return class extends MemoryRegistry {
    override watch(service: string, options?: WatchOptions): AsyncIterable<WatchEvent> {
      return change(super.watch(service, options));
    }
  };
}

const faults: [string, string, new (options: { platform: Platform }) => MemoryRegistry][] = [
  [
    "forgets the metadata",
    "lists what is registered, as it is",
    class extends MemoryRegistry {
      override register(instance: Instance, options?: RegisterOptions): Promise<Lease> {
        return super.register({ ...instance, metadata: {} }, options);
      }
    },
  ],
  [
    "lists in the order of arrival",
    "lists under each service who offers it, in the order of their ids",
    class extends MemoryRegistry {
      override async lookup(service: string): Promise<Snapshot> {
        const snapshot = await super.lookup(service);
        return { ...snapshot, instances: snapshot.instances.toReversed() };
      }
    },
  ],
  [
    "renews everything",
    "renews a lease while it lasts, and knows it no more when it has ended",
    class extends MemoryRegistry {
      override renew(): Promise<RenewResult> {
        return Promise.resolve("renewed");
      }
    },
  ],
  [
    "says unknown for fenced",
    "lets a newer incarnation take over, and fences the older one",
    class extends MemoryRegistry {
      override async renew(lease: Lease): Promise<RenewResult> {
        const result = await super.renew(lease);
        return result === "fenced" ? "unknown" : result;
      }
    },
  ],
  [
    "does not heed the cause",
    "says why an instance is gone, once",
    class extends MemoryRegistry {
      override deregister(lease: Lease, _cause?: RemovalCause): Promise<void> {
        return super.deregister(lease);
      }
    },
  ],
  [
    "swallows what is malformed",
    "refuses a malformed instance and lists nothing of it",
    class extends MemoryRegistry {
      override register(instance: Instance, options?: RegisterOptions): Promise<Lease> {
        return super.register({ ...instance, weight: instance.weight || 1 }, options);
      }
    },
  ],
  [
    "never expires",
    "removes who does not renew, and says that the lease expired",
    class extends MemoryRegistry {
      override register(instance: Instance, options?: RegisterOptions): Promise<Lease> {
        return super.register(instance, { ...options, ttlMs: (options?.ttlMs ?? 1_000) * 1_000 })
          .then((lease) => ({ ...lease, ttlMs: lease.ttlMs / 1_000 }));
      }
    },
  ],
  [
    "tells everything twice",
    "tells a watch what is there, then each change, with rising revisions",
    watching(async function* (events) {
      for await (const event of events) {
        yield event;
        yield event;
      }
    }),
  ],
  [
    "loses a change in three",
    "tells two watches the same, also one that reads late",
    watching(async function* (events) {
      let n = 0;
      for await (const event of events) {
        if (event.kind === "snapshot") yield event;
        else yield { ...event, changes: event.changes.filter(() => n++ % 3 !== 0) };
      }
    }),
  ],
  [
    "stands still with its revisions",
    "tells a watch what is there, then each change, with rising revisions",
    watching(async function* (events) {
      for await (const event of events) yield { ...event, revision: 1 };
    }),
  ],
  [
    "can't be left while it waits",
    "ends a watch when its reader breaks out, returns or aborts",
    // A generator answers `return` only when its `next` has.
    watching(async function* (events) {
      yield* events;
    }),
  ],
  [
    "goes on behind a cursor of its own choice",
    "continues behind a cursor with no gap and nothing twice",
    class extends MemoryRegistry {
      override watch(service: string, { after, signal }: WatchOptions = {}): AsyncIterable<WatchEvent> {
        const behind = after && { ...after, revision: Math.max(0, after.revision - 1) };
        return super.watch(service, { signal, after: behind });
      }
    },
  ],
  [
    "proves what nobody has acknowledged",
    "says when every watch has acknowledged that a lease ended, where it can say so",
    class extends MemoryRegistry {
      override async settled(lease: Lease): Promise<void> {
        await Promise.race([super.settled(lease), Promise.resolve().then(() => {})]);
      }
    },
  ],
  [
    "heeds no owner",
    "lets nobody replace what is listed for somebody else",
    class extends MemoryRegistry {
      override register(instance: Instance, options?: RegisterOptions): Promise<Lease> {
        return super.register(instance, { ...options, owner: undefined });
      }
    },
  ],
  [
    "leaves its watches open",
    "ends everything when it is closed",
    class extends MemoryRegistry {
      override close(): Promise<void> {
        return Promise.resolve();
      }
    },
  ],
];

Deno.test("registryContract, a sound registry, passes", async () => {
  assertEquals(await failures((platform) => new MemoryRegistry({ platform })), []);
});

for (const [fault, found, Faulty] of faults) {
  Deno.test(`registryContract, a registry that ${fault}, is found out`, async () => {
    const failed = await failures((platform) => new Faulty({ platform }), 50);
    assertEquals(failed.includes(found), true, `failed: ${failed.join("; ") || "nothing"}`);
  });
}
