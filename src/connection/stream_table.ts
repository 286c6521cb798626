/**
 * The streams of one connection by their numbers, which grow by two: a ring of slots, and a Map for those whose slot is taken.
 *
 * Not a Map alone. As entries come and go a Map leaves its old tables behind, each pointing at the next; once one of them has
 * grown old, all that follow it, and every call that was in them, outlive the young generation of the collector.
 */
import type { Stream } from "./stream.ts";

const FIRST_SLOTS = 4;
const MAX_SLOTS = 64 * 1024;

/** Streams by number. */
export class StreamTable {
  #slots: (Stream | undefined)[] = new Array(FIRST_SLOTS).fill(undefined);
  /** Those whose slot belongs to another that has been there for longer. */
  #crowd: Map<number, Stream> | undefined;
  #size = 0;

  /** How many there are. */
  get size(): number {
    return this.#size;
  }

  /** The stream of a number. */
  get(id: number): Stream | undefined {
    const stream = this.#slots[id & (this.#slots.length - 1)];
    if (stream !== undefined && stream.id === id) return stream;
    return this.#crowd?.get(id);
  }

  /** Puts in a stream that is not there. */
  set(id: number, stream: Stream): void {
    this.#size++;
    let slots = this.#slots;
    while (slots[id & (slots.length - 1)] !== undefined) {
      if (slots.length >= MAX_SLOTS || slots.length > this.#size * 8) {
        this.#crowd ??= new Map();
        this.#crowd.set(id, stream);
        return;
      }
      slots = this.#grow();
    }
    slots[id & (slots.length - 1)] = stream;
  }

  /** Takes out a stream. False when it was not there. */
  delete(id: number): boolean {
    const slot = id & (this.#slots.length - 1);
    const stream = this.#slots[slot];
    if (stream !== undefined && stream.id === id) this.#slots[slot] = undefined;
    else if (this.#crowd?.delete(id) !== true) return false;
    this.#size--;
    return true;
  }

  /** All streams. */
  values(): Stream[] {
    return [...this.#slots.filter((stream) => stream !== undefined), ...this.#crowd?.values() ?? []];
  }

  /** Twice the slots: what had one of its own before has one now. */
  #grow(): (Stream | undefined)[] {
    const grown: (Stream | undefined)[] = new Array(this.#slots.length * 2).fill(undefined);
    for (const stream of this.#slots) if (stream !== undefined) grown[stream.id & (grown.length - 1)] = stream;
    return this.#slots = grown;
  }
}
