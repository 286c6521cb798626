import { CenterAdmin } from "../center/admin.ts";
import { type Args, UsageError } from "./args.ts";
import { CENTER_TIMEOUT_MS, centerClient, centersOf } from "./center_client.ts";
import { CENTER, type Command, TOKEN } from "./command.ts";
import type { Io } from "./io.ts";
import { printable } from "./text.ts";

const INSTANCE = { name: "<instance>", about: "its id, as list shows it" };

/** Removes an instance for as long as it does not come back. */
export const evict: Command = {
  name: "evict",
  summary: "Remove an instance from the list",
  operands: [INSTANCE],
  flags: [CENTER, TOKEN],
  notes: [
    "If it lives it comes back with its next beat; to keep it out, use drain. It is",
    "removed from every center that is given.",
  ],
  run: (args, io) => remove(args, io, false),
};

/** Sends an instance away until it is started anew. */
export const drain: Command = {
  name: "drain",
  summary: "Take an instance out of use until it is started anew",
  operands: [INSTANCE],
  flags: [CENTER, TOKEN],
  notes: [
    "Clients begin nothing new with it; what it is running ends in peace. The process",
    "goes on, and is not listed again before it is started anew. That holds at every",
    "center that is given, for as long as the center lives.",
  ],
  run: (args, io) => remove(args, io, true),
};

async function remove(args: Args, io: Io, drains: boolean): Promise<number> {
  const [instanceId] = args.operands;
  if (instanceId === "") throw new UsageError("The instance's id is empty");
  const centers = centersOf(args);
  let everywhere = true;
  for (const center of centers) {
    await using client = centerClient(args, [center]);
    const options = { timeoutMs: CENTER_TIMEOUT_MS, signal: io.signal };
    const { found } = await client.service(CenterAdmin).evict({ instanceId, drain: drains }, options);
    const where = centers.length > 1 ? ` at ${center}` : "";
    const name = JSON.stringify(instanceId);
    if (found) await io.stdout(printable(`Instance ${name} is ${drains ? "drained" : "evicted"}${where}`) + "\n");
    else await io.stderr(printable(`No instance ${name} is listed${where}`) + "\n");
    everywhere &&= found;
  }
  return everywhere ? 0 : 1;
}
