/** Centers whose answers make no sense. */
import { assertEquals, assertRejects } from "@std/assert";
import { RpcError, Server } from "@erpc/erpc";
import { CenterRegistry } from "../../src/center/center_registry.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { systemTransport } from "../../src/transport/transport.ts";
import { instanceOf } from "../registry/instances.ts";
import { makeSettings } from "../support/settings.ts";
import { until } from "../support/until.ts";

Deno.test("CenterRegistry, a center that says nonsense about its clients or a lease, is an error for who asked and for nobody else", async () => {
  const answers: unknown[] = [null, 5, "x", [], {}, { clients: null }, { clients: "many" }, { clients: -1 }];
  for (const [n, answer] of answers.entries()) {
    await using server = new Server();
    let asked = 0;
    server.handle("erpc.Center/observe", () => {
      asked++;
      return answer;
    });
    server.handle("erpc.Center/register", () => answer);
    await server.listen(`memory://nonsense-${n}`);
    const settings = makeSettings({ platform: virtualPlatform(1) });
    const registry = new CenterRegistry(server.endpoint, settings, systemTransport);
    const error = await assertRejects(() => registry.register(instanceOf("a")), RpcError, "it is no lease");
    assertEquals(error.code, "internal");
    // It was asked by itself, where nobody catches what goes wrong.
    await until(() => asked > 0);
    await registry.close();
    settings.timers[Symbol.dispose]();
  }
});
