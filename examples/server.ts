/**
 * A server that answers demo.hello. It registers with the center of examples/center.ts; start as many of it as you like:
 *
 *     deno run -A examples/server.ts
 *
 * A center elsewhere is given as the first argument. Ctrl-C ends it: it leaves the center, lets running calls end, and goes.
 */
import { Server } from "@erpc/erpc";

const stopped = new Promise<void>((stop) => {
  Deno.addSignalListener("SIGINT", stop);
  Deno.addSignalListener("SIGTERM", stop);
});

const center = Deno.args[0] ?? "tcp://127.0.0.1:7700";
const server = new Server({ center });
server.handle("demo.hello", ({ name }) => `Hello, ${name}!`);
await server.listen();

console.log(`The server listens on ${server.endpoint}`);
if (server.registration.state !== "registered") {
  console.warn(`There is no center at ${center} yet: start examples/center.ts, and the server registers by itself`);
}

await stopped;
await server.drain();
console.log("The server is closed");
