/**
 * Runs a function and interrupts it, whatever it does, when it has computed for too long. `Worker.terminate()` of Deno 2.9 does
 * not end a thread that computes without a pause (denoland/deno#35657): only the watchdog of `node:vm` does.
 */
import { Script } from "node:vm";

/** A function was interrupted: nothing after it ran, no `catch` and no `finally`. */
export class Interrupted extends Error {
  override name = "Interrupted";
}

// A script sees the global scope and nothing else, so what it is to run is put there.
const KEY = "@erpc/erpc.limited";
const slot = globalThis as unknown as Record<symbol, (() => unknown) | undefined>;
const script = new Script(`globalThis[Symbol.for(${JSON.stringify(KEY)})]()`);

/**
 * Runs a function, and gives or throws what it does.
 *
 * @param ms how long it may compute, a whole number from 1 on; what it does after it has waited for something does not count
 * @throws {Interrupted} when that is over
 */
export function limited<T>(ms: number, run: () => T): T {
  let ended = false;
  slot[Symbol.for(KEY)] = () => {
    try {
      return run();
    } finally {
      ended = true;
    }
  };
  try {
    return script.runInThisContext({ timeout: ms, displayErrors: false }) as T;
  } catch (error) {
    throw ended ? error : new Interrupted(`It computed for ${ms} ms without a pause`);
  } finally {
    slot[Symbol.for(KEY)] = undefined;
  }
}
