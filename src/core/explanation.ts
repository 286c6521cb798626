import type { Code } from "./code.ts";
import type { Executed } from "./error.ts";

/** One attempt at a call, and how it failed. */
export interface Attempt {
  /** Where it was sent, or `undefined` when nobody was found. */
  readonly endpoint: string | undefined;
  /** What kept it from being sent at all: `breaker`, or the name of another interceptor's doing; mostly `undefined`. */
  readonly stoppedBy: string | undefined;
  /** Whether it was sent beside an attempt that was still under way. */
  readonly hedge: boolean;
  /** Whether it was put on its way. */
  readonly sent: boolean;
  /** How long it took to be put on its way, or to be given up before that, in milliseconds. */
  readonly queuedMs: number;
  /** How long an answer was waited for after that, in milliseconds. */
  readonly waitedMs: number;
  /** When it ended, in milliseconds since the call began. */
  readonly endedMs: number;
  /** How it failed. */
  readonly code: Code;
  /** Whether a handler ran. */
  readonly executed: Executed;
  /** What was said about it. */
  readonly message: string;
}

/** Why a call failed: what the client knew, and what it tried. */
export interface Explanation {
  /** What was called. */
  readonly procedure: string;
  /** How many instances were known. */
  readonly resolved: number;
  /** How many of them were ejected, and left out for it, because they had failed too many calls. */
  readonly ejected?: number;
  /** How many of them could not be reached. */
  readonly unreachable?: number;
  /** The name of the routing rule that left none of them. */
  readonly rule?: string;
  /** What was tried, in order; the last is what the error says. */
  readonly attempts: readonly Attempt[];
  /** How long it took from the call to the failure, in milliseconds. */
  readonly totalMs: number;
}

/** An explanation in one paragraph, for people. */
export function explain({ procedure, resolved, ejected, unreachable, rule, attempts, totalMs }: Explanation): string {
  const instances = resolved === 1 ? "one instance" : `${resolved} instances`;
  const out = [ejected ? `${ejected} ejected` : "", unreachable ? `${unreachable} unreachable` : ""];
  const left = out.some((text) => text !== "") ? ` (${out.filter((text) => text !== "").join(", ")})` : "";
  const ruled = rule === undefined ? "" : `, of which routing rule "${rule}" left none`;
  const tried = attempts.map((attempt, index) => {
    const { stoppedBy } = attempt;
    const where = stoppedBy === undefined ? attempt.endpoint ?? "no endpoint" : `stopped by the ${stoppedBy}`;
    const time = attempt.sent
      ? `queued ${Math.round(attempt.queuedMs)} ms, waited ${Math.round(attempt.waitedMs)} ms`
      : `not sent in ${Math.round(attempt.queuedMs)} ms`;
    return `${index + 1}. ${where} (${
      attempt.hedge ? "hedge, " : ""
    }${time}): ${attempt.code}, executed: ${attempt.executed}`;
  });
  return `"${procedure}" failed after ${Math.round(totalMs)} ms with ${instances} known${left}${ruled}; tried ${
    tried.join("; ")
  }`;
}
