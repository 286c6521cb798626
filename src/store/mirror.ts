/**
 * What a store lists, kept in this process. It owns no timer; whoever does hands in `now`, in milliseconds on a clock that never
 * jumps.
 *
 * Invariants: while the store is away nothing leaves the list; what was there when the store went away, and is not when it is
 * back, has the whole time to live of its lease, and a beat, to return, and so it has when the store has forgotten everything;
 * what leaves without a word is a suspect for a beat before it goes, and when most do, they go a few at a time.
 */
import { contentOf, type Directory, EVERYTHING } from "../registry/directory.ts";
import { MassHold } from "../registry/mass_hold.ts";
import type { RemovalCause } from "../registry/registry.ts";
import type { Entry } from "./entry.ts";
import type { StoreEvent } from "./store.ts";

/** How a mirror works. */
export interface MirrorOptions {
  /** For how long it doubts that an instance has gone that vanished without a word. Default: a third of its lease, a beat. */
  readonly believeMs?: number;
  /** How long it may hold on to what has vanished because most has. */
  readonly preserveMs: number;
  /** In how long a time a few of them may leave nevertheless. */
  readonly preservePerMs: number;
  /** Milliseconds since 1970, for people. */
  readonly wall: () => number;
}

/** Who does what nobody asked for. */
const STORE = "store";
/** How often it looks again at what it holds on to. */
const HOLD_STEP_MS = 1_000;

/** What a store lists, as far as it was told, in a directory that others follow. */
export class Mirror {
  readonly #directory: Directory;
  readonly #options: MirrorOptions;
  readonly #hold: MassHold;
  readonly #held = new Map<string, Entry>();
  /** Who has vanished, and when that is to be believed. */
  readonly #doubted = new Map<string, number>();
  #state: "new" | "away" | "current" = "new";
  #backAt = -Infinity;
  /** Nobody of those is to be believed before: so not each of many changes looks at all of them. */
  #lookAt = Infinity;
  #epoch: string | undefined;

  /** Begins with nothing. */
  constructor(directory: Directory, options: MirrorOptions) {
    this.#directory = directory;
    this.#options = options;
    this.#hold = new MassHold({ maxMs: options.preserveMs, perMs: options.preservePerMs });
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
    return this.#doubted.has(instanceId) ? undefined : this.#held.get(instanceId)?.token;
  }

  /** Takes what the store tells. */
  apply(event: StoreEvent, now: number): void {
    if (event.kind === "listing") {
      const forgotten = this.#epoch !== undefined && this.#epoch !== event.epoch;
      if (this.#state === "away" || forgotten) this.#backAt = now;
      this.#epoch = event.epoch;
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
    if (this.#state !== "current" || this.#doubted.size === 0) return Infinity;
    if (now < this.#lookAt) return this.#lookAt;
    let next = Infinity;
    const due: string[] = [];
    for (const [id, believedAt] of this.#doubted) {
      if (believedAt <= now) due.push(id);
      else next = Math.min(next, believedAt);
    }
    this.#hold.observe(now, this.#held.size, this.#doubted.size, due.length > 0);
    for (const id of due) {
      if (this.#hold.allowance <= 0) next = now + HOLD_STEP_MS;
      else {
        this.#hold.spend();
        this.#forget(id, "expired");
      }
    }
    return this.#lookAt = next;
  }

  #put(entry: Entry): void {
    const { instance } = entry;
    const before = this.#held.get(instance.id);
    this.#held.set(instance.id, entry);
    const doubted = this.#doubted.delete(instance.id);
    if (before !== undefined && !doubted && contentOf(before.instance) === contentOf(instance)) return;
    const fenced = before !== undefined && before.instance.incarnation < instance.incarnation;
    const cause = fenced ? "fenced" : "deregistered";
    const names = new Set([EVERYTHING, ...instance.services]);
    this.#list(instance.id, { instance, names, suspect: false }, cause);
  }

  #remove(id: string, cause: RemovalCause | undefined, now: number): void {
    const entry = this.#held.get(id);
    if (entry === undefined) return;
    if (cause !== undefined && cause !== "expired") return this.#forget(id, cause);
    const beatMs = Math.ceil(entry.ttlMs / 3);
    // It may not have had a store to renew its lease with. It tries again every third of its time to live.
    const returnsBy = this.#backAt + entry.ttlMs + beatMs;
    const believedAt = Math.max(returnsBy, now + (this.#options.believeMs ?? beatMs));
    const known = this.#doubted.get(id);
    this.#doubted.set(id, Math.max(known ?? -Infinity, believedAt));
    this.#lookAt = Math.min(this.#lookAt, believedAt);
    const listed = this.#directory.get(id);
    if (known === undefined && listed !== undefined) this.#list(id, { ...listed, suspect: true }, "expired");
  }

  #forget(id: string, cause: RemovalCause): void {
    const ended = this.#held.get(id)?.token;
    this.#held.delete(id);
    this.#doubted.delete(id);
    this.#list(id, undefined, cause, ended);
  }

  #list(id: string, listed: Parameters<Directory["put"]>[1], cause: RemovalCause, ended?: string): void {
    this.#directory.put(id, listed, { cause, actor: STORE, at: this.#options.wall(), ended });
  }
}
