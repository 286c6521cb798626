/**
 * An RPC kit for Deno: a **center** where services are found, a **server** where they run, and a **client** where they are
 * called, with types on both sides, streams both ways, balancing, deadlines and safe retries. Nothing to install.
 *
 * ```ts
 * import { Center, Client, Server, service, unary } from "@erpc/erpc";
 *
 * const Words = service("demo.Words", {
 *   count: unary<{ text: string }, { words: number }>({ idempotent: true }),
 * });
 *
 * await using center = new Center();
 * await center.listen("tcp://127.0.0.1:0");
 *
 * await using server = new Server({ center: center.endpoint });
 * server.handle(Words, { count: ({ text }) => ({ words: text.split(/\s+/).length }) });
 * await server.listen();
 *
 * await using client = new Client({ center: center.endpoint });
 * const words = client.service(Words);
 * console.log(await words.count({ text: "one two three" })); // { words: 3 }
 * ```
 *
 * A contract is made with {@link service} and the five kinds of methods ({@link unary}, {@link serverStream},
 * {@link clientStream}, {@link bidi}, {@link oneway}); both sides import it. {@link Server.handle} answers it,
 * {@link Client.service} calls it, and every call ends with a reply or an {@link RpcError}. Everything that is made with `new` is
 * closed by whoever made it, as `await using` does: until then it keeps the process alive. What can be set is in
 * {@link ServerOptions}, {@link ClientOptions}, {@link CallOptions}, {@link CenterOptions} and {@link Limits}; nothing need be.
 *
 * Other entries: `@erpc/erpc/testing` for tests of services and of parts of your own, `/worker` for methods that compute for
 * long, `/msgpack`, `/etcd`, `/redis`, `/zookeeper`, `/cli`, and `/extend` for the types of balancers, registries and the like.
 *
 * @module
 */

// Describe: contracts, and how messages travel.
export { bidi, clientStream, oneway, serverStream, service, unary } from "./src/core/service.ts";
export { fail, failure, failureOf } from "./src/core/failure.ts";
export type { Method, ReplyOf, RequestOf, Service } from "./src/core/service.ts";
export type { Codec } from "./src/core/codec.ts";
export { json } from "./src/codec/json.ts";
export { bytes } from "./src/codec/bytes.ts";

// Serve.
export { Server } from "./src/server/server.ts";
export type { ServerOptions } from "./src/server/server.ts";
export type { Implementation } from "./src/host/handler.ts";
export type { Context, Peer } from "./src/core/call.ts";
export { sameSecret } from "./src/core/secret.ts";

// Call.
export { Client } from "./src/client/client.ts";
export type { CallOptions, ClientOptions } from "./src/client/options.ts";
export type { ServiceClient } from "./src/client/typed.ts";
export { Metadata } from "./src/core/metadata.ts";
export { RpcError } from "./src/core/error.ts";
export type { Code } from "./src/core/code.ts";

// Find: where services are listed.
export { Center } from "./src/center/center.ts";
export type { CenterOptions } from "./src/center/center.ts";
export { MemoryRegistry } from "./src/registry/memory_registry.ts";
export type { Registry } from "./src/registry/registry.ts";
export type { Instance } from "./src/registry/instance.ts";

// Balance: who is called next.
export { random } from "./src/balancer/random.ts";
export { roundRobin } from "./src/balancer/round_robin.ts";
export { leastLoaded } from "./src/balancer/least_loaded.ts";
export { consistentHash } from "./src/balancer/consistent_hash.ts";
export { firstAvailable } from "./src/balancer/first_available.ts";
export { byZone } from "./src/balancer/by_zone.ts";
export { slowStart } from "./src/balancer/slow_start.ts";
export { subset } from "./src/balancer/subset.ts";
export type { Balancer } from "./src/balancer/balancer.ts";

// Guard: what is wrapped around calls.
export { Call, Reply } from "./src/core/call.ts";
export type { Interceptor, Invoker } from "./src/core/call.ts";
export { breaker } from "./src/interceptor/breaker.ts";
export { fallback } from "./src/interceptor/fallback.ts";
export { hedge } from "./src/interceptor/hedge.ts";
export { retry } from "./src/interceptor/retry.ts";
export type { Limits } from "./src/core/limits.ts";

// Observe.
export { log } from "./src/interceptor/log.ts";
export { trace } from "./src/interceptor/trace.ts";
export type { Logger } from "./src/core/logger.ts";

// Extend: the types that a part of your own needs are in "@erpc/erpc/extend".

// Start quickly: the same on one server and one client for the whole process.
export { call, close, handle, listen, listenCenter } from "./src/quick.ts";
