import type { Instance } from "./instance.ts";

/** The right to stay listed. The holder renews it; whoever knows `token` is the holder. */
export interface Lease {
  /** The instance that it keeps listed. */
  readonly instanceId: string;
  /** The incarnation of the instance that it was given to. */
  readonly incarnation: number;
  /** Proves to the registry who holds it. A secret between the two. */
  readonly token: string;
  /** How long it lasts from its last renewal, in milliseconds: at least that, never less. */
  readonly ttlMs: number;
}

/**
 * What became of a renewal: `unknown` means "register again", `fenced` "stay away": a newer incarnation has taken over, or an
 * operator has drained this one.
 */
export type RenewResult = "renewed" | "unknown" | "fenced";

/** Why an instance is not listed any more. */
export type RemovalCause = "deregistered" | "drained" | "expired" | "fenced" | "admin";

/**
 * One change in what is listed. `put` is a new instance or a new state of one; with `suspect`, the registry doubts that it lives
 * and keeps it listed for the time being, and a `put` without it ends the doubt.
 */
export type Change =
  | { readonly kind: "put"; readonly instance: Instance; readonly suspect?: boolean }
  | { readonly kind: "removed"; readonly instanceId: string; readonly cause: RemovalCause };

/** A place in the history of a registry. Revisions of two epochs can't be compared. */
export interface Cursor {
  /** Names one life of the registry's memory. */
  readonly epoch: string;
  /** Counts the changes in it. */
  readonly revision: number;
}

/** Everything that is listed at one revision. */
export interface Snapshot extends Cursor {
  /** The instances, in the order of their ids. */
  readonly instances: readonly Instance[];
  /** Whether the registry has just started, so that what is missing may only not have returned yet. */
  readonly warming: boolean;
  /** The ids of those among them that the registry doubts, in order; missing when it doubts none. */
  readonly suspects?: readonly string[];
}

/**
 * What a watcher is told: first a snapshot, or the changes since its cursor; then changes; a snapshot again to start afresh.
 *
 * Changes may be none: such an event moves the cursor on, so that a watcher under whose name nothing happens can still resume
 * there. `warmed` says that the registry, which was warming at the last snapshot, is no longer: what it has not told of by then
 * is gone.
 */
export type WatchEvent =
  | ({ readonly kind: "snapshot" } & Snapshot)
  | ({ readonly kind: "changes"; readonly changes: readonly Change[]; readonly warmed?: boolean } & Cursor);

/** Where a registration comes from. */
export interface Origin {
  /** Where whoever registers was seen, as an endpoint URL. */
  readonly endpoint: string;
  /** Whether more is known of him, such as by a token. */
  readonly isKnown: boolean;
}

/** For whom something is registered. */
export interface Registered {
  /** Whose it is; an empty text when nobody's. */
  readonly owner: string;
  /** Where the registration came from; `undefined` when that was in this process. */
  readonly from: Origin | undefined;
}

/** How to register. */
export interface RegisterOptions {
  /** How long the lease lasts without renewal, in milliseconds. Default 15 000. */
  ttlMs?: number;
  /**
   * Whose the instance is. While it is listed, another owner can't replace it: that rejects with `permission_denied`. Default: who
   * may replace anybody's. A registry that knows no owners does not heed it.
   */
  owner?: string;
  /** Who registers, for the history of a registry that has one. Default: the owner. */
  actor?: string;
  /** Who registers, for a registry that dials whom it does not hear: not everybody may have it dial anything. Default: this process. */
  from?: Origin;
  /** Gives up. */
  signal?: AbortSignal;
}

/** How to renew. */
export interface RenewOptions {
  /** How many calls the instance is running: for those who look at the registry; it is no change of what is listed. */
  load?: number;
  /** Gives up. */
  signal?: AbortSignal;
}

/** How to watch. */
export interface WatchOptions {
  /** Ends the watch; its loop ends without an error. */
  signal?: AbortSignal;
  /** Where an earlier watch ended: continue behind it if the registry still can, start with a snapshot otherwise. */
  after?: Cursor;
}

/**
 * Where services are found: in memory, in a center, or in a store.
 *
 * Everything that can't reach its store rejects with an `RpcError` `unavailable`; a quota that is full rejects with
 * `resource_exhausted`; a lease of somebody else with `permission_denied`. `registryContract` of `@erpc/erpc/testing` checks one.
 */
export interface Registry {
  /**
   * Lists an instance with all its services until its lease ends. The same id again with the same or a newer incarnation
   * replaces it, and ends the lease that it had; with an older one it rejects with `unavailable`.
   */
  register(instance: Instance, options?: RegisterOptions): Promise<Lease>;
  /** Starts the time to live anew. */
  renew(lease: Lease, options?: RenewOptions): Promise<RenewResult>;
  /** Ends the lease and the listing. Harmless when they have ended already. */
  deregister(lease: Lease, cause?: RemovalCause): Promise<void>;
  /** What is listed now under a service's name; `"*"` means everything. */
  lookup(service: string, options?: { signal?: AbortSignal }): Promise<Snapshot>;
  /**
   * Follows what is listed under a service's name; `"*"` means everything. Ends with an error when the registry is lost.
   * Asking for the next event acknowledges the one before: so a reader asks when it has acted on what it was told.
   */
  watch(service: string, options?: WatchOptions): AsyncIterable<WatchEvent>;
  /**
   * Resolves when every live watch that the end of a lease concerns has acknowledged it, at once when there is none: from then on
   * nobody who follows the registry begins anything new with the instance. Rejects with `TypeError` while the lease lasts, with
   * `unimplemented` when the registry can't tell; a registry that never can has no such method.
   */
  settled?(lease: Lease, options?: { signal?: AbortSignal }): Promise<void>;
  /** The host under which the registry sees this process, where it can tell. */
  observedHost?(): Promise<string | undefined>;
  /** Lets go of what it holds. */
  close(): Promise<void>;
}
