import { parseArgs } from "@std/cli/parse-args";
import { suggest } from "../core/suggest.ts";

/** What is used of `parseArgs`. Its own types follow its options so closely that none of them can be named here. */
type ParseArgs = (args: string[], options: {
  string: string[];
  boolean: string[];
  collect: string[];
  alias: Record<string, string>;
  unknown: (arg: string, key?: string) => boolean;
}) => { _: unknown[]; [name: string]: unknown };

const parseFlags = parseArgs as unknown as ParseArgs;

/** A flag of a command. */
export interface Flag {
  /** Its name without the dashes. */
  readonly name: string;
  /** The letter that stands for it behind one dash. */
  readonly short?: string;
  /** What its value is called in the help; without one the flag is a switch. */
  readonly value?: string;
  /** Whether it may be given more than once. */
  readonly repeats?: boolean;
  /** What it does, for the help. */
  readonly about: string;
}

/** Something that stands on the command line without a name. */
export interface Operand {
  /** How the help writes it, such as `<procedure>`. */
  readonly name: string;
  /** Whether it may be left out. */
  readonly optional?: boolean;
  /** What it means, for the help. */
  readonly about: string;
}

/** The flag that every command has. */
export const HELP: Flag = Object.freeze({ name: "help", short: "h", about: "show this text" });

/** The user has written what nobody can understand: exit code 2. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** Passes on what was thrown; what a check threw is the user's mistake. */
export function misuse(thrown: unknown): never {
  if (thrown instanceof TypeError || thrown instanceof RangeError) throw new UsageError(thrown.message);
  throw thrown;
}

/** Runs a check of what the user wrote. @throws {UsageError} where the check throws `TypeError` or `RangeError` */
export function checked<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    misuse(error);
  }
}

/** What stood on the command line. */
export class Args {
  /** What has no name, in order. */
  readonly operands: readonly string[];
  /** Whether the help is asked for. Nothing else has been checked then. */
  readonly help: boolean;
  readonly #values: ReadonlyMap<string, unknown>;

  /** Takes what was parsed. */
  constructor(operands: readonly string[], values: ReadonlyMap<string, unknown>) {
    this.operands = operands;
    this.#values = values;
    this.help = this.has("help");
  }

  /** The value of a flag, the last one if there are many, or `undefined`. */
  get(name: string): string | undefined {
    return this.all(name).at(-1);
  }

  /** Every value of a flag. */
  all(name: string): readonly string[] {
    const value = this.#values.get(name);
    if (Array.isArray(value)) return value;
    return typeof value === "string" ? [value] : [];
  }

  /** Whether a switch is on. */
  has(name: string): boolean {
    return this.#values.get(name) === true;
  }
}

/** Reads a command line. @throws {UsageError} */
export function parse(args: readonly string[], operands: readonly Operand[], ownFlags: readonly Flag[]): Args {
  const flags = [...ownFlags, HELP];
  const switches = flags.filter((flag) => flag.value === undefined);
  const withValue = flags.filter((flag) => flag.value !== undefined);
  let unknown: string | undefined;
  const parsed = parseFlags(explicit(args, switches), {
    // "_" keeps operands that look like numbers as they were written.
    string: ["_", ...withValue.map((flag) => flag.name)],
    boolean: switches.map((flag) => flag.name),
    collect: withValue.filter((flag) => flag.repeats).map((flag) => flag.name),
    alias: Object.fromEntries(flags.filter((flag) => flag.short !== undefined).map((flag) => [flag.short, flag.name])),
    unknown: (arg, key) => {
      if (key !== undefined) unknown ??= `${arg.startsWith("--") ? "--" : "-"}${key}`;
      return key === undefined;
    },
  });
  const values = new Map(flags.map((flag) => [flag.name, parsed[flag.name]]));
  const found = new Args(parsed._.map(String), values);
  if (found.help) return found;
  if (unknown !== undefined) throw new UsageError(unknownFlag(unknown, flags));
  for (const { name } of withValue) {
    if (found.all(name).includes("")) throw new UsageError(`Flag "--${name}" needs a value`);
  }
  const extra = found.operands[operands.length];
  if (extra !== undefined) throw new UsageError(`Unexpected argument "${extra}"`);
  const missing = operands[found.operands.length];
  if (missing !== undefined && !missing.optional) throw new UsageError(`Missing ${missing.name}`);
  return found;
}

/** Says outright that switches are on: `parseArgs` takes a `true` behind one, which may be the request, for its value. */
function explicit(args: readonly string[], switches: readonly Flag[]): string[] {
  const names = new Set(switches.map((flag) => `--${flag.name}`));
  const end = args.indexOf("--");
  return args.map((arg, at) => {
    if (end !== -1 && at >= end) return arg;
    const [name, value] = arg.split("=", 2);
    if (!names.has(name)) return arg;
    if (value !== undefined) throw new UsageError(`Flag "${name}" takes no value`);
    return `${name}=true`;
  });
}

function unknownFlag(typed: string, flags: readonly Flag[]): string {
  const meant = suggest(typed.replace(/^-+/, ""), flags.map((flag) => flag.name));
  return `Unknown flag "${typed}": ` +
    (meant === undefined ? "write -- before an argument that begins with a dash" : `did you mean "--${meant}"?`);
}
