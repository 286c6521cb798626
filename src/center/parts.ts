/** What is listed can be larger than a message may be: it goes in parts, and is put together again. */
import { sizeOf } from "../registry/directory.ts";
import type { Snapshot, WatchEvent } from "../registry/registry.ts";

/** A part of a snapshot: `more` says that another follows. */
export type SnapshotPart = Snapshot & { readonly more?: boolean };

/** An event, or a part of one. */
export type WatchPart = WatchEvent | ({ readonly kind: "snapshot" } & SnapshotPart);

/** About how large a part is: four times that, as it might be in another encoding, is less than a message may be. */
const PART_BYTES = 256 * 1024;
/** What the names of its members add to an instance. */
const OVERHEAD_BYTES = 120;

/** Splits a list of things that each have a size. There is one part at least. */
export function* split<T>(items: readonly T[], sizeOf: (item: T) => number): Generator<{ items: T[]; more: boolean }> {
  let from = 0;
  do {
    let to = from;
    for (let bytes = 0; to < items.length && bytes < PART_BYTES; to++) bytes += OVERHEAD_BYTES + sizeOf(items[to]);
    yield { items: from === 0 && to === items.length ? items as T[] : items.slice(from, to), more: to < items.length };
    from = to;
  } while (from < items.length);
}

/** Splits a snapshot, or an event that is one. */
export function* splitSnapshot<S extends Snapshot>(snapshot: S): Generator<S & { more?: boolean }> {
  const { suspects } = snapshot;
  for (const { items: instances, more } of split(snapshot.instances, sizeOf)) {
    const part: S & { more?: boolean } = { ...snapshot, instances };
    if (more) part.more = true;
    if (suspects !== undefined && instances !== snapshot.instances) {
      const ids = new Set(instances.map(({ id }) => id));
      yield { ...part, suspects: suspects.filter((id) => ids.has(id)) };
    } else yield part;
  }
}

/** Puts a snapshot together again. */
export class SnapshotParts<S extends Snapshot> {
  #parts: S[] = [];

  /** Takes the next part. Gives the whole when it was the last. */
  add(part: S & { readonly more?: boolean }): S | undefined {
    const { more, ...rest } = part;
    this.#parts.push(rest as unknown as S);
    if (more) return undefined;
    const parts = this.#parts;
    this.#parts = [];
    if (parts.length === 1) return parts[0];
    const suspects = parts.flatMap((part) => part.suspects ?? []);
    const whole = { ...parts[0], instances: parts.flatMap((part) => part.instances) };
    return suspects.length === 0 ? whole : { ...whole, suspects };
  }
}
