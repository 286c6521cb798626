/** The four verbs of a quick start, on one center, one server and one client for the whole process. */
import { Center } from "./center/center.ts";
import { Client } from "./client/client.ts";
import type { CallOptions } from "./client/options.ts";
import type { PlainHandler } from "./host/handler.ts";
import { Server } from "./server/server.ts";
import { CENTER_ENDPOINT } from "./center/contract.ts";

let center: string = CENTER_ENDPOINT;
let server: Server | undefined;
let client: Client | undefined;

/**
 * Starts a center, which the other verbs of this process use from now on. It listens until it is closed.
 * @param endpoint default `tcp://127.0.0.1:7700`
 */
export async function listenCenter(endpoint: string = CENTER_ENDPOINT): Promise<Center> {
  const started = new Center();
  await started.listen(endpoint);
  center = started.endpoint;
  return started;
}

/**
 * Answers a procedure on the process's server.
 * @param procedure `demo.hello`, or `demo.Words/count`
 * @throws {TypeError} when it is no procedure, or is handled already
 */
export function handle(procedure: string, handler: PlainHandler): void {
  server ??= new Server({ center });
  server.handle(procedure, handler);
}

/** Makes the process's server listen, and register with the center: this process's own, else the one at `tcp://127.0.0.1:7700`. */
export async function listen(endpoint?: string): Promise<Server> {
  server ??= new Server({ center });
  const listening = server;
  await listening.listen(endpoint);
  return listening;
}

/**
 * Calls a procedure with the process's client, through the center: this process's own, else the one at
 * `tcp://127.0.0.1:7700`. The client lives, and keeps the process alive, until `close`.
 * @param procedure `demo.hello`, or `demo.Words/count`
 */
// deno-lint-ignore no-explicit-any
export function call(procedure: string, request?: unknown, options?: CallOptions): Promise<any> {
  client ??= new Client({ center });
  return client.call(procedure, request, options);
}

/** Closes the process's server and client. The next verb begins anew. */
export async function close(): Promise<void> {
  const [oldServer, oldClient] = [server, client];
  server = client = undefined;
  await oldClient?.close();
  await oldServer?.close();
}
