import { assertEquals } from "@std/assert";
import { MemoryRegistry } from "../../src/registry/memory_registry.ts";
import { instanceOf } from "../registry/instances.ts";
import type { Happening } from "./history.ts";
import { recordLeases } from "./leasing.ts";

Deno.test("recordLeases puts down a lease as it was given, whatever whoever renews it says of it", async () => {
  const seen: Happening[] = [];
  await using registry = new MemoryRegistry();
  recordLeases(registry, (happening) => void seen.push(happening));
  const lease = await registry.register(instanceOf("a"), { ttlMs: 5_000 });
  const { ttlMs: _, ...garbled } = lease;
  assertEquals(await registry.renew({ ...garbled, ttlMs: NaN }), "renewed");
  const put = { what: "lease", instance: "a", token: lease.token, ttlMs: 5_000 };
  assertEquals(seen.filter(({ what }) => what === "lease"), [put, put] as Happening[]);
});
