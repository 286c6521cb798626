/**
 * The command line: runs a center, lists and watches services, calls procedures, sets routing rules, tells what has
 * changed and who did it, and takes instances out of use.
 *
 * ```sh
 * deno run -A jsr:@erpc/erpc/cli center
 * deno run -A jsr:@erpc/erpc/cli list
 * deno run -A jsr:@erpc/erpc/cli call demo.Words/count '{"text":"one two"}'
 * deno run -A jsr:@erpc/erpc/cli watch '*'
 * ```
 *
 * @module
 */
import { RpcError } from "../core/error.ts";
import { parse, UsageError } from "./args.ts";
import { call } from "./call.ts";
import { center } from "./center.ts";
import { type Command, commandHelp, programHelp } from "./command.ts";
import { drain, evict } from "./evict.ts";
import { diff, history } from "./history.ts";
import type { Io } from "./io.ts";
import { list } from "./list.ts";
import { route } from "./route.ts";
import { suggest } from "../core/suggest.ts";
import { printable, styled } from "./text.ts";
import { watch } from "./watch.ts";

export type { Io };

const COMMANDS: ReadonlyMap<string, Command> = new Map(
  [center, list, call, watch, route, history, diff, drain, evict].map((each) => [each.name, each]),
);

/**
 * Runs one command line, without the name of the program.
 *
 * @returns the exit code: 0, 1 when the command failed, 2 when it was not understood, 130 when it was interrupted before
 * its end
 */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const [name, ...rest] = args;
  const command = COMMANDS.get(name);
  try {
    if (command !== undefined) {
      const parsed = parse(rest, command.operands, command.flags);
      if (!parsed.help) return await command.run(parsed, io);
      await io.stdout(commandHelp(command));
      return 0;
    }
    if (name === "--help" || name === "-h") {
      await io.stdout(programHelp(COMMANDS.values()));
      return 0;
    }
    if (name === undefined) {
      await io.stderr(programHelp(COMMANDS.values()));
      return 2;
    }
    throw new UsageError(unknownCommand(name));
  } catch (error) {
    if (io.signal.aborted) return 130;
    if (error instanceof UsageError) {
      const help = ["erpc", command?.name, "--help"].filter((word) => word !== undefined).join(" ");
      await io.stderr(`${printable(error.message)}\nRun "${help}" to see how it is used\n`);
      return 2;
    }
    if (!(error instanceof RpcError)) throw error;
    await io.stderr(`${styled("red", error.code, io)}: ${printable(error.message)}\n`);
    if (error.details !== undefined) await io.stderr(`details: ${printable(JSON.stringify(error.details))}\n`);
    return 1;
  }
}

function unknownCommand(name: string): string {
  if (name.startsWith("-")) return `Unknown flag "${name}": the command comes first`;
  const meant = suggest(name, COMMANDS.keys());
  return `Unknown command "${name}"` +
    (meant === undefined ? `: there are ${[...COMMANDS.keys()].join(", ")}` : `: did you mean "${meant}"?`);
}

/** Writes texts whole and in their order. */
function writer(stream: typeof Deno.stdout | typeof Deno.stderr): (text: string) => Promise<void> {
  const encoder = new TextEncoder();
  let last: Promise<void> = Promise.resolve();
  return (text) =>
    last = last.then(async () => {
      const bytes = encoder.encode(text);
      for (let at = 0; at < bytes.length;) at += await stream.write(bytes.subarray(at));
    }).catch((error) => {
      if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
      // Whoever wanted the output has gone, so there is nothing left to do; the log is nobody's purpose.
      if (stream === Deno.stdout) Deno.exit(141);
    });
}

if (import.meta.main) {
  const stop = new AbortController();
  const signals: Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT", "SIGBREAK"] : ["SIGINT", "SIGTERM"];
  for (const name of signals) {
    // Once is a request, twice is an order.
    Deno.addSignalListener(name, () => stop.signal.aborted ? Deno.exit(130) : stop.abort());
  }
  const io: Io = {
    stdout: writer(Deno.stdout),
    stderr: writer(Deno.stderr),
    stdin: () => new Response(Deno.stdin.readable).bytes(),
    signal: stop.signal,
    color: !Deno.noColor && Deno.stdout.isTerminal() && Deno.stderr.isTerminal(),
  };
  const code = await run(Deno.args, io);
  await io.stderr(""); // the log is written to its end
  Deno.exit(code);
}
