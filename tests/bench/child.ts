/** Processes of their own that answer questions: a line of JSON in, a line of JSON out. They end when their input does. */

/** How long a process may take to end once it was asked to, in milliseconds. */
const END_MS = 5_000;

/** A process that answers questions. Whoever starts it disposes it. */
export class Child implements AsyncDisposable {
  /** What it said first. */
  readonly hello: unknown;
  readonly #process: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #lines: AsyncGenerator<string>;

  private constructor(process: Deno.ChildProcess, lines: AsyncGenerator<string>, hello: unknown) {
    this.#process = process;
    this.#input = process.stdin.getWriter();
    this.#lines = lines;
    this.hello = hello;
  }

  /** Starts a program and waits for its first line. */
  static async start(program: string, args: readonly string[]): Promise<Child> {
    const command = new Deno.Command(program, { args: [...args], stdin: "piped", stdout: "piped", stderr: "inherit" });
    const process = command.spawn();
    const lines = linesOf(process.stdout);
    const first = await lines.next();
    if (!first.done) return new Child(process, lines, JSON.parse(first.value));
    await process.stdin.close().catch(() => {});
    throw new Error(`Cannot start "${program} ${args.join(" ")}": it ended with code ${(await process.status).code}`);
  }

  /** Asks, and waits for the answer. One question at a time. */
  async ask(question: unknown): Promise<unknown> {
    await this.#input.write(new TextEncoder().encode(JSON.stringify(question) + "\n"));
    const answer = await this.#lines.next();
    if (answer.done) throw new Error("Cannot go on: a process of the bench ended in the middle");
    return JSON.parse(answer.value);
  }

  /** Ends it, by force when it does not end by itself. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {});
    await this.#lines.return(undefined);
    const timer = setTimeout(() => {
      try {
        this.#process.kill("SIGKILL");
      } catch {
        // It has ended in this moment.
      }
    }, END_MS);
    await this.#process.status;
    clearTimeout(timer);
  }
}

/** The other end of a {@link Child}: says hello, and answers until the input ends. */
export async function answerQuestions(
  hello: unknown,
  answer: (question: unknown) => unknown,
): Promise<void> {
  console.log(JSON.stringify(hello));
  for await (const line of linesOf(Deno.stdin.readable)) console.log(JSON.stringify(await answer(JSON.parse(line))));
}

async function* linesOf(source: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string, undefined> {
  let rest = "";
  for await (const text of source.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}
