/** A book of leases with those who follow it: tells each watch of what concerns it, and knows what was acknowledged. */
import { RpcError } from "../core/error.ts";
import { BookWatch, type WatchHooks } from "./book_watch.ts";
import type { BookChange } from "./directory.ts";
import { LeaseBook, type LeaseBookOptions } from "./lease_book.ts";
import type { Lease, WatchOptions } from "./registry.ts";

/** What a {@link WatchBoard} is made from. */
export interface WatchBoardOptions extends LeaseBookOptions {
  /** How many watches may be open. Default: as many as come. */
  readonly maxWatchers?: number;
}

/** A book, and its open watches by what they follow. A watch that is slow costs a place in the history and nothing else. */
export class WatchBoard {
  /** What is listed, and the last changes in it. */
  readonly book: LeaseBook;
  readonly #watches = new Map<string, Set<BookWatch>>();
  readonly #proofs = new Set<Proof>();
  readonly #bookmarkEvery: number;
  readonly #maxWatchers: number;
  readonly #hooks: WatchHooks = {
    opened: (watch) => this.#add(watch),
    acknowledged: (watch) => this.#hear(watch),
    ended: (watch) => this.#delete(watch),
  };
  #watcherCount = 0;
  #closed = false;

  /** Opens an empty book. */
  constructor(options: WatchBoardOptions) {
    this.#bookmarkEvery = Math.ceil(options.historyLimit / 2);
    this.#maxWatchers = options.maxWatchers ?? Infinity;
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
    return new BookWatch(name, this.book.directory, options, this.#hooks);
  }

  /** What is listed is complete from now on: whoever was told that it may not be is told so. */
  endWarming(): void {
    const { directory } = this.book;
    directory.warming = false;
    directory.warmedAt = directory.revision;
    for (const watches of this.#watches.values()) for (const watch of watches) watch.warmed();
  }

  /** Resolves when every open watch that the end of a lease concerns has acknowledged it. */
  async settled(lease: Lease, signal?: AbortSignal): Promise<void> {
    const { book } = this;
    if (book.holds(lease)) {
      throw new TypeError(`Cannot wait for watchers: the lease of "${lease.instanceId}" has not ended`);
    }
    const proof = new Proof(lease.token);
    if (!book.isLeaving(lease)) {
      const end = book.directory.endOf(lease.token);
      if (end === undefined) return;
      this.#begin(proof, end);
    }
    const abort = () => {
      const why = "Cannot wait for watchers: the signal has aborted";
      proof.fail(new RpcError("cancelled", why, { executed: "no", cause: signal?.reason }));
    };
    signal?.addEventListener("abort", abort, { once: true });
    this.#proofs.add(proof);
    try {
      await proof.done;
    } finally {
      signal?.removeEventListener("abort", abort);
      this.#proofs.delete(proof);
    }
  }

  /** Ends every watch, without an error, and lets nobody begin one. */
  close(): void {
    this.#closed = true;
    // First of all: that nobody can be told any more is no proof that everybody has acted on it.
    for (const proof of this.#proofs) {
      const why = "Cannot tell whether all watchers have acknowledged it: the registry was closed before they had";
      proof.fail(new RpcError("unavailable", why, { executed: "no" }));
    }
    for (const watches of [...this.#watches.values()]) {
      for (const watch of [...watches]) watch.end();
    }
  }

  #tell(change: BookChange): void {
    const { revision, after, left } = change;
    for (const names of [after?.names ?? [], left]) {
      for (const name of names) {
        for (const watch of this.#watches.get(name) ?? []) watch.changed(revision);
      }
    }
    for (const proof of this.#proofs) if (proof.token === change.ended) this.#begin(proof, change);
    if (revision % this.#bookmarkEvery !== 0) return;
    for (const watches of this.#watches.values()) for (const watch of watches) watch.bookmark(revision);
  }

  /** From here on a proof waits for those watches that have not acknowledged a change. */
  #begin(proof: Proof, { revision, left }: BookChange): void {
    const waiting = new Set<BookWatch>();
    for (const name of left) {
      for (const watch of this.#watches.get(name) ?? []) if (!watch.hasAcknowledged(revision)) waiting.add(watch);
    }
    proof.begin(revision, waiting);
  }

  #hear(watch: BookWatch): void {
    for (const proof of this.#proofs) proof.heard(watch);
  }

  #add(watch: BookWatch): void {
    const refuse = (code: "unavailable" | "resource_exhausted", why: string) => {
      throw new RpcError(code, `Cannot watch "${watch.name}": the registry ${why}`, { executed: "no" });
    };
    if (this.#closed) refuse("unavailable", "is closed");
    if (this.#watcherCount >= this.#maxWatchers) refuse("resource_exhausted", `takes ${this.#maxWatchers} watchers`);
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
    for (const proof of this.#proofs) proof.left(watch);
  }
}

/** Waits until the last of some watches has acknowledged the end of a lease. */
class Proof {
  /** The token of the lease. */
  readonly token: string;
  readonly done: Promise<void>;
  readonly finish: () => void;
  readonly fail: (reason: unknown) => void;
  #revision = 0;
  /** `undefined` while the listing has yet to follow the lease. */
  #waiting: Set<BookWatch> | undefined;

  constructor(token: string) {
    this.token = token;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.done = promise;
    this.finish = resolve;
    this.fail = reject;
  }

  begin(revision: number, waiting: Set<BookWatch>): void {
    this.#revision = revision;
    this.#waiting = waiting;
    if (waiting.size === 0) this.finish();
  }

  heard(watch: BookWatch): void {
    if (this.#waiting?.has(watch) && watch.hasAcknowledged(this.#revision)) this.left(watch);
  }

  left(watch: BookWatch): void {
    if (this.#waiting?.delete(watch) && this.#waiting.size === 0) this.finish();
  }
}
