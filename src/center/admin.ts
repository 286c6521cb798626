/** What those who look after a center can ask of it: a contract of its own, on the same connection as everything else. */
import type { Context, Peer } from "../core/call.ts";
import { RpcError } from "../core/error.ts";
import { type Method, serverStream, type Service, service, unary } from "../core/service.ts";
import type { Implementation } from "../host/handler.ts";
import { sizeOf } from "../registry/directory.ts";
import { type HistoryEntry, type Listing, MemoryRegistry } from "../registry/memory_registry.ts";
import type { Registry } from "../registry/registry.ts";
import { type Access, actorOf } from "./access.ts";
import { Allowance } from "./allowance.ts";
import { checkAdmin, type ConnectionQuotas, denied, valid } from "./desk.ts";
import { split } from "./parts.ts";

/** A part of what a center lists, with what it knows of each instance. What was listed earlier comes without that. */
export interface ListPart {
  /** Names the life of the registry's memory. */
  readonly epoch: string;
  /** When that was, or is, so. */
  readonly revision: number;
  /** Whether the center has just started, so that what is missing may only not have returned yet. */
  readonly warming: boolean;
  /** Whether so many instances are silent that they stay listed for the time being. */
  readonly preserving: boolean;
  /** The instances, in the order of their ids. */
  readonly listings: readonly (Partial<Listing> & Pick<Listing, "instance" | "suspect">)[];
  /** Whether another part follows. */
  readonly more: boolean;
}

/** Which changes to tell of. */
export interface HistoryRequest {
  /** Only what came after this revision. Default: all that is remembered. */
  readonly after?: number;
  /** Only what came up to this revision. Default: all. */
  readonly until?: number;
  /** Only what concerns this service. Default: `"*"`, everything. */
  readonly service?: string;
  /** Only what concerns this instance. Default: any. */
  readonly instanceId?: string;
}

/** Looks after a center. An ordinary contract: any client of the kit can call it. */
export const CenterAdmin: Service<{
  /** Lists the instances that offer a service, `"*"` for all, now or at an earlier revision. */
  readonly list: Method<"serverStream", { service?: string; revision?: number }, ListPart>;
  /** Tells what has changed, the oldest first. */
  readonly history: Method<"serverStream", HistoryRequest, { entries: readonly HistoryEntry[] }>;
  /** Removes an instance. It comes back with its next beat if it lives, unless it is to drain: then it must be started anew. */
  readonly evict: Method<"unary", { instanceId: string; drain?: boolean }, { found: boolean }>;
}, Record<never, never>> = service("erpc.CenterAdmin", {
  list: serverStream<{ service?: string; revision?: number }, ListPart>({ idempotent: true }),
  history: serverStream<HistoryRequest, { entries: readonly HistoryEntry[] }>({ idempotent: true }),
  evict: unary<{ instanceId: string; drain?: boolean }, { found: boolean }>({ idempotent: true }),
});

/** What it takes to look at a change, in bytes as if it were told. */
const CHANGE_BYTES = 200;

/** How the contract is answered. */
export interface AdminOptions {
  readonly quotas: Pick<ConnectionQuotas, "historyBytesPerSecond">;
  /** The time, on a clock that never jumps. */
  readonly now: () => number;
}

/** Answers the contract for a registry that keeps its book itself. */
export function answerAdmin(
  registry: Registry,
  access: Access,
  { quotas: { historyBytesPerSecond }, now }: AdminOptions,
): Implementation<typeof CenterAdmin> {
  const memory = (): MemoryRegistry => {
    if (registry instanceof MemoryRegistry) return registry;
    throw new RpcError("unimplemented", "The center's registry keeps no history, and nobody's lease", {
      executed: "no",
    });
  };
  const mayWatch = (service: string, { peer }: Context) => {
    if (!access.grantOf(peer).mayWatch(service)) throw denied(`see what is listed under "${service}"`);
  };
  const allowances = new WeakMap<Peer, Allowance>();
  /** What may be told of the past to who asks. @throws {RpcError} `resource_exhausted` when that was enough for now */
  const allowanceOf = ({ peer }: Context): Allowance => {
    let allowance = allowances.get(peer);
    if (allowance === undefined) allowances.set(peer, allowance = new Allowance(historyBytesPerSecond, now()));
    const retryAfterMs = allowance.waitMs(now());
    if (retryAfterMs === 0) return allowance;
    throw new RpcError(
      "resource_exhausted",
      `Cannot tell more of the history for ${retryAfterMs} ms: the connection was told more than ${historyBytesPerSecond} bytes ` +
        "a second of it (the center's quotas.historyBytesPerSecond)",
      { executed: "no", retryAfterMs },
    );
  };
  return {
    async *list(request, ctx) {
      const { service = "*", revision } = request ?? {};
      mayWatch(service, ctx);
      const book = memory();
      const { epoch, revision: current } = book.cursor;
      const [listings, warming] = await valid(async () => {
        if (revision === undefined) return [book.inspect(service), (await book.lookup(service)).warming] as const;
        const allowance = allowanceOf(ctx);
        const { instances, suspects } = book.lookupAt(service, revision);
        allowance.spend((current - revision) * CHANGE_BYTES + sum(instances, sizeOf));
        const doubted = new Set(suspects);
        return [instances.map((instance) => ({ instance, suspect: doubted.has(instance.id) })), false] as const;
      });
      const common = { epoch, revision: revision ?? current, warming, preserving: book.isPreserving };
      for (const { items, more } of split<ListPart["listings"][number]>(listings, ({ instance }) => sizeOf(instance))) {
        yield { ...common, listings: items, more };
      }
    },
    async *history(request, ctx) {
      const { after = 0, until = Infinity, service = "*", instanceId } = request ?? {};
      mayWatch(service, ctx);
      const book = memory();
      const allowance = allowanceOf(ctx);
      const wanted = await valid(() => {
        const wanted: HistoryEntry[] = [];
        for (const entry of book.history(after)) {
          if (entry.revision > until) break;
          allowance.spend(CHANGE_BYTES);
          if (service !== "*" && !entry.instance.services.includes(service)) continue;
          if (instanceId === undefined || entry.instanceId === instanceId) wanted.push(entry);
        }
        return wanted;
      });
      allowance.spend(sum(wanted, ({ instance }) => sizeOf(instance)));
      for (const { items } of split(wanted, ({ instance }) => sizeOf(instance))) yield { entries: items };
    },
    evict(request, ctx) {
      return valid(() => {
        const { instanceId, drain } = request ?? {};
        if (typeof instanceId !== "string") throw new TypeError("Cannot evict an instance: its id must be text");
        const grant = access.grantOf(ctx.peer);
        const book = memory();
        // Everybody may do that to what is theirs.
        const own = grant.owner !== "" && book.ownerOf(instanceId) === grant.owner;
        if (!own) checkAdmin(grant, `evict instance ${JSON.stringify(instanceId)}`);
        return { found: book.evict(instanceId, drain === true ? "drained" : "admin", actorOf(grant, ctx)) };
      });
    },
  };
}

function sum<T>(items: readonly T[], sizeOf: (item: T) => number): number {
  return items.reduce((bytes, item) => bytes + sizeOf(item), 0);
}
