import { bidi, type Method, serverStream, type Service, service, unary } from "../core/service.ts";
import type { Instance } from "../registry/instance.ts";
import type { Cursor, Lease, RemovalCause, RenewResult } from "../registry/registry.ts";
import type { SnapshotPart, WatchPart } from "./parts.ts";

/** Where a center listens when nobody says otherwise. */
export const CENTER_ENDPOINT = "tcp://127.0.0.1:7700";

/**
 * What a watcher says to a center: first what it wants to follow, and behind which place if it was told of one before; then,
 * for each event, that it has acted on it. The center tells no more before that.
 */
export type WatchRequest =
  | { readonly service: string; readonly after?: Cursor }
  | { readonly acknowledged: Cursor };

/**
 * What a center answers. An ordinary contract: any client of the kit can call it. What is listed comes in parts, each of them
 * small enough for a message.
 */
export const CenterContract: Service<{
  readonly register: Method<"unary", { instance: Instance; ttlMs?: number }, Lease>;
  readonly renew: Method<"unary", { lease: Lease; load?: number }, { result: RenewResult }>;
  readonly deregister: Method<"unary", { lease: Lease; cause?: RemovalCause }, Record<string, never>>;
  readonly settled: Method<"unary", { lease: Lease }, Record<string, never>>;
  readonly lookup: Method<"serverStream", { service: string }, SnapshotPart>;
  readonly watch: Method<"bidi", WatchRequest, WatchPart>;
  readonly observe: Method<"unary", Record<string, never>, { endpoint: string; clients: number }>;
}> = service("erpc.Center", {
  register: unary<{ instance: Instance; ttlMs?: number }, Lease>({ idempotent: true }),
  renew: unary<{ lease: Lease; load?: number }, { result: RenewResult }>({ idempotent: true }),
  deregister: unary<{ lease: Lease; cause?: RemovalCause }, Record<string, never>>({ idempotent: true }),
  settled: unary<{ lease: Lease }, Record<string, never>>({ idempotent: true }),
  lookup: serverStream<{ service: string }, SnapshotPart>({ idempotent: true }),
  watch: bidi<WatchRequest, WatchPart>(),
  observe: unary<Record<string, never>, { endpoint: string; clients: number }>({ idempotent: true }),
});
