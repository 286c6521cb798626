/** Something that is to happen. */
export interface Scheduled {
  /** When, on the virtual clock. */
  readonly at: number;
  /** Who goes first of those that are due at the same time. */
  readonly tie: number;
}

/** What is to happen, in the order of its times: a binary heap. */
export class EventQueue<E extends Scheduled> {
  readonly #heap: E[] = [];

  /** How many wait. */
  get size(): number {
    return this.#heap.length;
  }

  /** What is next. */
  get first(): E | undefined {
    return this.#heap[0];
  }

  /** Puts one in. */
  push(event: E): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent])) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = event;
  }

  /** Takes out what is next. */
  pop(): E | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child++;
      if (!isBefore(heap[child], last)) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: Scheduled, b: Scheduled): boolean {
  return a.at < b.at || (a.at === b.at && a.tie < b.tie);
}
