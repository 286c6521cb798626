import { RpcError } from "../core/error.ts";
import type { Logger } from "../core/logger.ts";
import type { Io } from "./io.ts";
import { printable, styled, timestamp } from "./text.ts";

/** How much is told, the most first. */
export const LEVELS = ["debug", "info", "warn", "error"] as const;

/** How grave a line is. */
export type Level = typeof LEVELS[number];

const STYLE = { debug: "gray", info: "green", warn: "yellow", error: "red" } as const;

/** A logger that writes lines with time and level to standard error. */
export function lineLogger(least: Level, io: Io): Logger {
  const log = (level: Level) => {
    if (LEVELS.indexOf(level) < LEVELS.indexOf(least)) return () => {};
    const label = styled(STYLE[level], level.padEnd(5), io);
    return (message: string, ...details: unknown[]) => {
      const text = [printable(message), ...details.map((detail) => describe(detail, least))].join(" ");
      return io.stderr(`${timestamp()} ${label} ${text}\n`);
    };
  };
  return { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
}

function describe(detail: unknown, least: Level): string {
  if (detail instanceof RpcError) return printable(`${detail.code}: ${detail.message}`);
  if (!(detail instanceof Error)) return printable(Deno.inspect(detail, { breakLength: Infinity, depth: 4 }));
  // A stack has lines of its own, so it is only for those who want everything.
  return least === "debug" && detail.stack !== undefined
    ? detail.stack
    : printable(`${detail.name}: ${detail.message}`);
}
