import { Metadata } from "../core/metadata.ts";
import { type Args, checked, UsageError } from "./args.ts";
import { type Io, untilStopped } from "./io.ts";
import { printable } from "./text.ts";

/** Standard input to its end, as text. @throws {TypeError} when it is no UTF-8 */
export async function readText(io: Io): Promise<string> {
  const bytes = await Promise.race([io.stdin(), untilStopped(io.signal)]);
  io.signal.throwIfAborted();
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes ?? undefined);
}

/** JSON that the user gave. @param what it is, for the error: `the request from stdin` */
export async function parseJson(text: string | Promise<string>, what: string): Promise<unknown> {
  try {
    return JSON.parse(await text);
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
    throw new UsageError(`Cannot read ${what} as JSON: ${printable(error.message)}`);
  }
}

/** The metadata that was given, `--metadata key=value` for each pair. @throws {UsageError} */
export function metadataOf(args: Args): Metadata {
  const pairs = args.all("metadata").map((pair): [string, string] => {
    const split = pair.indexOf("=");
    if (split < 1) throw new UsageError(`Cannot use metadata "${pair}": write it as key=value`);
    return [pair.slice(0, split), pair.slice(split + 1)];
  });
  return checked(() => new Metadata(pairs));
}
