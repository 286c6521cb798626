import type { Instance } from "../registry/instance.ts";
import type { Lease, RemovalCause, RenewResult } from "../registry/registry.ts";
import type { Entry } from "./entry.ts";

/**
 * What a registry needs of a store that several processes share. It keeps no memory of what is listed; that is done once for
 * all stores, in {@link StoreRegistry}.
 *
 * What can't reach the store rejects, with anything: its user makes `unavailable` of it, and of nothing that is an `RpcError`.
 */
export interface Store {
  /** What it is called in messages: `etcd at http://127.0.0.1:2379`. */
  readonly name: string;
  /**
   * How {@link Registry.register} is done. The instance has been checked and is nobody's to change.
   * @param owner whose it is; `undefined` for who may replace anybody's
   */
  register(instance: Instance, ttlMs: number, owner: string | undefined, signal: AbortSignal): Promise<Lease>;
  /** How {@link Registry.renew} is done. */
  renew(lease: Lease, signal: AbortSignal): Promise<RenewResult>;
  /** How {@link Registry.deregister} is done. */
  deregister(lease: Lease, cause: RemovalCause, signal: AbortSignal): Promise<void>;
  /**
   * Tells everything that is listed, then each change, again everything when it can't tell the changes. It never ends by
   * itself: it throws when the store is lost, soon also when that is silent. Only one loop at a time.
   */
  follow(signal: AbortSignal): AsyncIterable<StoreEvent>;
  /** Whether it can keep its promises only while somebody follows it. Asked after each registration and renewal. */
  readonly mustBeFollowed?: boolean;
  /** Lets go of what it holds. */
  close(): Promise<void>;
}

/** What a store tells of what is listed in it. */
export type StoreEvent =
  | {
    readonly kind: "listing";
    readonly entries: readonly Entry[];
    /** Names one life of the store: another one has forgotten what this one knew. */
    readonly epoch: string;
    /** Whether what is missing may only not have returned yet: the store is new, or lists only who is connected to it. */
    readonly warming: boolean;
  }
  | { readonly kind: "changes"; readonly changes: readonly StoreChange[] };

/** One change in what a store lists. Without a cause an entry has vanished: its lease ran out, or it was lost. */
export type StoreChange =
  | { readonly kind: "put"; readonly entry: Entry }
  | { readonly kind: "removed"; readonly instanceId: string; readonly cause: RemovalCause | undefined };
