import { checkServiceName } from "../core/service.ts";
import { CenterAdmin } from "../center/admin.ts";
import type { HistoryEntry } from "../registry/memory_registry.ts";
import type { Instance } from "../registry/instance.ts";
import { checked } from "./args.ts";
import { CENTER_TIMEOUT_MS, centerClient, centersOf } from "./center_client.ts";
import { CENTER, type Command, TOKEN } from "./command.ts";
import { listingsOf, parseRevision, revisionOf } from "./list.ts";
import { Columns, table } from "./table.ts";
import { printable, styled } from "./text.ts";

/** Tells what a center has listed and removed. */
export const history: Command = {
  name: "history",
  summary: "Tell what has changed in what is listed, why, and who did it",
  operands: [{ name: "<service>", about: "only this one (default all)", optional: true }],
  flags: [
    CENTER,
    TOKEN,
    { name: "instance", value: "id", about: "only this one" },
    { name: "after", value: "revision", about: "only what came after it" },
    { name: "until", value: "revision", about: "only what came up to it" },
  ],
  notes: [
    "A center remembers its last 10 000 changes. A line has the revision, the time, what",
    "happened, the instance, its endpoint, why it was removed, and who did it.",
    "",
    "  erpc history demo.Words --after 4711",
    "  erpc list --at 4711        what was listed after that change",
    "  erpc diff 4711 4800        what is different between the two",
  ],
  async run(args, io) {
    const [service] = args.operands;
    if (service !== undefined) checked(() => checkServiceName(service));
    const [after, until] = [revisionOf(args, "after"), revisionOf(args, "until")];
    await using client = centerClient(args);
    const request = { service, instanceId: args.get("instance"), after, until };
    const options = { timeoutMs: CENTER_TIMEOUT_MS, signal: io.signal };
    const columns = new Columns([0]);
    let count = 0;
    for await (const { entries } of client.service(CenterAdmin).history(request, options)) {
      const rows = entries.map(rowOf);
      for (const row of rows) columns.fit(row);
      if (rows.length > 0) await io.stdout(rows.map((row) => columns.line(row)).join("\n") + "\n");
      count += rows.length;
    }
    if (count === 0) await io.stderr(`Nothing of that is remembered at ${centersOf(args).join(", ")}\n`);
    return 0;
  },
};

/** Says what is different between two revisions. */
export const diff: Command = {
  name: "diff",
  summary: "Say what is different in what is listed between two revisions",
  operands: [
    { name: "<revision>", about: "the one" },
    { name: "<revision>", about: "the other (default now)", optional: true },
  ],
  flags: [CENTER, TOKEN, { name: "service", value: "name", about: "only this one (default all)" }],
  notes: ["A line has + or - or ~, the instance, its endpoint, and what has changed in it."],
  async run(args, io) {
    const [from, to] = args.operands.map(parseRevision);
    const service = args.get("service") ?? "*";
    if (service !== "*") checked(() => checkServiceName(service));
    await using client = centerClient(args);
    const options = { timeoutMs: CENTER_TIMEOUT_MS, signal: io.signal };
    const at = async (revision: number | undefined) => {
      const { listings } = await listingsOf(client, { service, revision }, options);
      return new Map(listings.map((listing) => [listing.instance.id, listing]));
    };
    const [before, after] = [await at(from), await at(to)];
    const rows: string[][] = [];
    for (const id of [...new Set([...before.keys(), ...after.keys()])].sort()) {
      const [old, now] = [before.get(id), after.get(id)];
      const { endpoints } = (now ?? old)!.instance;
      const sign = old === undefined ? "+" : now === undefined ? "-" : "~";
      const what = old !== undefined && now !== undefined ? differences(old, now) : [];
      if (sign === "~" && what.length === 0) continue;
      rows.push([sign, id, endpoints.join(","), what.join(", ")].map(printable));
    }
    for (const line of table(rows)) {
      const style = line.startsWith("+") ? "green" : line.startsWith("-") ? "red" : "yellow";
      await io.stdout(styled(style, line[0], io) + line.slice(1) + "\n");
    }
    if (rows.length === 0) await io.stderr("Nothing is different\n");
    return 0;
  },
};

interface Seen {
  readonly instance: Instance;
  readonly suspect: boolean;
}

function differences(before: Seen, after: Seen): string[] {
  const text = (value: unknown) => typeof value === "string" ? value || '""' : JSON.stringify(value);
  const members = ["incarnation", "endpoints", "services", "zone", "weight", "version", "metadata"] as const;
  const changed = members.flatMap((member) => {
    const [old, now] = [text(before.instance[member]), text(after.instance[member])];
    return old === now ? [] : [`${member} ${old} → ${now}`];
  });
  if (before.suspect !== after.suspect) changed.push(after.suspect ? "doubted" : "trusted");
  return changed;
}

function rowOf({ revision, at, kind, instanceId, instance, cause, actor }: HistoryEntry): string[] {
  const time = new Date(at).toISOString();
  return [String(revision), time, kind, instanceId, instance.endpoints.join(","), cause ?? "-", actor || "-"]
    .map(printable);
}
