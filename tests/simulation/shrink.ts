/** Makes a failure smaller: fewer faults, nodes and calls, as long as the same invariant is broken. */
import { type Config, configOf, type Overrides } from "./config.ts";
import { type Outcome, run } from "./run.ts";

/** What a failure was made smaller to. */
export interface Shrunk {
  readonly overrides: Overrides;
  readonly outcome: Outcome;
  /** How many runs it took. */
  readonly runs: number;
}

/** The most runs that are spent on one failure. */
const MAX_RUNS = 60;

/** Looks for the smallest run of a seed that breaks the same invariant. */
export async function shrink(failed: Outcome, overrides: Overrides): Promise<Shrunk> {
  const { seed } = failed.config;
  const [{ invariant }] = failed.problems;
  let best: Shrunk = { overrides, outcome: failed, runs: 0 };
  let runs = 0;
  const attempt = async (changed: Overrides): Promise<boolean> => {
    if (runs >= MAX_RUNS) return false;
    runs++;
    const outcome = await run(configOf(seed, changed));
    if (!outcome.problems.some((problem) => problem.invariant === invariant)) return false;
    best = { overrides: changed, outcome, runs };
    return true;
  };
  for (let smaller = true; smaller && runs < MAX_RUNS;) {
    smaller = false;
    for (const candidate of candidates(best.outcome.config, best.overrides)) {
      if (await attempt(candidate)) {
        smaller = true;
        break;
      }
    }
  }
  return { ...best, runs };
}

/** What can be tried next, that which saves most first. */
function* candidates(config: Config, overrides: Overrides): Generator<Overrides> {
  const { without = [] } = overrides;
  for (const fault of config.faults) yield { ...overrides, without: [...without, fault] };
  for (const [name, least] of [["clients", 1], ["servers", 1], ["centers", 0], ["ops", 1]] as const) {
    const count = config[name];
    for (const fewer of new Set([least, count >> 1, count - 1])) {
      if (fewer < count && fewer >= least) yield { ...overrides, [name]: fewer };
    }
  }
  if (config.safetyMs > 2_000) yield { ...overrides, safetyMs: config.safetyMs >> 1 };
}

/** What one types to see a failure again. */
export function replayCommand(seed: number, overrides: Overrides): string {
  const said = Object.entries(overrides).flatMap(([name, value]) =>
    Array.isArray(value) ? (value.length > 0 ? [`--${name} ${value.join(",")}`] : []) : [`--${name} ${value}`]
  );
  return ["deno task simulate", `--seed ${seed}`, ...said].join(" ");
}
