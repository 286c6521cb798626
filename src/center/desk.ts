/** How a center answers: asks who it is, checks what is wanted, and has the registry do it. */
import type { Context, Peer } from "../core/call.ts";
import { RpcError } from "../core/error.ts";
import { checkServiceName } from "../core/service.ts";
import type { Implementation } from "../host/handler.ts";
import { checkInstance } from "../registry/check_instance.ts";
import type { Instance } from "../registry/instance.ts";
import { MemoryRegistry } from "../registry/memory_registry.ts";
import type { Cursor, Lease, Registry, RenewResult } from "../registry/registry.ts";
import { isLocalPeer, isLoopbackHost, parseEndpoint } from "../transport/endpoint.ts";
import { type Access, actorOf, type Grant } from "./access.ts";
import type { CenterContract, WatchRequest } from "./contract.ts";
import { Use } from "./use.ts";
import { type SnapshotPart, splitSnapshot, type WatchPart } from "./parts.ts";

/** What one connection may take up. */
export interface ConnectionQuotas {
  /** How many instances may be registered over it at once. */
  readonly instancesPerConnection: number;
  /** How many watches it may have open. */
  readonly watchersPerConnection: number;
  /**
   * How many bytes of the history it is told in a second on average, about; 16 seconds' worth at once. An answer is never cut: whoever
   * was told more waits until that is made up for.
   */
  readonly historyBytesPerSecond: number;
}

/** Whether somebody may register an endpoint. */
export type AllowEndpoint = (endpoint: string, peer: Peer) => boolean;

/** How a desk works. */
export interface DeskOptions {
  readonly quotas: Pick<ConnectionQuotas, "instancesPerConnection" | "watchersPerConnection">;
  readonly allow: AllowEndpoint | undefined;
  /** How long a lease lasts unless its server says otherwise. */
  readonly ttlMs: number;
  /** How many connections the center has. */
  readonly clients: () => number;
  /** The time, on a clock that never jumps. */
  readonly now: () => number;
}

const NOT_RUN = { executed: "no" } as const;

/** Answers for a registry. */
export class Desk {
  readonly #registry: Registry;
  /** The same, where it is in this process: it knows owners, and keeps nobody waiting. */
  readonly #memory: MemoryRegistry | undefined;
  readonly #access: Access;
  readonly #options: DeskOptions;
  readonly #uses = new WeakMap<Peer, Use>();

  constructor(registry: Registry, access: Access, options: DeskOptions) {
    this.#registry = registry;
    this.#memory = registry instanceof MemoryRegistry ? registry : undefined;
    this.#access = access;
    this.#options = options;
  }

  /** What answers the contract. */
  readonly implementation: Implementation<typeof CenterContract> = {
    register: (request, ctx) => valid(() => this.#register(request?.instance, request?.ttlMs, ctx)),
    renew: (request, ctx) => {
      const memory = this.#memory;
      if (memory === undefined) {
        return valid(async () => {
          const lease = this.#leaseOf(request, ctx);
          return this.#renewed(lease, await this.#registry.renew(lease, { load: loadOf(request) }), ctx);
        });
      }
      // Asked more often than all else, and by many who ask for nothing else: what need not wait is answered at once.
      return validNow(() => {
        const lease = this.#leaseOf(request, ctx);
        return this.#renewed(lease, memory.renewNow(lease, loadOf(request)), ctx);
      });
    },
    deregister: (request, ctx) =>
      valid(async () => {
        const lease = this.#leaseOf(request, ctx);
        await this.#registry.deregister(lease, request.cause);
        this.#useOf(ctx.peer).ended(lease);
        return {};
      }),
    settled: (request, ctx) =>
      valid(async () => {
        const lease = this.#leaseOf(request, ctx);
        if (this.#registry.settled === undefined) {
          throw new RpcError("unimplemented", "The center's registry can't tell", NOT_RUN);
        }
        await this.#registry.settled(lease, { signal: ctx.signal });
        return {};
      }),
    lookup: (request, ctx) => this.#lookup(request?.service, ctx),
    watch: (requests, ctx) => this.#watch(requests, ctx),
    observe: (_, ctx) => ({ endpoint: ctx.peer.endpoint, clients: this.#options.clients() }),
  };

  #register(given: Instance, ttlMs = this.#options.ttlMs, ctx: Context): Promise<Lease> {
    const grant = this.#access.grantOf(ctx.peer);
    const instance = checkInstance(given);
    for (const service of instance.services) {
      if (!grant.mayRegister(service)) throw denied(`register instance "${instance.id}" for service "${service}"`);
    }
    for (const endpoint of instance.endpoints) this.#checkEndpoint(instance.id, endpoint, ctx.peer);
    const use = this.#useOf(ctx.peer);
    this.#checkRoom(use, instance.id);
    const from = { endpoint: ctx.peer.endpoint, isKnown: grant.isKnown };
    const options = { ttlMs, owner: grant.owner, actor: actorOf(grant, ctx), from };
    return use.register(instance.id, ttlMs, this.#options.now, () => this.#registry.register(instance, options));
  }

  /** Keeps account of what became of a lease, and says it. */
  #renewed(lease: Lease, result: RenewResult, { peer }: Context): { result: RenewResult } {
    const use = this.#useOf(peer);
    if (result === "renewed") use.renewed(lease, this.#options.now());
    else use.ended(lease);
    return { result };
  }

  /** The address must be one that others can reach, as far as can be told from here. */
  #checkEndpoint(id: string, endpoint: string, peer: Peer): void {
    const refuse = (why: string) => {
      throw new TypeError(`Cannot register instance ${JSON.stringify(id)} at ${endpoint}: ${why}`);
    };
    const { allow } = this.#options;
    if (allow !== undefined) {
      if (!allow(endpoint, peer)) refuse("this center does not allow that address");
      return;
    }
    if (isLocalPeer(peer.endpoint)) return;
    const parsed = parseEndpoint(endpoint);
    if (!("host" in parsed) || isLoopbackHost(parsed.host)) {
      refuse(`only its own machine can reach that; ${peer.endpoint} is where it was seen`);
    }
  }

  #checkRoom(use: Use, id: string): void {
    const memory = this.#memory;
    const { quotas: { instancesPerConnection }, now } = this.#options;
    const isGone = memory && ((other: string) => memory.ownerOf(other) === undefined);
    if (use.hasRoom(id, instancesPerConnection, now(), isGone)) return;
    throw new RpcError(
      "resource_exhausted",
      `Cannot register instance ${JSON.stringify(id)}: the connection has ${use.instances} registered, and may have ` +
        `${instancesPerConnection} (the center's quotas.instancesPerConnection)`,
      NOT_RUN,
    );
  }

  /** The lease that a request is about. @throws {RpcError} `permission_denied` when its instance is somebody else's */
  #leaseOf(request: { lease: Lease } | undefined, { peer }: Context): Lease {
    const lease = request?.lease;
    if (typeof lease?.instanceId !== "string" || typeof lease.token !== "string") {
      throw new TypeError("Cannot use the lease: it must be one that a registration has given");
    }
    const grant = this.#access.grantOf(peer);
    const owner = this.#memory?.ownerOf(lease.instanceId);
    if (owner === undefined || owner === grant.owner) return lease;
    throw denied(`use the lease of instance "${lease.instanceId}", which is somebody else's`);
  }

