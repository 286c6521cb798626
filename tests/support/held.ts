/** What a process holds once its garbage is gone. Only in a process that was started with `--expose-gc`. */

/** How often a meter looks. */
const LOOK_EVERY_MS = 100;

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
  readonly #timer = setInterval(() => this.look(), LOOK_EVERY_MS);

  /** Looks now. */
  look(): number {
    const bytes = heldBytes();
    this.mostBytes = Math.max(this.mostBytes, bytes);
    return bytes;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
