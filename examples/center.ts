/**
 * A center: where servers register, and clients find them. Open three terminals:
 *
 *     deno run -A examples/center.ts
 *     deno run -A examples/server.ts
 *     deno run -A examples/client.ts
 *
 * It listens on tcp://127.0.0.1:7700, or on the address given as the first argument. Ctrl-C ends it.
 */
import { listenCenter } from "@erpc/erpc";

const stopped = new Promise<void>((stop) => {
  Deno.addSignalListener("SIGINT", stop);
  Deno.addSignalListener("SIGTERM", stop);
});

const center = await listenCenter(Deno.args[0]);
console.log(`The center listens on ${center.endpoint}`);

await stopped;
await center.close();
console.log("The center is closed");
