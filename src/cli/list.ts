import { RpcError } from "../core/error.ts";
import { CenterAdmin, type ListPart } from "../center/admin.ts";
import type { Client } from "../client/client.ts";
import type { CallOptions } from "../client/options.ts";
import { type Args, checked, UsageError } from "./args.ts";
import { CENTER_TIMEOUT_MS, centerClient, centersOf, lookUp } from "./center_client.ts";
import { CENTER, type Command, TOKEN } from "./command.ts";
import { durationText } from "./duration.ts";
import { table } from "./table.ts";
import { printable, styled } from "./text.ts";
import { checkServiceName } from "../core/service.ts";

const HEADER = ["SERVICE", "INSTANCE", "ENDPOINT", "ZONE", "VERSION", "WEIGHT", "STATE"];
const STANDING = ["AGE", "LEASE", "LOAD"];
const RIGHT_ALIGNED = [5, 7, 8, 9];

/** Lists what a center lists. */
export const list: Command = {
  name: "list",
  summary: "List services and the instances that offer them",
  operands: [{ name: "<service>", about: "only this one (default all)", optional: true }],
  flags: [
    CENTER,
    TOKEN,
    { name: "at", value: "revision", about: "what was listed then; history says which there were" },
  ],
  notes: [
    "AGE is for how long an instance has been registered without a gap, LEASE how much",
    "is left of its lease, LOAD how many calls it last said to be running. A suspect",
    "has not been heard, and stays listed for the time being.",
  ],
  async run(args, io) {
    const [service = "*"] = args.operands;
    if (service !== "*") checked(() => checkServiceName(service));
    const revision = revisionOf(args, "at");
    const centers = centersOf(args);
    await using client = centerClient(args);
    const options = { timeoutMs: CENTER_TIMEOUT_MS, signal: io.signal };
    const { listings, warming, preserving } = await listingsOf(client, { service, revision }, options);
    const rows = listings.flatMap((listing) => rowsOf(listing, service)).sort(byServiceAndInstance);
    if (rows.length === 0) await io.stderr(`${nobody(service)} at ${centers.join(", ")}\n`);
    else {
      // What was listed earlier comes without them, as does what another registry than the center's own lists.
      const width = HEADER.length + (listings.some(({ ageMs }) => ageMs !== undefined) ? STANDING.length : 0);
      const cut = [[...HEADER, ...STANDING], ...rows].map((row) => row.slice(0, width));
      const [header, ...lines] = table(cut, RIGHT_ALIGNED);
      await io.stdout([styled("bold", header, io), ...lines, ""].join("\n"));
    }
    if (warming) await io.stderr("The center has just started: what is missing may not have returned yet\n");
    if (preserving) {
      await io.stderr("More instances are silent than can have died: they stay listed for the time being\n");
    }
    return 0;
  },
};

/** A revision that was given. @throws {UsageError} */
export function revisionOf(args: Args, flag: string): number | undefined {
  const text = args.get(flag);
  return text === undefined ? undefined : parseRevision(text);
}

/** A revision as the user wrote it. @throws {UsageError} */
export function parseRevision(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new UsageError(`Cannot use revision "${text}": it must be a whole number`);
}

/** What a center lists, with what it knows of each instance where it knows that. */
export async function listingsOf(
  client: Client,
  request: { service: string; revision?: number },
  options: CallOptions,
): Promise<Omit<ListPart, "more">> {
  const parts: ListPart[] = [];
  try {
    for await (const part of client.service(CenterAdmin).list(request, options)) parts.push(part);
    return { ...parts[0], listings: parts.flatMap(({ listings }) => listings) };
  } catch (error) {
    // Its registry is another than its own memory, and knows only what is listed.
    const isForeign = error instanceof RpcError && error.code === "unimplemented" && request.revision === undefined;
    if (!isForeign) throw error;
    const { instances, suspects = [], ...common } = await lookUp(client, request.service, options);
    const listings = instances.map((instance) => ({ instance, suspect: suspects.includes(instance.id) }));
    return { ...common, preserving: false, listings };
  }
}

function nobody(service: string): string {
  return service === "*" ? "No service is listed" : `Nobody offers "${service}"`;
}

function rowsOf(listing: ListPart["listings"][number], wanted: string): string[][] {
  const { instance, suspect, ageMs, leftMs, load } = listing;
  const { id, services, endpoints, zone, version, weight } = instance;
  const standing = [durationText(ageMs), durationText(leftMs), load === undefined ? "-" : String(load)];
  return services.filter((service) => wanted === "*" || service === wanted).map((service) => {
    const state = suspect ? "suspect" : "ok";
    const row = [service, id, endpoints.join(","), zone || "-", version || "-", String(weight), state, ...standing];
    return row.map(printable);
  });
}

function byServiceAndInstance([service, id]: string[], [otherService, otherId]: string[]): number {
  if (service !== otherService) return service < otherService ? -1 : 1;
  return id === otherId ? 0 : id < otherId ? -1 : 1;
}
