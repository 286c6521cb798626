/**
 * Plants bugs, one after the other, in a copy of `src/`, and counts the seeds that the simulator needs to find each:
 * `deno task mutants`, or with names to try only those. A simulator that finds nothing is unproven.
 *
 * A mutant is a file in `mutants/`: what it does, where, what stands there, and what stands there instead.
 */

/** A bug to be planted. */
export interface Mutant {
  readonly name: string;
  /** What it does, in words. */
  readonly what: string;
  readonly changes: readonly Change[];
}

interface Change {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** How a mutant fared. */
export interface Found {
  readonly seeds: number;
  readonly invariant: string;
  readonly seen: string;
}

const ROOT = new URL("../../", import.meta.url);
const FOLDER = new URL("mutants/", import.meta.url);
/** In so many seeds each must be found. */
export const MOST_SEEDS = 500;
/** What the copy holds. */
const COPIED = ["mod.ts", "deno.json", "src", "tests/simulation", "tests/support"];

/** All mutants, in the order of their names. */
export function readMutants(): Mutant[] {
  const names = [...Deno.readDirSync(FOLDER)].map((entry) => entry.name).filter((name) => name.endsWith(".txt")).sort();
  return names.map((name) => parseMutant(name.slice(0, -4), Deno.readTextFileSync(new URL(name, FOLDER))));
}

/** @throws {TypeError} when it is not written as it should be */
export function parseMutant(name: string, text: string): Mutant {
  const [what, ...parts] = text.split(/^=== (.*)\n/m);
  const changes: Change[] = [];
  for (let i = 0; i + 1 < parts.length; i += 2) {
    const [from, to, ...more] = parts[i + 1].split(/^---\n/m);
    if (to === undefined || more.length > 0) {
      throw new TypeError(`Cannot read mutant "${name}": one --- in each change`);
    }
    changes.push({ file: parts[i].trim(), from: from.replace(/\n$/, ""), to: to.replace(/\n$/, "") });
  }
  if (changes.length === 0) throw new TypeError(`Cannot read mutant "${name}": it changes nothing`);
  return { name, what: what.trim().replaceAll("\n", " "), changes };
}

/** A text with a mutant's change in it. @throws {TypeError} when what it replaces does not stand there exactly once */
export function plant(text: string, { file, from, to }: Change, name: string): string {
  const parts = text.split(from);
  if (parts.length !== 2) {
    throw new TypeError(`Cannot plant "${name}" in ${file}: what it replaces stands there ${parts.length - 1} times`);
  }
  return parts.join(to);
}

/** Runs the simulator on a copy of the project with a bug in it. */
export async function hunt(mutant: Mutant, seeds = MOST_SEEDS): Promise<Found | undefined> {
  const copy = await Deno.makeTempDir({ prefix: "erpc-mutant-" });
  try {
    for (const path of COPIED) await copyTree(new URL(path, ROOT), `${copy}/${path}`);
    for (const change of mutant.changes) {
      const path = `${copy}/${change.file}`;
      await Deno.writeTextFile(path, plant(await Deno.readTextFile(path), change, mutant.name));
    }
    const { stdout, stderr, code } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--no-check",
        "--quiet",
        "tests/simulation/main.ts",
        "--seeds",
        `${seeds}`,
        "--once",
        "--first",
      ],
      cwd: copy,
      env: { NO_COLOR: "1" },
    }).output();
    const line = new TextDecoder().decode(stdout).split("\n").find((line) => line.startsWith("{"));
    if (line !== undefined) return JSON.parse(line);
    if (code !== 0) throw new Error(`"${mutant.name}" can't be run: ${new TextDecoder().decode(stderr)}`);
    return undefined;
  } finally {
    await Deno.remove(copy, { recursive: true });
  }
}

async function copyTree(from: URL, to: string): Promise<void> {
  if ((await Deno.stat(from)).isFile) {
    await Deno.mkdir(to.slice(0, to.lastIndexOf("/")), { recursive: true });
    return await Deno.copyFile(from, to);
  }
  await Deno.mkdir(to, { recursive: true });
  for await (const { name } of Deno.readDir(from)) await copyTree(new URL(`${from.href}/${name}`), `${to}/${name}`);
}

if (import.meta.main) {
  const asked = new Set(Deno.args);
  const mutants = readMutants().filter(({ name }) => asked.size === 0 || asked.has(name));
  const rows = new Map<string, string>();
  let [at, missed] = [0, 0];
  const work = async () => {
    for (let mutant; (mutant = mutants[at++]) !== undefined;) {
      const found = await hunt(mutant);
      if (found === undefined) missed++;
      const outcome = found === undefined ? `not in ${MOST_SEEDS}` : `${found.seeds}`;
      rows.set(mutant.name, `| ${mutant.name} | ${mutant.what} | ${outcome} | ${found?.invariant ?? ""} |`);
      console.error(`${mutant.name}: ${outcome}${found === undefined ? "" : `, ${found.invariant}: ${found.seen}`}`);
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, navigator.hardwareConcurrency) }, work));
  console.log("| bug | what it does | seeds needed | found by |\n| --- | --- | ---: | --- |");
  for (const { name } of mutants) console.log(rows.get(name));
  console.log(`\n${mutants.length - missed} of ${mutants.length} found`);
  if (missed > 0) Deno.exit(1);
}
