/** What a process holds once its garbage is gone. Only in a process that was started with `--expose-gc`. */

/** How often a meter looks at most. */
const LOOK_EVERY_MS = 50;
/** For so many times as long as it looked the process goes on with its work. */
const WORK_SHARE = 4;

/** The bytes that are reachable now: objects, and the buffers that belong to them. */
export function heldBytes(): number {
  const { gc } = globalThis as { gc?: () => void };
  if (gc === undefined) throw new Error("Cannot measure what is held: start the process with --v8-flags=--expose-gc");
  gc();
  gc(); // the buffers of what the first has found are let go of by the next
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

/** Looks again and again at what is held. Whoever makes one disposes it. */
export class HeldMeter implements Disposable {
  /** The most that was ever seen. */
  mostBytes: number = heldBytes();
  #timer = setTimeout(() => this.#lookAgain(), LOOK_EVERY_MS);

  /** Looks now. */
  look(): number {
    const bytes = heldBytes();
    this.mostBytes = Math.max(this.mostBytes, bytes);
    return bytes;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #lookAgain(): void {
    const from = performance.now();
    this.look();
    // What is looked at must get on, however long looking takes.
    const tookMs = performance.now() - from;
    this.#timer = setTimeout(() => this.#lookAgain(), Math.max(LOOK_EVERY_MS, WORK_SHARE * tookMs));
  }
}
