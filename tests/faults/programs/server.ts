/**
 * A server of the interop contract as a process. Prints where it listens, and then what its handlers go through: `begun`,
 * `ended` or `aborted`, and the tag of the call. Its argument is `ServerProcessOptions` as JSON.
 */
import { type Interceptor, Server } from "@erpc/erpc";
import { Interop, interopHandlers, TAG, Traces } from "../../support/interop.ts";
import type { ServerProcessOptions } from "../processes.ts";

const { endpoint, deaf = false, ...options }: ServerProcessOptions = JSON.parse(Deno.args[0]);

/** Takes calls that have one reply, and never answers them. */
const neverAnswer: Interceptor = (next) => (call) => {
  if (call.kind !== "unary") return next(call);
  console.log(`begun ${call.metadata.text(TAG)}`);
  return new Promise(() => {});
};

const server = new Server({ ...options, interceptors: deaf ? [neverAnswer] : [] });
server.handle(Interop, interopHandlers(new Traces((what, tag) => console.log(`${what} ${tag}`))));
await server.listen(endpoint);
console.log(`listening on ${server.endpoint}`);
