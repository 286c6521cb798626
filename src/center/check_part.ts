/**
 * What a center tells is checked before anybody acts on it: a center of another version, or a byte that changed on its way, must
 * not end the loop that follows it, let alone the process.
 */
import { RpcError, textOf } from "../core/error.ts";
import { checkInstance } from "../registry/check_instance.ts";
import type { Change, Snapshot } from "../registry/registry.ts";
import type { SnapshotPart, WatchPart } from "./parts.ts";

/** Checks what came for a watch. @throws {RpcError} `internal` when it is no event */
export function checkWatchPart(part: unknown): WatchPart {
  return understood(() => {
    const { kind, changes, warmed } = part as { kind: unknown; changes: unknown; warmed?: boolean };
    if (kind === "snapshot") return { kind, ...snapshotPart(part as SnapshotPart) };
    if (kind !== "changes" || !Array.isArray(changes)) throw new TypeError(`there is no event of kind ${String(kind)}`);
    return { kind, ...cursor(part as Snapshot), changes: changes.map(change), ...(warmed === true ? { warmed } : {}) };
  });
}

/** Checks what came for a look-up. @throws {RpcError} `internal` when it is no snapshot */
export function checkSnapshotPart(part: unknown): SnapshotPart {
  return understood(() => snapshotPart(part as SnapshotPart));
}

function snapshotPart(part: SnapshotPart): SnapshotPart {
  const { instances, warming, suspects, more } = part;
  if (!Array.isArray(instances)) throw new TypeError("it lists no instances");
  return {
    ...cursor(part),
    instances: instances.map(checkInstance),
    warming: warming === true,
    ...(suspects === undefined ? {} : { suspects: suspects.map(text) }),
    ...(more === true ? { more } : {}),
  };
}

function cursor({ epoch, revision }: Snapshot): { epoch: string; revision: number } {
  if (!Number.isSafeInteger(revision) || revision < 0) throw new TypeError(`its revision is ${String(revision)}`);
  return { epoch: text(epoch), revision };
}

function change(given: Change): Change {
  switch (given.kind) {
    case "put":
      return {
        kind: "put",
        instance: checkInstance(given.instance),
        ...(given.suspect === undefined ? {} : { suspect: given.suspect === true }),
      };
    case "removed":
      return { kind: "removed", instanceId: text(given.instanceId), cause: given.cause };
    default:
      throw new TypeError(`there is no change of kind ${String((given as { kind: unknown }).kind)}`);
  }
}

function text(value: unknown): string {
  if (typeof value !== "string") throw new TypeError(`${String(value)} is no text`);
  return value;
}

function understood<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw new RpcError("internal", `Cannot understand what the center tells: ${textOf(error)}`, { cause: error });
  }
}