  async *#lookup(service: string, { peer }: Context): AsyncGenerator<SnapshotPart> {
    this.#checkWatched(service, peer);
    yield* splitSnapshot(await this.#registry.lookup(service));
  }

  /** Tells of one event, and of the next when that is acknowledged: who reads slowly keeps nothing waiting here but itself. */
  async *#watch(requests: AsyncIterable<WatchRequest>, { peer, signal }: Context): AsyncGenerator<WatchPart> {
    const asked = requests[Symbol.asyncIterator]();
    const { value: first } = await asked.next();
    if (typeof first !== "object" || first === null || !("service" in first)) {
      throw new RpcError("invalid_argument", "Cannot watch: the first message must name a service", NOT_RUN);
    }
    const { service } = first;
    this.#checkWatched(service, peer);
    const use = this.#useOf(peer);
    const { watchersPerConnection } = this.#options.quotas;
    if (use.watchers >= watchersPerConnection) {
      throw new RpcError(
        "resource_exhausted",
        `Cannot watch "${service}": the connection has ${use.watchers} watches, which is all that it may have ` +
          "(the center's quotas.watchersPerConnection)",
        NOT_RUN,
      );
    }
    use.watchers++;
    try {
      for await (const event of this.#registry.watch(service, { after: cursorOf(first.after), signal })) {
        if (event.kind === "snapshot") yield* splitSnapshot(event);
        else yield event;
        for (let revision = -1; revision < event.revision;) {
          const { done, value } = await asked.next();
          if (done) return;
          revision = Math.max(revision, acknowledgedIn(value));
        }
      }
    } finally {
      use.watchers--;
    }
  }

  #checkWatched(service: string, peer: Peer): void {
    if (service !== "*") validNow(() => checkServiceName(service));
    if (!this.#access.grantOf(peer).mayWatch(service)) {
      throw denied(service === "*" ? "see all services at once" : `see service "${service}"`);
    }
  }

  #useOf(peer: Peer): Use {
    let use = this.#uses.get(peer);
    if (use === undefined) this.#uses.set(peer, use = new Use());
    return use;
  }
}

/** What one may not do. */
export function denied(what: string): RpcError {
  return new RpcError("permission_denied", `Cannot ${what}: the token is not good for that`, NOT_RUN);
}

/** Whether somebody may look after the center. @throws {RpcError} `permission_denied` */
export function checkAdmin(grant: Grant, what: string): void {
  if (!grant.admin) throw denied(what);
}

/** Up to which revision a watcher says that it has acted; −1 when it says something else. */
function acknowledgedIn(request: unknown): number {
  if (typeof request === "object" && request !== null) {
    if (!("acknowledged" in request)) return -1;
    const revision: unknown = (request.acknowledged as Partial<Cursor> | null)?.revision;
    if (Number.isSafeInteger(revision)) return revision as number;
  }
  throw new RpcError("invalid_argument", "Cannot go on with the watch: an acknowledgement must name a revision");
}

function cursorOf(after: Cursor | undefined): Cursor | undefined {
  return typeof after === "object" && after !== null ? after : undefined;
}

function loadOf({ load }: { load?: number }): number | undefined {
  return typeof load === "number" && load >= 0 ? load : undefined;
}

/** What a caller got wrong is told to the caller; it is no failure of the center. */
export async function valid<T>(run: () => T | Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw asMistake(error);
  }
}

function validNow<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw asMistake(error);
  }
}

function asMistake(error: unknown): unknown {
  if (!(error instanceof TypeError || error instanceof RangeError)) return error;
  return new RpcError("invalid_argument", error.message, { executed: "yes" });
}
