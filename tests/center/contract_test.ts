/** A center is a registry like any other. */
import { Center, MemoryRegistry } from "@erpc/erpc";
import { registryContract } from "@erpc/erpc/testing";
import { CenterRegistry } from "../../src/center/center_registry.ts";
import type { Lease } from "../../src/registry/registry.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { systemTransport } from "../../src/transport/transport.ts";
import { makeSettings } from "../support/settings.ts";

let centers = 0;

for (const endpoint of ["memory://center", "tcp://127.0.0.1:0"]) {
  const open = async () => {
    const platform = virtualPlatform(1);
    const memory = new MemoryRegistry({ platform });
    const center = new Center({ platform, registry: memory });
    await center.listen(endpoint.startsWith("memory:") ? `${endpoint}-${++centers}` : endpoint);
    const settings = makeSettings({ platform });
    return {
      registry: new CenterRegistry(center.endpoint, settings, systemTransport),
      memory,
      clock: platform.clock,
      async close() {
        await center.close();
        await memory.close();
        settings.timers[Symbol.dispose]();
      },
    };
  };
  type Subject = Awaited<ReturnType<typeof open>>;
  const cases = registryContract<Subject>(`center over ${endpoint.split(":")[0]}`, open, {
    async watcherCount({ memory }) {
      // The center hears of it a turn or two later.
      for (let turn = 0; turn < 200 && memory.watcherCount > 0; turn++) await new Promise((go) => setImmediate(go));
      return memory.watcherCount;
    },
    async expire({ clock }, lease: Lease) {
      for (let waited = 0; waited <= lease.ttlMs + 2_000; waited += 500) await clock.advance(500);
    },
  });
  for (const { name, run } of cases) Deno.test(name, run);
}
