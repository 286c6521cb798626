/**
 * A server of the interop contract as a process. Prints where it listens, and then what its handlers go through: `begun`,
 * `ended` or `aborted`, and the tag of the call. Its argument is `ServerProcessOptions` as JSON. From the first time that it
 * is asked it also keeps account of what it holds.
 */
import { type Interceptor, Server } from "@erpc/erpc";
import { HeldMeter } from "../../support/held.ts";
import { Interop, interopHandlers, TAG, Traces } from "../../support/interop.ts";
import { HELD, type ServerProcessOptions } from "../processes.ts";

const { endpoint, deaf = false, ...options }: ServerProcessOptions = JSON.parse(Deno.args[0]);

/** Takes calls that have one reply, and never answers them. */
const neverAnswer: Interceptor = (next) => (call) => {
  if (call.kind !== "unary") return next(call);
  console.log(`begun ${call.metadata.text(TAG)}`);
  return new Promise(() => {});
};

const server = new Server({ ...options, interceptors: deaf ? [neverAnswer] : [] });
let meter: HeldMeter | undefined;
server.handle(HELD, () => {
  meter ??= new HeldMeter();
  return { bytes: meter.look(), mostBytes: meter.mostBytes };
});
server.handle(Interop, interopHandlers(new Traces((what, tag) => console.log(`${what} ${tag}`))));
await server.listen(endpoint);
console.log(`listening on ${server.endpoint}`);
