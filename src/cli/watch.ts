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
import { type Io, untilStopped } from "./io.ts";
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
    "returns. A line has the time, + or -, the instance, its endpoint, and the cause:",
    "",
    "  +  listed (it was there already), registered, updated",
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

  constructor(io: Io) {
    this.#io = io;
  }

  get size(): number {
    return this.#listed.size;
  }

  async apply(event: WatchEvent): Promise<void> {
    if (event.kind === "snapshot") {
      const listed = new Set(event.instances.map((instance) => instance.id));
      // A center that has just started does not know yet who has gone.
      const gone = event.warming ? [] : [...this.#listed.keys()].filter((id) => !listed.has(id));
      for (const id of gone) await this.#remove(id, "gone");
      for (const instance of event.instances) await this.#put(instance, "listed");
    } else {
      for (const change of event.changes) {
        if (change.kind === "put") await this.#put(change.instance, "registered");
        else await this.#remove(change.instanceId, change.cause);
      }
    }
    this.cursor = { epoch: event.epoch, revision: event.revision };
  }

  async #put(instance: Instance, cause: string): Promise<void> {
    const before = this.#listed.get(instance.id);
    this.#listed.set(instance.id, instance);
    if (before === undefined) await this.#print("+", instance, cause);
    else if (JSON.stringify(before) !== JSON.stringify(instance)) await this.#print("+", instance, "updated");
  }

  async #remove(id: string, cause: string): Promise<void> {
    const instance = this.#listed.get(id);
    if (instance === undefined) return;
    this.#listed.delete(id);
    await this.#print("-", instance, cause);
  }

  async #print(sign: "+" | "-", { id, endpoints }: Instance, cause: string): Promise<void> {
    const mark = styled(sign === "+" ? "green" : "red", sign, this.#io);
    const row = [timestamp(), mark, ...[id, endpoints.join(","), cause].map(printable)];
    await this.#io.stdout(this.#columns.line(row) + "\n");
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  using _timer = runtimePlatform.clock.timer(ms, resolve);
  await Promise.race([promise, untilStopped(signal)]);
}
