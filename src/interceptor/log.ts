/** A line for each call. */
import type { Call, Interceptor } from "../core/call.ts";
import type { Code } from "../core/code.ts";
import { RpcError } from "../core/error.ts";
import type { Logger } from "../core/logger.ts";
import { checkNames, checkNumber, type OptionNames } from "../core/options.ts";
import { type Platform, runtimePlatform } from "../core/platform.ts";
import { untilEnd } from "./ending.ts";

/** What is logged, and where to. */
export interface LogOptions {
  /** Where to. */
  logger: Logger;
  /** How many lines a second at most, 0.01 to 1 000 000; twice that in a burst. Default 100. */
  maxPerSecond?: number;
  /** Time. Default: the runtime's. */
  platform?: Platform;
}

const LOG_OPTIONS: OptionNames<LogOptions> = { logger: true, maxPerSecond: true, platform: true };

/** What {@link log} puts beside the text of a line. */
export interface CallLine {
  /** What was called. */
  readonly procedure: string;
  /** Whether it was made here or answered here. */
  readonly side: "client" | "server";
  /** How it ended. */
  readonly code: Code | "ok";
  /** How long it took, to its last message, in milliseconds. */
  readonly ms: number;
  /** Where it was sent to, or came from. */
  readonly peer: string | undefined;
  /** How many attempts came before. */
  readonly attempt: number;
  /** How many calls led to it. */
  readonly hop: number;
  /** The trace that it belongs to. */
  readonly traceId: string | undefined;
  /** How it failed. */
  readonly message: string | undefined;
  /** How many lines were left out since the last one. */
  readonly skipped: number;
}

/**
 * Logs one line when a call is over, on the client or on the server: at `info` when it went well, at `warn` when it failed.
 * The second argument of the logger's function is a {@link CallLine}. Beyond `maxPerSecond` lines are left out, and the next
 * one says how many.
 *
 * @throws {TypeError} without a logger
 * @throws {RangeError} when `maxPerSecond` is out of range
 */
export function log(options: LogOptions): Interceptor {
  const { logger, maxPerSecond = 100, platform = runtimePlatform } = checkNames(options, LOG_OPTIONS);
  if (typeof logger?.info !== "function") throw new TypeError("Cannot log calls: give a logger");
  checkNumber("maxPerSecond", maxPerSecond, 0.01, 1_000_000);
  const { clock } = platform;
  const burst = Math.max(1, 2 * maxPerSecond);
  let tokens = burst;
  let filledAt = clock.now();
  let skipped = 0;

  const write = (call: Call, startedAt: number, failure: unknown) => {
    const now = clock.now();
    tokens = Math.min(burst, tokens + (now - filledAt) / 1_000 * maxPerSecond);
    filledAt = now;
    if (tokens < 1) {
      skipped++;
      return;
    }
    tokens--;
    const line = describe(call, now - startedAt, failure, skipped);
    skipped = 0;
    const text = `${readable(line.procedure)}: ${line.code} in ${Math.round(line.ms)} ms`;
    if (failure === undefined) logger.info(text, line);
    else logger.warn(text, line);
  };

  return (next) => (call) => {
    const startedAt = clock.now();
    return untilEnd(next, call, (failure) => write(call, startedAt, failure));
  };
}

/** A procedure for a line of text. On a server it may be anything that a peer writes, also what moves the cursor of a terminal. */
function readable(procedure: string): string {
  return READABLE.test(procedure) ? procedure : JSON.stringify(procedure.slice(0, MAX_UNREADABLE));
}

const READABLE = /^[\w./-]{1,401}$/;
const MAX_UNREADABLE = 100;

function describe(call: Call, ms: number, failure: unknown, skipped: number): CallLine {
  const known = failure instanceof RpcError;
  return {
    procedure: call.procedure,
    side: call.context === undefined ? "client" : "server",
    code: failure === undefined ? "ok" : known ? failure.code : "internal",
    ms,
    peer: call.context === undefined ? call.endpoint : call.context.peer.endpoint,
    attempt: call.attempt,
    hop: call.hop,
    traceId: call.trace?.traceId,
    // What a handler threw may hold what its callers must not see; the server's logger has it anyway.
    message: known ? failure.message : undefined,
    skipped,
  };
}
