import { Center } from "../center/center.ts";
import { CENTER_ENDPOINT } from "../center/contract.ts";
import { misuse, UsageError } from "./args.ts";
import type { Command } from "./command.ts";
import { untilStopped } from "./io.ts";
import { type Level, LEVELS, lineLogger } from "./log.ts";
import { suggest } from "./suggest.ts";

/** Runs a center. */
export const center: Command = {
  name: "center",
  summary: "Run a center, where servers register and clients find them",
  operands: [],
  flags: [
    { name: "listen", value: "url", about: `where to listen (default ${CENTER_ENDPOINT})` },
    { name: "log", value: "level", about: "debug, info, warn or error (default info)" },
  ],
  notes: [
    "It runs until it is interrupted, and logs to stderr. What it lists is in its",
    "memory; when it has been restarted, servers register again by themselves.",
    "",
    "  erpc center --listen tcp://127.0.0.1:0    takes any free port",
  ],
  async run(args, io) {
    const logger = lineLogger(levelOf(args.get("log") ?? "info"), io);
    const center = new Center({ logger });
    await center.listen(args.get("listen")).catch(misuse);
    // Not before: a center that listens nowhere holds nothing, and would only log that it is closed.
    await using _closing = center;
    await untilStopped(io.signal);
    return 0;
  },
};

function levelOf(text: string): Level {
  const level = LEVELS.find((level) => level === text);
  if (level !== undefined) return level;
  const meant = suggest(text, LEVELS);
  throw new UsageError(
    `Cannot log at level "${text}": there are ${LEVELS.join(", ")}` + (meant ? `; did you mean "${meant}"?` : ""),
  );
}
