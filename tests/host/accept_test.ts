/** The loop that takes connections lives through whatever accepting fails with. */
import { assert, assertEquals } from "@std/assert";
import { Client } from "@erpc/erpc";
import { Host } from "../../src/host/host.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";
import type { ByteConnection } from "../../src/transport/byte_connection.ts";
import { processMemory } from "../../src/transport/memory.ts";
import { systemTransport, type Transport } from "../../src/transport/transport.ts";

/** What a kernel has to say about accepting. */
const failures = [
  () => Object.assign(new Error("Software caused connection abort (os error 103)"), { code: "ECONNABORTED" }),
  () => Object.assign(new Error("Protocol error (os error 71)"), { code: "EPROTO" }),
  () => Object.assign(new Error("No buffer space available (os error 105)"), { code: "ENOBUFS" }),
  () => Object.assign(new Error("Too many open files (os error 24)"), { code: "EMFILE" }),
  () => new Deno.errors.ConnectionAborted("Connection aborted"),
];

/** Accepting fails `times` times, then works. */
function failing(times: number): { transport: Transport; failed: () => number } {
  let failed = 0;
  const transport: Transport = {
    connect: systemTransport.connect,
    async listen(endpoint) {
      const listener = await systemTransport.listen(endpoint);
      return {
        endpoint: listener.endpoint,
        accept: (): Promise<ByteConnection> => {
          if (failed === times) return listener.accept();
          return Promise.reject(failures[failed++ % failures.length]());
        },
        close: () => listener.close(),
      };
    },
  };
  return { transport, failed: () => failed };
}

Deno.test("X29 accepting fails 10 000 times, and the loop goes on", async () => {
  const platform = virtualPlatform(1);
  const { transport, failed } = failing(10_000);
  const host = new Host({ transport, platform });
  host.handle("t.echo", (message) => message);
  await host.listen("memory://x29");
  // 10 ms, 20, 40 … and then once a second.
  for (let seconds = 0; seconds < 11_000 && failed() < 10_000; seconds += 100) await platform.clock.advance(100_000);
  assertEquals(failed(), 10_000);
  assert(platform.clock.now() > 9_900_000, "it did not pause between failures");
  await platform.clock.advance(1_000);
  const client = new Client({ endpoints: ["memory://x29"], platform });
  assertEquals(await client.call("t.echo", 1), 1);
  await client.close();
  await host.close();
});

Deno.test("X29 a listener that is closed while its loop pauses ends at once", async () => {
  const platform = virtualPlatform(1);
  const { transport } = failing(1_000_000);
  const host = new Host({ transport, platform });
  await host.listen("memory://x29-closed");
  await platform.clock.advance(3_000);
  await host.close();
  assertEquals(processMemory.listen("x29-closed").close(), undefined);
});
