import { bidi, type Method, type Service, service, unary } from "../core/service.ts";
import type { Instance } from "../registry/instance.ts";
import type { Cursor, Lease, RemovalCause, RenewResult, Snapshot, WatchEvent } from "../registry/registry.ts";

/** Where a center listens when nobody says otherwise. */
export const CENTER_ENDPOINT = "tcp://127.0.0.1:7700";

/**
 * What a watcher says to a center: first what it wants to follow, and behind which place if it was told of one before; then,
 * for each event, that it has acted on it. The center tells no more before that.
 */
export type WatchRequest =
  | { readonly service: string; readonly after?: Cursor }
  | { readonly acknowledged: Cursor };

/** What a center answers. An ordinary contract: any client of the kit can call it. */
export const CenterContract: Service<{
  readonly register: Method<"unary", { instance: Instance; ttlMs?: number }, Lease>;
  readonly renew: Method<"unary", { lease: Lease; load?: number }, { result: RenewResult }>;
  readonly deregister: Method<"unary", { lease: Lease; cause?: RemovalCause }, Record<string, never>>;
  readonly settled: Method<"unary", { lease: Lease }, Record<string, never>>;
  readonly lookup: Method<"unary", { service: string }, Snapshot>;
  readonly watch: Method<"bidi", WatchRequest, WatchEvent>;
  readonly observe: Method<"unary", Record<string, never>, { endpoint: string; clients: number }>;
}> = service("erpc.Center", {
  register: unary<{ instance: Instance; ttlMs?: number }, Lease>({ idempotent: true }),
  renew: unary<{ lease: Lease; load?: number }, { result: RenewResult }>({ idempotent: true }),
  deregister: unary<{ lease: Lease; cause?: RemovalCause }, Record<string, never>>({ idempotent: true }),
  settled: unary<{ lease: Lease }, Record<string, never>>({ idempotent: true }),
  lookup: unary<{ service: string }, Snapshot>({ idempotent: true }),
  watch: bidi<WatchRequest, WatchEvent>(),
  observe: unary<Record<string, never>, { endpoint: string; clients: number }>({ idempotent: true }),
});
