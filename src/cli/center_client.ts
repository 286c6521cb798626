import { Client } from "../client/client.ts";
import { CENTER_ENDPOINT } from "../center/contract.ts";
import { parseEndpoint } from "../transport/endpoint.ts";
import { type Args, checked } from "./args.ts";

/** The addresses of centers that were given, or the usual one. @throws {UsageError} when one can't be parsed */
export function centersOf(args: Args): readonly string[] {
  const given = args.all("center");
  for (const endpoint of given) checked(() => parseEndpoint(endpoint));
  return given.length > 0 ? given : [CENTER_ENDPOINT];
}

/** A client of the centers themselves: to their callers they are servers like any other. Whoever makes it closes it. */
export function centerClient(centers: readonly string[]): Client {
  // One that can't be reached is gone round once; then whoever waits wants to know.
  return new Client({ endpoints: centers, retry: { maxAttempts: 1 } });
}
