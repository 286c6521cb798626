import { RpcError } from "../core/error.ts";
import { runtimePlatform } from "../core/platform.ts";
import { checkServiceName } from "../core/service.ts";
import { CenterWatch } from "../center/center_watch.ts";
import { CenterContract } from "../center/contract.ts";
import type { Instance } from "../registry/instance.ts";
import type { Cursor, WatchEvent } from "../registry/registry.ts";
import { checked } from "./args.ts";
import { centerClient, centersOf } from "./center_client.ts";
import { CENTER, type Command, TOKEN } from "./command.ts";
import type { Io } from "./io.ts";
import { Columns } from "./table.ts";
import { printable, styled, timestamp } from "./text.ts";

/** Between attempts. The client paces its dialling; this is for centers that answer, and end every watch. */
const PAUSE_MS = 200;

/** Follows what a center lists. */
export const watch: Command = {
  name: "watch",
  summary: "Print a line whenever an instance comes, changes or goes",
  operands: [{ name: "<service>", about: "such as demo.Words; '*', in quotes, is every service" }],
  flags: [CENTER, TOKEN],
  notes: [
    "It runs until it is interrupted; a center that is lost is looked for until it",
    "returns. A line has the time, a sign, the instance, its endpoint, the cause, and",
    "its zone and version if it has any:",
    "",
    "  +  listed (it was there already), registered, updated, trusted (heard again)",
    "  ?  doubted (not heard, and listed for the time being)",
    "  -  deregistered, drained, expired, fenced, admin, gone (nobody saw why)",
  ],
  async run(args, io) {
    const [service] = args.operands;
    if (service !== "*") checked(() => checkServiceName(service));
    const centers = centersOf(args);
    await using client = centerClient(args);
    const { signal } = io;
    const center = client.service(CenterContract);
    const view = new View(io);
    let watching = false;
    while (!signal.aborted) {
      let why = "it ended the watch";
      try {
        const after = view.cursor;
        const events = new CenterWatch(service, { after, signal }, (requests, signal) => {
          return center.watch(requests, { signal });
        });
        for await (const event of events) {
          await view.apply(event);
          if (!watching) await io.stderr(`Watching "${service}" at ${centers.join(", ")}: ${view.size} listed\n`);
          watching = true;
        }
      } catch (error) {
        if (signal.aborted) break;
        if (view.cursor === undefined || !(error instanceof RpcError) || error.code !== "unavailable") throw error;
        why = printable(error.message);
      }
      if (watching) await io.stderr(`Lost the center: ${why}\n`);
      watching = false;
      await pause(PAUSE_MS, signal);
    }
    return 0;
  },
};

/** What is listed as far as the user has been told. */
class View {
  /** Up to where the user has been told; `undefined` before the first event. */
  cursor: Cursor | undefined;
  readonly #io: Io;
  readonly #columns = new Columns();
  readonly #listed = new Map<string, Instance>();
  readonly #suspects = new Set<string>();
  /** Those of an earlier life of the center that it has not told of since it has just started. */
  readonly #unconfirmed = new Set<string>();

  constructor(io: Io) {
    this.#io = io;
  }

  get size(): number {
    return this.#listed.size;
  }

  async apply(event: WatchEvent): Promise<void> {
    if (event.kind === "snapshot") {
      const listed = new Set(event.instances.map((instance) => instance.id));
      this.#unconfirmed.clear();
      for (const id of this.#listed.keys()) if (!listed.has(id)) this.#unconfirmed.add(id);
      // A center that has just started does not know yet who has gone.
      if (!event.warming) await this.#forgetUnconfirmed();
      const suspects = new Set(event.suspects);
      for (const instance of event.instances) await this.#put(instance, "listed", suspects.has(instance.id));
    } else {
      for (const change of event.changes) {
        if (change.kind === "put") await this.#put(change.instance, "registered", change.suspect === true);
        else await this.#remove(change.instanceId, change.cause);
      }
      if (event.warmed) await this.#forgetUnconfirmed();
    }
    this.cursor = { epoch: event.epoch, revision: event.revision };
  }

  async #put(instance: Instance, cause: string, suspect: boolean): Promise<void> {
    const { id } = instance;
    const before = this.#listed.get(id);
    const doubted = this.#suspects.has(id);
    this.#listed.set(id, instance);
    this.#unconfirmed.delete(id);
    if (suspect) this.#suspects.add(id);
    else this.#suspects.delete(id);
    if (before === undefined) await this.#print("+", instance, cause);
    else if (JSON.stringify(before) !== JSON.stringify(instance)) await this.#print("+", instance, "updated");
    if (suspect && !doubted) await this.#print("?", instance, "doubted");
    else if (doubted && !suspect) await this.#print("+", instance, "trusted");
  }

  async #remove(id: string, cause: string): Promise<void> {
    const instance = this.#listed.get(id);
    if (instance === undefined) return;
    this.#listed.delete(id);
    this.#suspects.delete(id);
    this.#unconfirmed.delete(id);
    await this.#print("-", instance, cause);
  }

  async #forgetUnconfirmed(): Promise<void> {
    for (const id of [...this.#unconfirmed]) await this.#remove(id, "gone");
  }

  async #print(sign: keyof typeof SIGNS, { id, endpoints, zone, version }: Instance, cause: string): Promise<void> {
    const labels = [zone && `zone ${zone}`, version && `version ${version}`].filter((label) => label !== "").join(", ");
    const mark = styled(SIGNS[sign], sign, this.#io);
    const row = [timestamp(), mark, ...[id, endpoints.join(","), cause, labels].map(printable)];
    await this.#io.stdout(this.#columns.line(row) + "\n");
  }
}

const SIGNS = { "+": "green", "?": "yellow", "-": "red" } as const;

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const wake = () => resolve();
  using _timer = runtimePlatform.clock.timer(ms, wake);
  signal.addEventListener("abort", wake);
  if (signal.aborted) wake();
  await promise;
  signal.removeEventListener("abort", wake);
}
