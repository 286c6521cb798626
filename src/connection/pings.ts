/** The pings of one connection that were not answered yet (PROTOCOL §8). */
import { writePing } from "../protocol/control.ts";
import type { Outbox } from "./outbox.ts";

/** What was asked on one connection to see whether the other side lives. */
export class Pings {
  readonly #outbox: Outbox;
  #last = 0;
  /** Where the last one ends in the outbox. */
  #end = 0;
  #waiting: Map<number, () => void> | undefined;

  constructor(outbox: Outbox) {
    this.#outbox = outbox;
  }

  /** How many were not answered. */
  get size(): number {
    return this.#waiting?.size ?? 0;
  }

  /** Whether the last one is on its way, and does not wait behind what is being written. */
  get haveLeft(): boolean {
    return this.#outbox.handedBytes >= this.#end;
  }

  /** Sends one. `done` is called once: when it is answered, or when nothing more will come. */
  send(done: () => void): void {
    const number = ++this.#last;
    this.#waiting ??= new Map();
    this.#waiting.set(number, done);
    writePing(this.#outbox.data, number, false);
    this.#end = this.#outbox.position;
    this.#outbox.schedule();
  }

  /** An answer came. False when nobody asked. */
  answered(number: number): boolean {
    const done = this.#waiting?.get(number);
    if (done === undefined) return false;
    this.#waiting?.delete(number);
    done();
    return true;
  }

  /** Nothing more will come. */
  close(): void {
    for (const done of this.#waiting?.values() ?? []) done();
    this.#waiting = undefined;
  }
}
