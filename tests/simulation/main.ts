/**
 * Runs seeds: `deno task simulate --seeds 300 --seed 1`.
 *
 * `--seeds N` how many (default 1) · `--seed S` the first (default 1) · `--once` each once, without checking that it comes out
 * the same a second time · `--hash` prints the hash of each run · `--log` prints every event · `--history FILE` writes the records as JSON lines · `--first` stops at
 * the first failure and prints one line · `--real` runs them with processes and sockets · `--servers`, `--clients`, `--centers`, `--ops`, `--safetyMs` a number and
 * `--without a,b` some faults, otherwise than the seed says.
 */
import { configOf, type Fault, FAULTS, type Overrides } from "./config.ts";
import type { HistoryRecord } from "./history.ts";
import { runReal } from "./real/stage.ts";
import { describeFailure } from "./report.ts";
import { type Outcome, run } from "./run.ts";
import { shrink } from "./shrink.ts";

const NUMBERS = ["seeds", "seed", "servers", "clients", "centers", "ops", "safetyMs"] as const;
const SWITCHES = ["once", "hash", "log", "first", "real"] as const;

interface Asked {
  readonly numbers: Partial<Record<typeof NUMBERS[number], number>>;
  readonly switches: ReadonlySet<string>;
  readonly without: Fault[];
  readonly historyFile?: string;
}

function parse(args: readonly string[]): Asked {
  const numbers: Asked["numbers"] = {};
  const switches = new Set<string>();
  let without: Fault[] = [];
  let historyFile: string | undefined;
  for (let i = 0; i < args.length; i++) {
    const name = args[i].replace(/^--/, "");
    if (SWITCHES.includes(name as "once")) switches.add(name);
    else if (NUMBERS.includes(name as "seed")) {
      const value = Number(args[++i]);
      if (!Number.isSafeInteger(value) || value < 0) throw new TypeError(`Cannot use --${name} ${args[i]}`);
      numbers[name as "seed"] = value;
    } else if (name === "without") {
      without = args[++i].split(",") as Fault[];
      const unknown = without.find((fault) => !FAULTS.includes(fault));
      if (unknown !== undefined) throw new TypeError(`Cannot leave out "${unknown}": there are ${FAULTS.join(", ")}`);
    } else if (name === "history") historyFile = args[++i];
    else throw new TypeError(`Cannot use ${args[i]}: there is no such option`);
  }
  return { numbers, switches, without, historyFile };
}

/** Runs a seed, and again unless once is enough; a second run that differs is a problem of its own. */
async function runTwice(seed: number, overrides: Overrides, asked: Asked): Promise<Outcome> {
  const config = configOf(seed, overrides);
  const outcome = await run(config, asked.switches.has("log") ? (line) => console.log(line) : undefined);
  if (asked.switches.has("once") || outcome.problems.length > 0) return outcome;
  const { hash } = await run(config);
  if (hash === outcome.hash) return outcome;
  return {
    ...outcome,
    problems: [{ invariant: "0 determinism", seen: await firstDifference(seed, overrides), at: 0 }],
  };
}

/** Where two runs of a seed part. */
async function firstDifference(seed: number, overrides: Overrides): Promise<string> {
  const [one, other]: string[][] = [[], []];
  await run(configOf(seed, overrides), (line) => void one.push(line));
  await run(configOf(seed, overrides), (line) => void other.push(line));
  const at = one.findIndex((line, n) => line !== other[n]);
  return at === -1 ? "two runs differed, and two more did not" : `line ${at}: "${one[at]}" and "${other[at]}"`;
}

/** Runs a seed with processes, and tells how it went. */
async function runProcesses(seed: number): Promise<boolean> {
  const { problems, history, faults } = await runReal(seed);
  const calls = history.filter((record) => record.what === "settled").length;
  console.log(`seed ${seed}: ${calls} calls, ${problems.length} problems; ${JSON.stringify(faults)}`);
  for (const { invariant, seen, at } of problems) console.log(`  ${invariant}, at ${Math.round(at)}: ${seen}`);
  if (asked.historyFile !== undefined) writeHistory(asked.historyFile, history);
  return problems.length === 0;
}

function writeHistory(file: string, history: readonly HistoryRecord[]): void {
  Deno.writeTextFileSync(file, history.map((record) => JSON.stringify(record) + "\n").join(""));
}

async function commit(): Promise<string> {
  try {
    const { stdout } = await new Deno.Command("git", { args: ["rev-parse", "--short", "HEAD"], stderr: "null" })
      .output();
    return new TextDecoder().decode(stdout).trim();
  } catch {
    return "";
  }
}

const asked = parse(Deno.args);
const { seeds = 1, seed: first = 1, ...said } = asked.numbers;
const overrides: Overrides = { ...said, ...(asked.without.length > 0 ? { without: asked.without } : {}) };
if (asked.switches.has("real")) {
  let sound = true;
  for (let seed = first; seed < first + seeds; seed++) sound = await runProcesses(seed) && sound;
  Deno.exit(sound ? 0 : 1);
}
const started = performance.now();
let [virtualMs, events, failures, done] = [0, 0, 0, 0];
for (let seed = first; seed < first + seeds; seed++) {
  const outcome = await runTwice(seed, overrides, asked);
  done++;
  if (asked.switches.has("hash")) console.log(`hash ${outcome.hash}`);
  virtualMs += outcome.virtualMs;
  events += outcome.events;
  if (asked.historyFile !== undefined) writeHistory(asked.historyFile, outcome.history);
  if (outcome.problems.length === 0) continue;
  failures++;
  if (asked.switches.has("first")) {
    const [{ invariant, seen }] = outcome.problems;
    console.log(JSON.stringify({ seed, seeds: done, invariant, seen }));
    Deno.exit(1);
  }
  const small = outcome.problems[0].invariant === "0 determinism" ? undefined : await shrink(outcome, overrides);
  console.log(describeFailure(small?.outcome ?? outcome, small?.overrides ?? overrides, await commit()));
  if (small !== undefined) console.log(`(made smaller in ${small.runs} runs)\n`);
}
const seconds = (performance.now() - started) / 1_000;
const times = asked.switches.has("once") ? 1 : 2;
console.log(
  `${done} seeds, ${failures} failed, ${times === 2 ? "each run twice" : "each run once"}: ${seconds.toFixed(1)} s, ` +
    `${(done / seconds).toFixed(1)} seeds/s, ${Math.round(events / done)} events and ${
      Math.round(virtualMs / done / 1_000)
    } virtual s each, ${Math.round(virtualMs * times / 1_000 / seconds)} : 1 virtual to real`,
);
if (failures > 0) Deno.exit(1);
