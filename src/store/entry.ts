import { RpcError } from "../core/error.ts";
import { checkInstance } from "../registry/check_instance.ts";
import type { Instance } from "../registry/instance.ts";

/** What stands in a store for one instance. */
export interface Entry {
  /** What is listed. */
  readonly instance: Instance;
  /** How long its lease lasts without renewal, in milliseconds. */
  readonly ttlMs: number;
  /** Proves who holds the lease. */
  readonly token: string;
  /** Whose it is; an empty text when nobody's. */
  readonly owner: string;
}

const MAX_TTL_MS = 24 * 60 * 60_000;

/** The text that stands in a store for an entry: JSON, with `token` only where the store has no other place for it. */
export function encodeEntry({ instance, ttlMs, token, owner }: Omit<Entry, "token"> & { token?: string }): string {
  return JSON.stringify({ instance, ttlMs, token, owner: owner === "" ? undefined : owner });
}

/**
 * Reads what stands in a store. What is not known in it is left out, so that later versions can add to it.
 * @throws {Error} when it is no entry: others may write there too
 */
export function decodeEntry(text: string, token?: string): Entry {
  const read = JSON.parse(text);
  const { ttlMs } = read;
  const proof = token ?? read.token;
  if (!Number.isSafeInteger(ttlMs) || ttlMs < 1 || ttlMs > MAX_TTL_MS) {
    throw new TypeError(`Cannot read an entry: its ttlMs is ${JSON.stringify(ttlMs)}`);
  }
  if (typeof proof !== "string" || proof === "") throw new TypeError("Cannot read an entry: it has no token");
  const owner = typeof read.owner === "string" ? read.owner : "";
  return { instance: checkInstance(read.instance), ttlMs, token: proof, owner };
}

/** Checks that what is listed may be replaced. @throws {RpcError} `permission_denied` when it is somebody else's */
export function checkOwner({ id }: Instance, listed: Entry | undefined, owner: string | undefined): void {
  if (listed === undefined || owner === undefined || listed.owner === owner) return;
  throw new RpcError("permission_denied", `Cannot register instance "${id}": it is listed for somebody else`, {
    executed: "no",
  });
}
