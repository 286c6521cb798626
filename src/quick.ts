/** The four verbs of a quick start, on one center, one server and one client for the whole process. */
import { Center } from "./center/center.ts";
import { Client } from "./client/client.ts";
import type { CallOptions } from "./client/options.ts";
import type { PlainHandler } from "./host/handler.ts";
import { Server } from "./server/server.ts";
import { CENTER_ENDPOINT } from "./center/contract.ts";

let server: Server | undefined;
let client: Client | undefined;

/**
 * Starts a center. It listens until the process ends, or it is closed.
 * @param endpoint default `tcp://127.0.0.1:7700`
 */
export async function listenCenter(endpoint: string = CENTER_ENDPOINT): Promise<Center> {
  const center = new Center();
  await center.listen(endpoint);
  return center;
}

/**
 * Answers a procedure on the process's server.
 * @param procedure `demo.hello`, or `demo.Words/count`
 * @throws {TypeError} when it is no procedure, or is handled already
 */
export function handle(procedure: string, handler: PlainHandler): void {
  server ??= new Server({ center: CENTER_ENDPOINT });
  server.handle(procedure, handler);
}

/** Makes the process's server listen, and register with the center at `tcp://127.0.0.1:7700`. */
export async function listen(endpoint?: string): Promise<Server> {
  server ??= new Server({ center: CENTER_ENDPOINT });
  const listening = server;
  await listening.listen(endpoint);
  return listening;
}

/**
 * Calls a procedure with the process's client, through the center at `tcp://127.0.0.1:7700`.
 * @param procedure `demo.hello`, or `demo.Words/count`
 */
// deno-lint-ignore no-explicit-any
export function call(procedure: string, request?: unknown, options?: CallOptions): Promise<any> {
  client ??= new Client();
  return client.call(procedure, request, options);
}

/** Closes the process's server and client. The next verb begins anew. */
export async function close(): Promise<void> {
  const [oldServer, oldClient] = [server, client];
  server = client = undefined;
  await oldClient?.close();
  await oldServer?.close();
}
