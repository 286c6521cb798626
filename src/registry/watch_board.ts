/** A book of leases with those who follow it: tells each watch of what concerns it, and knows what was acknowledged. */
import { RpcError } from "../core/error.ts";
import { BookWatch, type WatchHooks } from "./book_watch.ts";
import { type BookChange, LeaseBook, type LeaseBookOptions } from "./lease_book.ts";
import type { Lease, WatchOptions } from "./registry.ts";

/** Somebody who waits until the last of some watches has acknowledged a revision. */
interface Proof {
  readonly revision: number;
  readonly waiting: Set<BookWatch>;
  readonly resolve: () => void;
}

/** A book, and its open watches by what they follow. A watch that is slow costs a place in the history and nothing else. */
export class WatchBoard {
  /** What is listed, and the last changes in it. */
  readonly book: LeaseBook;
  readonly #now: () => number;
  readonly #watches = new Map<string, Set<BookWatch>>();
  readonly #proofs = new Set<Proof>();
  readonly #bookmarkEvery: number;
  readonly #hooks: WatchHooks = {
    opened: (watch) => this.#add(watch),
    acknowledged: (watch) => this.#hear(watch),
    ended: (watch) => this.#delete(watch),
  };
  #watcherCount = 0;
  #closed = false;

  /** Opens an empty book, with the time as it is handed to that. */
  constructor(options: LeaseBookOptions, now: () => number) {
    this.#now = now;
    this.#bookmarkEvery = Math.ceil(options.historyLimit / 2);
    this.book = new LeaseBook({
      ...options,
      onChange: (change) => {
        options.onChange?.(change);
        this.#tell(change);
      },
    });
  }

  /** How many watches are open. */
  get watcherCount(): number {
    return this.#watcherCount;
  }

  /** Follows what is listed under a name, which has been checked. It costs nothing until its first `next`. */
  watch(name: string, options: WatchOptions): BookWatch {
    return new BookWatch(name, this.book, this.#now, options, this.#hooks);
  }

  /** Resolves when every open watch that the end of a lease concerns has acknowledged it. */
  async settled(lease: Lease, signal?: AbortSignal): Promise<void> {
    if (this.book.holds(lease)) {
      throw new TypeError(`Cannot wait for watchers: the lease of "${lease.instanceId}" has not ended`);
    }
    const end = this.book.endOf(lease);
    if (end === undefined) return;
    const waiting = new Set<BookWatch>();
    for (const name of end.left) {
      for (const watch of this.#watches.get(name) ?? []) if (!watch.hasAcknowledged(end.revision)) waiting.add(watch);
    }
    if (waiting.size === 0) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const abort = () =>
      reject(
        new RpcError("cancelled", "Cannot wait for watchers: the signal has aborted", {
          executed: "no",
          cause: signal?.reason,
        }),
      );
    const proof: Proof = { revision: end.revision, waiting, resolve };
    signal?.addEventListener("abort", abort, { once: true });
    this.#proofs.add(proof);
    try {
      await promise;
    } finally {
      signal?.removeEventListener("abort", abort);
      this.#proofs.delete(proof);
    }
  }

  /** Ends every watch, without an error, and lets nobody begin one. */
  close(): void {
    this.#closed = true;
    for (const watches of [...this.#watches.values()]) {
      for (const watch of [...watches]) watch.end();
    }
  }

  #tell({ revision, names, left }: BookChange): void {
    for (const touched of [names, left]) {
      for (const name of touched) {
        for (const watch of this.#watches.get(name) ?? []) watch.changed(revision);
      }
    }
    if (revision % this.#bookmarkEvery !== 0) return;
    for (const watches of this.#watches.values()) for (const watch of watches) watch.bookmark(revision);
  }

  #hear(watch: BookWatch): void {
    for (const { waiting, revision, resolve } of this.#proofs) {
      if (waiting.has(watch) && watch.hasAcknowledged(revision)) waiting.delete(watch);
      if (waiting.size === 0) resolve();
    }
  }

  #add(watch: BookWatch): void {
    if (this.#closed) {
      throw new RpcError("unavailable", `Cannot watch "${watch.name}": the registry is closed`, { executed: "no" });
    }
    const watches = this.#watches.get(watch.name);
    if (watches === undefined) this.#watches.set(watch.name, new Set([watch]));
    else watches.add(watch);
    this.#watcherCount++;
  }

  #delete(watch: BookWatch): void {
    const watches = this.#watches.get(watch.name);
    watches?.delete(watch);
    if (watches?.size === 0) this.#watches.delete(watch.name);
    this.#watcherCount--;
    for (const { waiting, resolve } of this.#proofs) {
      waiting.delete(watch);
      if (waiting.size === 0) resolve();
    }
  }
}
