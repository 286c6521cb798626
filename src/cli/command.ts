import { CENTER_ENDPOINT } from "../center/contract.ts";
import { type Args, type Flag, HELP, type Operand } from "./args.ts";
import type { Io } from "./io.ts";
import { table } from "./table.ts";

/** One command of the program. */
export interface Command {
  /** What it is called by. */
  readonly name: string;
  /** What it does, in one line. */
  readonly summary: string;
  /** What stands behind its name. */
  readonly operands: readonly Operand[];
  /** Its flags, without `--help`. */
  readonly flags: readonly Flag[];
  /** More to know, line by line. */
  readonly notes: readonly string[];
  /** Runs it. Resolves with the exit code. */
  run(args: Args, io: Io): Promise<number>;
}

/** The flag that says where the center is. */
export const CENTER: Flag = Object.freeze({
  name: "center",
  value: "url",
  repeats: true,
  about: `a center; repeatable (default ${CENTER_ENDPOINT})`,
});

/** The flag that says who asks. */
export const TOKEN: Flag = Object.freeze({
  name: "token",
  value: "text",
  about: "what proves who you are",
});

/** The help of one command. */
export function commandHelp({ name, summary, operands, flags, notes }: Command): string {
  const usage = ["erpc", name, ...operands.map(({ name, optional }) => optional ? `[${name}]` : name), "[flags]"];
  const rows = [
    ...operands.map(({ name, about }) => [`  ${name}`, about]),
    ...[...flags, HELP].map((flag) => [`  ${flagForms(flag)}`, flag.about]),
  ];
  const lines = table(rows);
  const sections = [
    [summary],
    [`Usage: ${usage.join(" ")}`],
    lines.slice(0, operands.length),
    lines.slice(operands.length),
    notes,
  ];
  return sections.filter((section) => section.length > 0).map((section) => section.join("\n") + "\n").join("\n");
}

/** The help of the program. */
export function programHelp(commands: Iterable<Command>): string {
  const rows = [...commands].map(({ name, summary }) => [`  ${name}`, summary]);
  return `erpc finds, calls and watches services, and runs the center that lists them

Usage: erpc <command> [arguments] [flags]

${table(rows).join("\n")}

Run "erpc <command> --help" to learn more about a command. Where erpc is not
installed, write "deno run -A jsr:@erpc/erpc/cli" instead.
`;
}

function flagForms({ name, short, value }: Flag): string {
  const long = value === undefined ? `--${name}` : `--${name} <${value}>`;
  return short === undefined ? `    ${long}` : `-${short}, ${long}`;
}
