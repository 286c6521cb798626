/**
 * Calls that wait for a place, first come, first served: a ring of slots.
 *
 * Not a Set, for the reason that the table of streams is not a Map alone: what churns in one outlives the young generation.
 */
const FIRST_SLOTS = 16;

/** What waits, in the order in which it came. */
export class CallQueue<T> {
  #slots: (T | undefined)[] = [];
  #head = 0;
  #size = 0;

  /** How many wait. */
  get size(): number {
    return this.#size;
  }

  /** Comes last. */
  push(item: T): void {
    if (this.#size === this.#slots.length) this.#grow();
    this.#slots[(this.#head + this.#size++) & (this.#slots.length - 1)] = item;
  }

  /** Who came first leaves. */
  shift(): T | undefined {
    if (this.#size === 0) return undefined;
    const item = this.#slots[this.#head];
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#slots.length - 1);
    this.#size--;
    return item;
  }

  /** Somebody leaves before the turn came. Rare, so that looking for it is allowed to take time. */
  delete(item: T): void {
    const items = this.takeAll();
    for (const each of items) if (each !== item) this.push(each);
  }

  /** All of them, in their order, in a list of its own. */
  items(): T[] {
    return Array.from({ length: this.#size }, (_, n) => this.#slots[(this.#head + n) & (this.#slots.length - 1)]!);
  }

  /** All leave. */
  takeAll(): T[] {
    const items: T[] = [];
    while (this.#size > 0) items.push(this.shift()!);
    return items;
  }

  #grow(): void {
    const items = this.takeAll();
    this.#slots = new Array(Math.max(FIRST_SLOTS, this.#slots.length * 2)).fill(undefined);
    this.#head = 0;
    for (const item of items) this.push(item);
  }
}
