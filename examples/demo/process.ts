/** The processes of the demo. Each says on standard output where it listens, and lives until its standard input ends. */

/**
 * Starts a program of this folder as a process that ends with `children`.
 * @returns the process, and the endpoint that it listens on
 */
export async function start(
  children: AsyncDisposableStack,
  program: string,
  ...args: string[]
): Promise<{ process: Deno.ChildProcess; endpoint: string }> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", new URL(program, import.meta.url).href, ...args],
    stdin: "piped",
    stdout: "piped",
  });
  const process = children.use(command.spawn());
  let said = "";
  for await (const text of process.stdout.pipeThrough(new TextDecoderStream())) {
    said += text;
    if (said.endsWith("\n")) return { process, endpoint: said.trimEnd() };
  }
  const { code } = await process.status;
  throw new Error(`Cannot start ${program}: it ended with code ${code} before it listened`);
}

/** Says where this process listens, and waits until the process that started it is gone, however that ended. */
export async function serveUntilAlone(endpoint: string): Promise<void> {
  console.log(endpoint);
  for await (const _ of Deno.stdin.readable);
}
