/**
 * One loop over what is listed under a name. It keeps a place in the history of the book, and no events: a slow reader costs
 * nothing, gets what it missed at once, and a snapshot when that is too much or has gone from the history.
 *
 * Invariants: while nothing under its name has changed since its place, it is not behind; it is open from the first `next`
 * until it has ended, and `hooks` learn of both exactly once; what was told is acknowledged when the next event is asked for.
 */
import type { Batch, Directory } from "./directory.ts";
import type { WatchEvent, WatchOptions } from "./registry.ts";

/** How a watch reports on itself to whoever made it. */
export interface WatchHooks {
  /** It begins, and wants to be told of changes. What this throws, its reader gets. */
  opened(watch: BookWatch): void;
  /** Its reader has acknowledged the last event. */
  acknowledged(watch: BookWatch): void;
  /** It has ended. */
  ended(watch: BookWatch): void;
}

/** An iterator that takes what a book has for it. Only one `next` at a time. */
export class BookWatch implements AsyncIterableIterator<WatchEvent> {
  /** What it follows. */
  readonly name: string;
  readonly #directory: Directory;
  readonly #options: WatchOptions;
  readonly #hooks: WatchHooks;
  readonly #end = () => this.end();
  #state: "new" | "open" | "ended" = "new";
  /** What comes after this revision has not been told; `undefined` means that a snapshot is due. */
  #place: number | undefined;
  #behind = true;
  #begun = false;
  #bookmarkAt: number | undefined;
  #warmed = false;
  #toldAt: number | undefined;
  #acknowledgedAt = -1;
  #reading = false;
  #wake: (() => void) | undefined;

  /** Makes a watch, which costs nothing until its first `next`. */
  constructor(name: string, directory: Directory, options: WatchOptions, hooks: WatchHooks) {
    this.name = name;
    this.#directory = directory;
    this.#options = options;
    this.#hooks = hooks;
  }

  /** Waits for the next event. Rejects with a `TypeError` while an earlier one is still waiting. */
  next(): Promise<IteratorResult<WatchEvent, undefined>> {
    if (this.#reading) {
      return Promise.reject(
        new TypeError(`Cannot read the watch of "${this.name}": an earlier next() is still waiting`),
      );
    }
    this.#reading = true;
    return this.#read().finally(() => this.#reading = false);
  }

  /** Ends it; a `next` that waits is told so. */
  return(): Promise<IteratorResult<WatchEvent, undefined>> {
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Tells it that something under its name has changed. */
  changed(revision: number): void {
    if (!this.#behind) {
      this.#behind = true;
      // All between its place and this change was about other names, and need not stay in the history for it.
      this.#place = revision - 1;
    }
    this.#wake?.();
  }

  /** Tells it, while it is not behind, to let its reader know how far the book has come. */
  bookmark(revision: number): void {
    if (this.#behind) return;
    this.#bookmarkAt = revision;
    this.#wake?.();
  }

  /** Tells it that what is listed is complete from now on. */
  warmed(): void {
    this.#warmed = true;
    this.bookmark(this.#directory.revision);
  }

  /** Whether its reader has acknowledged a change under its name. */
  hasAcknowledged(revision: number): boolean {
    return this.#acknowledgedAt >= revision || (!this.#behind && this.#toldAt === undefined);
  }

  /** Ends it; harmless when it has ended. */
  end(): void {
    const { signal } = this.#options;
    signal?.removeEventListener("abort", this.#end);
    const wasOpen = this.#state === "open";
    this.#state = "ended";
    if (wasOpen) this.#hooks.ended(this);
    this.#wake?.();
  }

  async #read(): Promise<IteratorResult<WatchEvent, undefined>> {
    if (this.#state === "new") this.#open();
    if (this.#toldAt !== undefined) {
      this.#acknowledgedAt = this.#toldAt;
      this.#toldAt = undefined;
      if (this.#state === "open") this.#hooks.acknowledged(this);
    }
    while (this.#state === "open") {
      const event = this.#take();
      if (event !== undefined) {
        this.#toldAt = event.revision;
        return { done: false, value: event };
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
    return { done: true, value: undefined };
  }

  #open(): void {
    const { signal, after } = this.#options;
    if (signal?.aborted) return this.end();
    this.#hooks.opened(this);
    this.#state = "open";
    signal?.addEventListener("abort", this.#end);
    if (after?.epoch !== this.#directory.epoch) return;
    this.#place = after.revision;
    this.#warmed = !this.#directory.warming && after.revision <= this.#directory.warmedAt;
  }

  #take(): WatchEvent | undefined {
    if (!this.#behind) return this.#takeBookmark();
    this.#bookmarkAt = undefined;
    const batch = this.#place === undefined ? undefined : this.#directory.changesAfter(this.name, this.#place);
    const first = !this.#begun;
    this.#begun = true;
    this.#behind = false;
    if (batch === undefined) {
      this.#warmed = false;
      return { kind: "snapshot", ...this.#directory.snapshot(this.name) };
    }
    this.#place = batch.revision;
    // Whoever resumed is told at once that it worked, even if there is nothing to tell.
    return batch.changes.length === 0 && !first && !this.#warmed ? undefined : this.#changes(batch);
  }

  #takeBookmark(): WatchEvent | undefined {
    const revision = this.#bookmarkAt;
    this.#bookmarkAt = undefined;
    return revision === undefined ? undefined : this.#changes({ changes: [], revision });
  }

  #changes(batch: Batch): WatchEvent {
    const event = { kind: "changes", epoch: this.#directory.epoch, ...batch } as const;
    if (!this.#warmed) return event;
    this.#warmed = false;
    return { ...event, warmed: true };
  }
}
