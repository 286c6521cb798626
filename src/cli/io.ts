/** What a command touches of the world, handed in so that tests run commands in their own process. */
export interface Io {
  /** Writes what was asked for. Resolves once it is written. */
  readonly stdout: (text: string) => Promise<void>;
  /** Writes errors, and what the program says about itself. */
  readonly stderr: (text: string) => Promise<void>;
  /** Reads standard input to its end. */
  readonly stdin: () => Promise<Uint8Array>;
  /** Aborts when the command is to end, as after Ctrl-C. */
  readonly signal: AbortSignal;
  /** Whether escape sequences for colours may be written. */
  readonly color: boolean;
}

/** Resolves when the command is to end. */
export function untilStopped(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
