import { type Io, run } from "../../src/cli/cli.ts";
import { within } from "../../src/testing/contract.ts";

/** A command line's world in this process: keeps what is written, and stops when told to. */
export class FakeIo implements Io {
  /** What was written to standard output. */
  out = "";
  /** What was written to standard error. */
  err = "";
  readonly color: boolean;
  readonly stdin: () => Promise<Uint8Array>;
  readonly #stop = new AbortController();
  #written: (() => void)[] = [];

  constructor(options: { color?: boolean; stdin?: string | Uint8Array | (() => Promise<Uint8Array>) } = {}) {
    const { color = false, stdin = "" } = options;
    this.color = color;
    this.stdin = typeof stdin === "function"
      ? stdin
      : () => Promise.resolve(typeof stdin === "string" ? new TextEncoder().encode(stdin) : stdin);
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  readonly stdout = (text: string): Promise<void> => {
    this.out += text;
    return this.#tell();
  };

  readonly stderr = (text: string): Promise<void> => {
    this.err += text;
    return this.#tell();
  };

  /** What Ctrl-C does. */
  stop(): void {
    this.#stop.abort();
  }

  /** Waits until one of the outputs matches. */
  async until(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.out) ?? pattern.exec(this.err);
      if (match !== null) return match;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#written.push(resolve);
      await within(promise, `${pattern} in ${JSON.stringify(this.out + this.err)}`);
    }
  }

  #tell(): Promise<void> {
    for (const wake of this.#written.splice(0)) wake();
    return Promise.resolve();
  }
}

/** Runs a command line to its end. */
export async function erpc(
  args: string[],
  io: FakeIo = new FakeIo(),
): Promise<{ code: number; out: string; err: string }> {
  const code = await run(args, io);
  return { code, out: io.out, err: io.err };
}

/** Starts a command that runs until it is stopped. Disposing it stops it. */
export function start(args: string[]): { io: FakeIo; ended: Promise<number> } & AsyncDisposable {
  const io = new FakeIo();
  const ended = run(args, io);
  return {
    io,
    ended,
    async [Symbol.asyncDispose]() {
      io.stop();
      await ended;
    },
  };
}
