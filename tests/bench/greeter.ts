/** The small unary call that most sections make: `{ name }` → `{ msg }`. */
import { type CallOptions, Client, type ClientOptions, Server, type ServerOptions, service, unary } from "../../mod.ts";
import { callAway, serveAway } from "./contest.ts";

/** The contract. */
export const Greeter = service("bench.Greeter", {
  hello: unary<{ name: string }, { msg: string }>(),
});

/** The request. */
export const REQUEST = { name: "world" };

/** Answers it as `{ msg: "hello world" }`. */
export async function serveGreeter(options: ServerOptions = {}): Promise<void> {
  await using server = new Server(options);
  server.handle(Greeter, { hello: ({ name }) => ({ msg: `hello ${name}` }) });
  await server.listen("tcp://127.0.0.1:0");
  await serveAway(server.endpoint, () => server.stats().counters.writes);
}

/** Makes it again and again. */
export async function callGreeter(options: ClientOptions, each?: CallOptions): Promise<void> {
  await using client = new Client(options);
  const greeter = client.service(Greeter);
  assertGreeting(await greeter.hello(REQUEST, each));
  await callAway(
    each === undefined ? () => greeter.hello(REQUEST) : () => greeter.hello(REQUEST, each),
    () => client.stats().counters.writes,
  );
}

/** What measures something else would measure nothing. */
export function assertGreeting(reply: unknown): void {
  const text = JSON.stringify(reply);
  if (text !== '{"msg":"hello world"}') throw new Error(`Cannot measure: the reply was ${text}`);
}
