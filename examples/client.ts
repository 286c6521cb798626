/**
 * Calls demo.hello once, on whichever server the center knows. Needs examples/center.ts and examples/server.ts:
 *
 *     deno run -A examples/client.ts
 *
 * A center elsewhere is given as the first argument.
 */
import { Client, RpcError } from "@erpc/erpc";

await using client = new Client({ center: Deno.args[0] ?? "tcp://127.0.0.1:7700" });
try {
  console.log(await client.call("demo.hello", { name: "world" }, { timeoutMs: 5_000 }));
} catch (error) {
  if (!(error instanceof RpcError) || error.code !== "unavailable") throw error;
  console.error(error.message);
  console.error("Are examples/center.ts and examples/server.ts running?");
  Deno.exitCode = 1;
}
