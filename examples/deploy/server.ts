/**
 * A server of the deploy, as a process of its own. Arguments: the center's endpoint, and the server's name. It says on standard
 * output when it is registered; with SIGTERM it leaves in good order.
 */
import { Server } from "@erpc/erpc";
import { Work } from "./contract.ts";

const [center, id] = Deno.args;
const stopped = new Promise<void>((stop) => Deno.addSignalListener("SIGTERM", stop));
const server = new Server({ center, id });
const work = async () => {
  await new Promise((resolve) => setTimeout(resolve, 2 + 8 * Math.random()));
  return id;
};
server.handle(Work, { once: work, again: work });
await server.listen();
console.log(server.endpoint);
await stopped;
await server.drain();
