/** A program of examples/ as a process. Whoever makes one disposes it. */
export class Program implements AsyncDisposable {
  readonly #name: string;
  readonly #process: Deno.ChildProcess;
  readonly #stdout: ReadableStreamDefaultReader<string>;
  readonly #stderr: ReadableStreamDefaultReader<string>;
  #said = "";
  #complained = "";
  #seen = 0;

  constructor(name: string, ...args: string[]) {
    this.#name = name;
    this.#process = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", new URL(`../../examples/${name}`, import.meta.url).href, ...args],
      env: { NO_COLOR: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#stdout = this.#process.stdout.pipeThrough(new TextDecoderStream()).getReader();
    this.#stderr = this.#process.stderr.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** The next line of standard output that has a match, and what its first group matched. */
  async line(pattern: RegExp): Promise<string> {
    for (;;) {
      for (let end; (end = this.#said.indexOf("\n", this.#seen)) !== -1;) {
        const match = pattern.exec(this.#said.slice(this.#seen, end));
        this.#seen = end + 1;
        if (match !== null) return match[1] ?? match[0];
      }
      if (!await this.#read()) {
        const { stdout, stderr } = await this.ended();
        throw new Error(`${this.#name} ended without a line like ${pattern}:\n${stdout}${stderr}`);
      }
    }
  }

  /** Sends it a signal. */
  kill(signal: Deno.Signal): void {
    this.#process.kill(signal);
  }

  /** Waits for its end, and for that of all processes that write where it does. */
  async ended(): Promise<{ code: number; stdout: string; stderr: string }> {
    const complain = async () => {
      for (let part; !(part = await this.#stderr.read()).done;) this.#complained += part.value;
    };
    const complaints = complain();
    while (await this.#read());
    await complaints;
    const { code } = await this.#process.status;
    return { code, stdout: this.#said, stderr: this.#complained };
  }

  /** Ends it if it has not ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has ended by itself, as it should.
    }
    await Promise.all([this.#process.status, this.#stdout.cancel(), this.#stderr.cancel()]);
  }

  async #read(): Promise<boolean> {
    const { done, value = "" } = await this.#stdout.read();
    this.#said += value;
    return !done;
  }
}

/** Runs a program to its end. */
export async function run(name: string, ...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  await using program = new Program(name, ...args);
  return await program.ended();
}
