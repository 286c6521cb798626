import { describeConfig, type Overrides } from "./config.ts";
import type { Outcome } from "./run.ts";
import { replayCommand } from "./shrink.ts";

const MOST_PROBLEMS = 10;

/** What people read of a failure: what broke, what the run was made of, its last events, and how to see it again. */
export function describeFailure(outcome: Outcome, overrides: Overrides, commit: string): string {
  const { config, problems, log, hash } = outcome;
  return [
    `FAILED: seed ${config.seed}${commit === "" ? "" : ` at ${commit}`}`,
    ...problems.slice(0, MOST_PROBLEMS).map(({ invariant, seen, at }) =>
      `  ${invariant}, at ${at.toFixed(3)}: ${seen}`
    ),
    ...(problems.length > MOST_PROBLEMS ? [`  and ${problems.length - MOST_PROBLEMS} more`] : []),
    "",
    describeConfig(config),
    "",
    `the last ${log.length} events (hash ${hash}):`,
    ...log.map((line) => `  ${line}`),
    "",
    `again: ${replayCommand(config.seed, overrides)}`,
  ].join("\n");
}
