import { within } from "../../src/testing/contract.ts";

/** How many files a process has open, sockets included, as Linux counts them. */
export async function openFiles(pid: number | "self"): Promise<number> {
  let files = 0;
  for await (const _ of Deno.readDir(`/proc/${pid}/fd`)) files++;
  return files;
}

function statusOf(pid: number): Promise<string> {
  return Deno.readTextFile(`/proc/${pid}/status`);
}

/** How long anybody waits for a program; really it is a moment. */
const WAIT_MS = 60_000;

/** A program as a process of its own. Whoever starts one disposes it. */
export class Child implements AsyncDisposable {
  readonly #name: string;
  readonly #process: Deno.ChildProcess;
  readonly #stdout: ReadableStreamDefaultReader<string>;
  readonly #stderr: ReadableStreamDefaultReader<string>;
  readonly #complaints: Promise<void>;
  #said = "";
  #complained = "";
  #heard = Promise.withResolvers<boolean>();
  #seen = 0;

  /** Starts a program of this repository; it can measure what it holds (`heldBytes`). */
  constructor(program: URL, ...args: string[]) {
    this.#name = program.pathname;
    this.#process = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--v8-flags=--expose-gc", program.href, ...args],
      env: { NO_COLOR: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#stdout = this.#process.stdout.pipeThrough(new TextDecoderStream()).getReader();
    this.#stderr = this.#process.stderr.pipeThrough(new TextDecoderStream()).getReader();
    // From the beginning, or a program that complains much waits for ever.
    this.#complaints = this.#listen();
  }

  /** The next line of standard output that has a match, and what its first group matched. Others before it are passed over. */
  async line(pattern: RegExp): Promise<string> {
    for (;;) {
      for (let end; (end = this.#said.indexOf("\n", this.#seen)) !== -1;) {
        const match = pattern.exec(this.#said.slice(this.#seen, end));
        this.#seen = end + 1;
        if (match !== null) return match[1] ?? match[0];
      }
      if (!await within(this.#read(), `${this.#name} to say ${pattern}, it said ${this.#said}`, WAIT_MS)) {
        const { stdout, stderr } = await this.ended();
        throw new Error(`${this.#name} ended without a line like ${pattern}:\n${stdout}${stderr}`);
      }
    }
  }

  /** What the first group of a pattern has matched on standard error, as soon as it has. */
  async complaint(pattern: RegExp): Promise<string> {
    for (;;) {
      const match = pattern.exec(this.#complained);
      if (match !== null) return match[1] ?? match[0];
      const more = await within(this.#heard.promise, `${this.#name} to write ${pattern}`, WAIT_MS);
      if (!more) throw new Error(`${this.#name} ended without ${pattern}:\n${this.#complained}`);
    }
  }

  /** Sends it a signal. */
  kill(signal: Deno.Signal): void {
    this.#process.kill(signal);
  }

  /** Makes it stand still, until it gets SIGCONT. Resolves when it does. */
  async pause(): Promise<void> {
    this.#process.kill("SIGSTOP");
    while (!/^State:\s+T/m.test(await statusOf(this.#process.pid))) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** How many files it has open, sockets included. */
  openFiles(): Promise<number> {
    return openFiles(this.#process.pid);
  }

  /** Waits for its end, and for that of all processes that write where it does. */
  async ended(): Promise<{ code: number; stdout: string; stderr: string }> {
    const end = async () => {
      while (await this.#read());
      await this.#complaints;
      return await this.#process.status;
    };
    const { code } = await within(end(), `${this.#name} to end, it said ${this.#said}`, WAIT_MS);
    return { code, stdout: this.#said, stderr: this.#complained };
  }

  /** Ends it if it has not ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has ended by itself, as it should.
    }
    await Promise.all([this.#process.status, this.#stdout.cancel(), this.#stderr.cancel(), this.#complaints]);
  }

  async #read(): Promise<boolean> {
    const { done, value = "" } = await this.#stdout.read();
    this.#said += value;
    return !done;
  }

  async #listen(): Promise<void> {
    for (let part; !(part = await this.#stderr.read()).done;) {
      this.#complained += part.value;
      this.#heard.resolve(true);
      this.#heard = Promise.withResolvers();
    }
    this.#heard.resolve(false);
  }
}
