import { MAX_TIMER_MS } from "../core/platform.ts";
import { procedureName } from "../core/service.ts";
import { consistentHash } from "../balancer/consistent_hash.ts";
import { Client } from "../client/client.ts";
import type { CallOptions } from "../client/options.ts";
import { parseEndpoint } from "../transport/endpoint.ts";
import { type Args, checked, UsageError } from "./args.ts";
import { centersOf } from "./center_client.ts";
import { CENTER, type Command, TOKEN } from "./command.ts";
import { metadataOf, parseJson, readText } from "./input.ts";
import type { Io } from "./io.ts";
import { printable } from "./text.ts";

/** Calls a procedure. */
export const call: Command = {
  name: "call",
  summary: "Call a procedure, and print its reply as JSON",
  operands: [
    { name: "<procedure>", about: "demo.Words/count, or demo.hello for short" },
    { name: "'<json>' | -", about: "the request; - reads it from stdin; default: no value", optional: true },
  ],
  flags: [
    CENTER,
    TOKEN,
    { name: "to", value: "endpoint", about: "an endpoint to call directly, without a center" },
    { name: "timeout", value: "ms", about: "how long it may take (default 10000; none with --stream)" },
    { name: "stream", about: "expect many replies, and print each on its line" },
    { name: "key", value: "hashkey", about: "call whom consistent hashing gives this key to" },
    { name: "metadata", short: "m", value: "k=v", repeats: true, about: "send this along; repeatable" },
  ],
  notes: [
    "A reply without a value prints nothing. When the call fails, its code and message",
    "go to stderr, and the exit code is 1.",
    "",
    '  erpc call demo.Words/count \'{"text":"one two"}\'',
    "  erpc call demo.hello --to tcp://127.0.0.1:8877 --timeout 500",
    "  erpc call demo.Words/search - --stream -m tenant=acme < request.json",
  ],
  async run(args, io) {
    const procedure = checked(() => procedureName(args.operands[0]));
    const options = callOptions(args, io);
    const place = placeOf(args);
    const request = await readRequest(args.operands[1], io);
    const balancer = options.hashKey === undefined ? undefined : consistentHash();
    await using client = new Client({ ...place, balancer, token: args.get("token") });
    if (args.has("stream")) {
      for await (const message of client.stream(procedure, request, options)) await print(message ?? null, io);
    } else {
      await print(await client.call(procedure, request, options), io);
    }
    return 0;
  },
};

function placeOf(args: Args): { endpoints: readonly string[] } | { center: readonly string[] } {
  const endpoint = args.get("to");
  if (endpoint === undefined) return { center: centersOf(args) };
  if (args.get("center") !== undefined) throw new UsageError('Give one of "--center" and "--to"');
  checked(() => parseEndpoint(endpoint));
  return { endpoints: [endpoint] };
}

function callOptions(args: Args, io: Io): CallOptions {
  return {
    signal: io.signal,
    timeoutMs: timeoutOf(args),
    hashKey: args.get("key"),
    metadata: metadataOf(args),
  };
}

function timeoutOf(args: Args): number | undefined {
  const text = args.get("timeout");
  if (text === undefined) return undefined;
  const timeoutMs = Number(text);
  // `Number` would also take "0x10" and " 5 ".
  if (!/^\d+$/.test(text) || timeoutMs < 1 || timeoutMs > MAX_TIMER_MS) {
    throw new UsageError(`Cannot use timeout "${text}": it must be whole milliseconds from 1 to ${MAX_TIMER_MS}`);
  }
  return timeoutMs;
}

async function readRequest(operand: string | undefined, io: Io): Promise<unknown> {
  if (operand === undefined) return undefined;
  if (operand === "-") return await parseJson(readText(io), "the request from stdin");
  return await parseJson(operand, "the request");
}

async function print(message: unknown, io: Io): Promise<void> {
  if (message !== undefined) await io.stdout(printable(JSON.stringify(message)) + "\n");
}
