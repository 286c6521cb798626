/**
 * What a store lists, kept in this process. It owns no timer; whoever does hands in `now`, in milliseconds on a clock that never
 * jumps.
 *
 * Invariants: while the store is away nothing leaves the list; what was there when the store went away, and is not when it is
 * back, has the whole time to live of its lease, and a beat, to return; what leaves without a word is doubted before it goes.
 */
import type { LeaseBook } from "../registry/lease_book.ts";
import type { Lease, RemovalCause } from "../registry/registry.ts";
import type { Entry } from "./entry.ts";
import type { StoreEvent } from "./store.ts";

interface Held {
  readonly entry: Entry;
  /** What keeps it listed in the book. */
  readonly lease: Lease;
}

/** What a store lists, as far as it was told, in a book that others follow. */
export class Mirror {
  readonly #book: LeaseBook;
  readonly #believeMs: number;
  readonly #held = new Map<string, Held>();
  /** Who has vanished, and when that is to be believed. */
  readonly #doubted = new Map<string, number>();
  #state: "new" | "away" | "current" = "new";
  #backAt = -Infinity;

  /** @param believeMs for how long it doubts that an instance has gone that vanished without a word */
  constructor(book: LeaseBook, believeMs: number) {
    this.#book = book;
    this.#believeMs = believeMs;
  }

  /** Whether it was ever told what is listed. */
  get isKnown(): boolean {
    return this.#state !== "new";
  }

  /** Whether it is told of every change. */
  get isCurrent(): boolean {
    return this.#state === "current";
  }

  /** How many instances it holds that the store does not list. */
  get doubtedCount(): number {
    return this.#doubted.size;
  }

  /** The token of the lease that the store lists for an instance, if it lists one. */
  tokenOf(instanceId: string): string | undefined {
    return this.#doubted.has(instanceId) ? undefined : this.#held.get(instanceId)?.entry.token;
  }

  /** Takes what the store tells. */
  apply(event: StoreEvent, now: number): void {
    if (this.#state === "away") this.#backAt = now;
    if (event.kind === "listing") {
      this.#state = "current";
      const vanished = new Set(this.#held.keys());
      for (const entry of event.entries) {
        vanished.delete(entry.instance.id);
        this.#put(entry);
      }
      for (const id of vanished) this.#remove(id, undefined, now);
      return;
    }
    for (const change of event.changes) {
      if (change.kind === "put") this.#put(change.entry);
      else this.#remove(change.instanceId, change.cause, now);
    }
  }

  /** The store is lost: what is listed stays as it is. */
  away(): void {
    if (this.#state === "current") this.#state = "away";
  }

  /** Removes what has been doubted for long enough. Says when there is more to do; `Infinity` if nothing is. */
  sweep(now: number): number {
    if (this.#state !== "current") return Infinity;
    let next = Infinity;
    for (const [id, believedAt] of this.#doubted) {
      if (believedAt <= now) this.#forget(id, "expired");
      else next = Math.min(next, believedAt);
    }
    return next;
  }

  #put(entry: Entry): void {
    const { instance } = entry;
    const before = this.#held.get(instance.id);
    // Only a store that has gone back in time lists what is older than what it listed.
    if (before !== undefined && before.entry.instance.incarnation > instance.incarnation) {
      this.#book.deregister(before.lease, "deregistered", 0);
    }
    this.#doubted.delete(instance.id);
    // The book's own leases never end: the store says when one has.
    this.#held.set(instance.id, { entry, lease: this.#book.register(instance, Infinity, 0) });
  }

  #remove(id: string, cause: RemovalCause | undefined, now: number): void {
    const held = this.#held.get(id);
    if (held === undefined) return;
    if (cause !== undefined && cause !== "expired") return this.#forget(id, cause);
    const { ttlMs } = held.entry;
    // It may not have had a store to renew its lease with. It tries again every third of its time to live.
    const returnsBy = this.#backAt + ttlMs + Math.ceil(ttlMs / 3);
    const believedAt = Math.max(returnsBy, now + this.#believeMs);
    if (believedAt <= now) return this.#forget(id, "expired");
    const doubtedUntil = this.#doubted.get(id) ?? -Infinity;
    this.#doubted.set(id, Math.max(doubtedUntil, believedAt));
    this.#book.suspect(id, 0);
  }

  #forget(id: string, cause: RemovalCause): void {
    const held = this.#held.get(id)!;
    this.#held.delete(id);
    this.#doubted.delete(id);
    this.#book.deregister(held.lease, cause, 0);
  }
}
