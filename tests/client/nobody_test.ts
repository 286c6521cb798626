/** Calls for which nobody is there: they fail at once, and say nothing against trying again later. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Client, MemoryRegistry, RpcError, Server } from "@erpc/erpc";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { instanceOf } from "../registry/instances.ts";
import { until } from "../support/until.ts";

let scenes = 0;

async function open() {
  const stack = new AsyncDisposableStack();
  const platform = virtualPlatform(1);
  const registry = stack.use(new MemoryRegistry({ platform }));
  const server = stack.use(new Server({ platform }));
  server.handle("demo.hello", () => "hello");
  await server.listen(`memory://nobody-${++scenes}`);
  const client = stack.use(new Client({ registry, platform }));
  const instance = instanceOf("a", { endpoints: [server.endpoint], services: ["demo"] });
  const register = () => registry.register(instance, { ttlMs: 86_400_000 });
  return { registry, client, clock: platform.clock, register, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

Deno.test("a call of a service that nobody offers fails without another attempt, and forbids none to its caller", async () => {
  await using scene = await open();
  const { client } = scene;
  // Time stands still: a client that waited before it tried again would never be done.
  const error = await assertRejects(() => client.call("demo.hello"), RpcError, "no instance of it is registered");
  assertEquals([error.code, error.executed, error.retryAfterMs], ["unavailable", "no", undefined]);
  assertEquals([error.explain?.attempts.length, client.stats().services[0].retryTokens], [1, 10]);
  assert(!Deno.inspect(error).includes("do not retry"));
});

Deno.test("somebody who tries again unless the error forbids it gets through when an instance comes", async () => {
  await using scene = await open();
  const { client } = scene;
  let tries = 0;
  const calling = (async () => {
    for (;;) {
      try {
        tries++;
        return await client.call("demo.hello");
      } catch (error) {
        if (!(error instanceof RpcError) || error.code !== "unavailable" || (error.retryAfterMs ?? 0) < 0) throw error;
        await new Promise<void>((resolve) => void scene.clock.timer(error.retryAfterMs ?? 100, resolve));
      }
    }
  })();
  for (let round = 0; round < 3; round++) await scene.clock.advance(100);
  await scene.register();
  await until(() => client.stats().services[0].instances.length === 1);
  await scene.clock.advance(100);
  assertEquals(await calling, "hello");
  assert(tries >= 4, `${tries} tries`);
});
