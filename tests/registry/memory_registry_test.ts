import { MemoryRegistry } from "../../src/registry/memory_registry.ts";
import { registryContract } from "../../src/testing/registry_contract.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";

function open() {
  const platform = virtualPlatform(1);
  return Promise.resolve({ platform, registry: new MemoryRegistry({ platform }) });
}

const hooks = {
  expire: ({ platform }: Awaited<ReturnType<typeof open>>, lease: { ttlMs: number }) =>
    platform.clock.advance(lease.ttlMs + 1_000),
  watcherCount: ({ registry }: Awaited<ReturnType<typeof open>>) => registry.watcherCount,
};

for (const { name, run } of registryContract("memory", open, hooks)) Deno.test(name, run);
