import type { Instance } from "../registry/instance.ts";
import { CENTER_TIMEOUT_MS, centerClient, centersOf, lookUp } from "./center_client.ts";
import { CENTER, type Command } from "./command.ts";
import { table } from "./table.ts";
import { printable, styled } from "./text.ts";

const HEADER = ["SERVICE", "INSTANCE", "ENDPOINT", "ZONE", "VERSION", "WEIGHT"];

/** Lists what a center lists. */
export const list: Command = {
  name: "list",
  summary: "List services and the instances that offer them",
  operands: [],
  flags: [CENTER],
  notes: [],
  async run(args, io) {
    const centers = centersOf(args);
    await using client = centerClient(args);
    const { instances, warming } = await lookUp(client, "*", { timeoutMs: CENTER_TIMEOUT_MS, signal: io.signal });
    const rows = instances.flatMap(rowsOf).sort(byServiceAndInstance);
    if (rows.length === 0) await io.stderr(`No service is listed at ${centers.join(", ")}\n`);
    else {
      const [header, ...lines] = table([HEADER, ...rows], [HEADER.length - 1]);
      await io.stdout([styled("bold", header, io), ...lines, ""].join("\n"));
    }
    if (warming) await io.stderr("The center has just started: what is missing may not have returned yet\n");
    return 0;
  },
};

function rowsOf({ id, services, endpoints, zone, version, weight }: Instance): string[][] {
  return services.map((service) => {
    return [service, id, endpoints.join(","), zone || "-", version || "-", String(weight)].map(printable);
  });
}

function byServiceAndInstance([service, id]: string[], [otherService, otherId]: string[]): number {
  if (service !== otherService) return service < otherService ? -1 : 1;
  return id === otherId ? 0 : id < otherId ? -1 : 1;
}
