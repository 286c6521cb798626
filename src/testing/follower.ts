import type { Instance } from "../registry/instance.ts";
import type { Change, Cursor, Registry, RemovalCause, WatchEvent, WatchOptions } from "../registry/registry.ts";
import { canonical, check, checkSame, within } from "./contract.ts";

/** Reads a watch into a map, and checks on the way what each event must be like. */
export class Follower implements AsyncDisposable {
  /** What is listed, as far as it was told. */
  readonly listed: Map<string, Instance>;
  /** The ids of those that are doubted, as far as it was told. */
  readonly suspects: Set<string> = new Set();
  /** Every change that it was told. */
  readonly changes: Change[] = [];
  /** How many snapshots it was told. */
  snapshots: number = 0;
  /** Where it is. */
  cursor: Cursor | undefined;
  readonly #events: AsyncIterator<WatchEvent>;
  readonly #patienceMs: number;
  #told = 0;

  /** Begins at a place, or with a snapshot. Reads nothing yet. */
  constructor(events: AsyncIterable<WatchEvent>, before: Place, patienceMs: number) {
    this.#events = events[Symbol.asyncIterator]();
    this.#patienceMs = patienceMs;
    this.listed = new Map(before.listed);
    this.cursor = before.cursor;
    for (const id of before.suspects ?? []) this.suspects.add(id);
  }

  /** Who was removed, and why. */
  get removals(): [string, RemovalCause][] {
    return this.changes.flatMap((change) => change.kind === "removed" ? [[change.instanceId, change.cause]] : []);
  }

  /** Reads the first event. */
  begin(): Promise<void> {
    return this.until("its beginning", () => this.#told > 0);
  }

  /** Reads until something holds. */
  async until(what: string, holds: () => boolean): Promise<void> {
    while (!holds()) {
      const { done, value } = await within(this.#events.next(), `the watch to tell of ${what}`, this.#patienceMs);
      check(done !== true, `The watch ended before it told of ${what}`);
      this.#apply(value);
    }
  }

  /** Ends the watch. */
  async close(): Promise<void> {
    await within(Promise.resolve(this.#events.return?.()), "the watch to end", this.#patienceMs);
  }

  /** Ends the watch. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #apply(event: WatchEvent): void {
    const { epoch, revision } = event;
    const at = `revision ${revision} after ${this.cursor?.revision}`;
    const first = this.#told++ === 0;
    if (event.kind === "snapshot") {
      this.snapshots++;
      this.listed.clear();
      this.suspects.clear();
      for (const instance of event.instances) this.listed.set(instance.id, instance);
      for (const id of event.suspects ?? []) {
        check(this.listed.has(id), `"${id}" is suspect, and is not listed`);
        this.suspects.add(id);
      }
      const ids = event.instances.map((instance) => instance.id);
      checkSame(ids, [...new Set(ids)].sort(), "The order of a snapshot");
      check(first || epoch !== this.cursor?.epoch || revision >= this.cursor.revision, `A snapshot goes back: ${at}`);
    } else {
      check(this.cursor !== undefined, "The watch began with changes and had no cursor");
      check(
        epoch === this.cursor?.epoch,
        `The watch went from epoch ${this.cursor?.epoch} to ${epoch} without a snapshot`,
      );
      const least = this.cursor.revision + (event.changes.length === 0 ? 0 : 1);
      check(revision >= least, `Revisions do not rise: ${at}`);
      for (const change of event.changes) {
        this.changes.push(change);
        if (change.kind === "put") {
          const { id } = change.instance;
          const suspect = change.suspect === true;
          const same = canonical(this.listed.get(id)) === canonical(change.instance);
          check(!same || this.suspects.has(id) !== suspect, `"${id}" was told twice`);
          this.listed.set(id, change.instance);
          if (suspect) this.suspects.add(id);
          else this.suspects.delete(id);
        } else {
          this.suspects.delete(change.instanceId);
          check(
            this.listed.delete(change.instanceId),
            `The removal of "${change.instanceId}", which is not listed, was told`,
          );
        }
      }
    }
    this.cursor = { epoch, revision };
  }
}

/** Where a watch ended. */
export interface Place {
  /** The last place that it was told. */
  readonly cursor: Cursor | undefined;
  /** What was listed there. */
  readonly listed: ReadonlyMap<string, Instance>;
  /** The ids of those that were doubted there. */
  readonly suspects?: ReadonlySet<string>;
}

const NOWHERE: Place = { cursor: undefined, listed: new Map() };

/** Follows a service from the beginning, or from where another follower ended; what never comes is waited for `patienceMs`. */
export function follow(registry: Registry, service: string, before: Place = NOWHERE, patienceMs = 10_000): Follower {
  const options: WatchOptions = before.cursor === undefined ? {} : { after: before.cursor };
  return new Follower(registry.watch(service, options), before, patienceMs);
}
