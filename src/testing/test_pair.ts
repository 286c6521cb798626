import { Client } from "../client/client.ts";
import type { ClientOptions } from "../client/options.ts";
import type { ServiceClient } from "../client/typed.ts";
import { checkNames } from "../core/options.ts";
import type { Methods, Service } from "../core/service.ts";
import type { Implementation } from "../host/handler.ts";
import { Server, type ServerOptions } from "../server/server.ts";
import { MemoryNetwork } from "../transport/memory.ts";
import type { Transport } from "../transport/transport.ts";

/** How a pair is made. */
export interface TestPairOptions {
  /** What the server is told besides, such as `interceptors`. */
  server?: Omit<ServerOptions, "center" | "registry" | "transport" | "advertise">;
  /** What the client is told besides, such as `interceptors`. */
  client?: Omit<ClientOptions, "center" | "registry" | "endpoints" | "transport">;
}

/** A client and a server with nothing between them. Whoever makes one disposes it. */
export interface TestPair<S extends Service = Service> extends AsyncDisposable {
  /** The contract as the client has it. */
  readonly client: ServiceClient<S>;
  /** The client itself, for calls without a contract and for other contracts. */
  readonly caller: Client;
  /** The server, for more handlers. */
  readonly server: Server;
}

const ENDPOINT = "memory://pair";

/**
 * Handlers and a client for them, without a socket: for plain tests of a service. Calls go all the way through both, so that
 * codecs, deadlines, cancellation, metadata and errors are what they are in earnest.
 *
 * ```ts
 * import { service, unary } from "@erpc/erpc";
 * import { testPair } from "@erpc/erpc/testing";
 *
 * const Words = service("demo.Words", { count: unary<{ text: string }, { words: number }>() });
 *
 * await using pair = testPair(Words, { count: ({ text }) => ({ words: text.split(" ").length }) });
 * console.log(await pair.client.count({ text: "one two" })); // { words: 2 }
 * ```
 *
 * With `virtualPlatform(1)` as the `platform` of both, time stands still until its clock is told to move.
 *
 * @throws {TypeError} when a method has no function, or an option can't be used
 */
export function testPair<M extends Methods>(
  contract: Service<M>,
  handlers: Implementation<Service<M>>,
  options: TestPairOptions = {},
): TestPair<Service<M>> {
  checkNames(options, { server: true, client: true });
  const network = new MemoryNetwork();
  const transport: Transport = {
    connect: async () => {
      await listening;
      return network.connect("pair");
    },
    listen: () => Promise.try(() => network.listen("pair")),
  };
  const server = new Server({ ...options.server, transport });
  server.handle(contract, handlers);
  const caller = new Client({ ...options.client, endpoints: [ENDPOINT], transport });
  const listening = server.listen(ENDPOINT);
  return {
    client: caller.service(contract),
    caller,
    server,
    async [Symbol.asyncDispose]() {
      await caller.close();
      await listening;
      await server.close();
    },
  };
}
