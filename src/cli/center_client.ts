import { CENTER_ENDPOINT, CenterContract } from "../center/contract.ts";
import { SnapshotParts } from "../center/parts.ts";
import { Client } from "../client/client.ts";
import type { CallOptions } from "../client/options.ts";
import type { Snapshot } from "../registry/registry.ts";
import { parseEndpoint } from "../transport/endpoint.ts";
import { type Args, checked } from "./args.ts";

/** How long a center may take to answer. */
export const CENTER_TIMEOUT_MS = 5_000;

/** The addresses of centers that were given, or the usual one. @throws {UsageError} when one can't be parsed */
export function centersOf(args: Args): readonly string[] {
  const given = args.all("center");
  for (const endpoint of given) checked(() => parseEndpoint(endpoint));
  return given.length > 0 ? given : [CENTER_ENDPOINT];
}

/** A client of the centers themselves: to their callers they are servers like any other. Whoever makes it closes it. */
export function centerClient(args: Args, centers: readonly string[] = centersOf(args)): Client {
  // One that can't be reached is gone round once; then whoever waits wants to know.
  return new Client({ endpoints: centers, token: args.get("token"), retry: { maxAttempts: 1 } });
}

/** What a center lists under a service's name. */
export async function lookUp(client: Client, service: string, options: CallOptions): Promise<Snapshot> {
  const parts = new SnapshotParts<Snapshot>();
  let whole: Snapshot | undefined;
  for await (const part of client.service(CenterContract).lookup({ service }, options)) whole = parts.add(part);
  return whole!;
}
