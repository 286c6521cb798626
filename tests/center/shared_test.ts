/** Centers that have one registry between them, as those over one store do. In virtual time. */
import { assertEquals } from "@std/assert";
import { Center, Client, type Instance, MemoryRegistry, Server } from "@erpc/erpc";
import type { Lease, RegisterOptions } from "../../src/registry/registry.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";

class CountingRegistry extends MemoryRegistry {
  registered = 0;

  override register(instance: Instance, options?: RegisterOptions): Promise<Lease> {
    this.registered++;
    return super.register(instance, options);
  }
}

Deno.test("centers over one registry, a server with both of them holds one lease there and renews it through both", async () => {
  const platform = virtualPlatform(1);
  const { clock } = platform;
  await using registry = new CountingRegistry({ platform });
  await using stack = new AsyncDisposableStack();
  const center = ["x", "y"].map((name) => `memory://shared-${name}`);
  const centers: Center[] = [];
  for (const address of center) {
    centers.push(stack.use(new Center({ platform, registry })));
    await centers.at(-1)!.listen(address);
  }
  const warnings: string[] = [];
  const nothing = () => {};
  const logger = { debug: nothing, info: nothing, error: nothing, warn: (text: string) => void warnings.push(text) };
  const server = stack.use(new Server({ platform, id: "a", center, logger }));
  server.handle("who.am", () => "a");
  const listening = server.listen("memory://shared-server");
  await clock.advance(0);
  await listening;
  const client = stack.use(new Client({ platform, center }));
  assertEquals(await client.call("who.am"), "a");

  await clock.advance(60_000);
  assertEquals([registry.registered, registry.instanceCount, warnings], [2, 1, []]);

  // What is new goes to both, and the matter is settled again within a beat.
  server.handle("who.else", () => "a");
  await clock.advance(60_000);
  assertEquals([registry.registered, (await registry.lookup("who")).instances.length, warnings], [4, 1, []]);

  // Either of them alone keeps it listed.
  await centers[0].close();
  await clock.advance(60_000);
  assertEquals([registry.registered, registry.instanceCount], [4, 1]);
  assertEquals(await client.call("who.am"), "a");
});
