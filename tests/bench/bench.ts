/**
 * The bench: what calls cost, beside the least that they could cost on the same machine in the same minute.
 *
 *     deno task bench [--quick] [--json] [--seconds N] [--only section,…] [--svg file] [section…]
 *
 * Contenders run in processes of their own, take turns, and are compared round by round.
 */
import { Child } from "./child.ts";
import { textOf } from "./report.ts";
import type { RunOptions, Section, Table } from "./section.ts";
import { allocationSection } from "./allocation.ts";
import { centerSection } from "./center.ts";
import { discoverySection } from "./discovery.ts";
import { featuresSection } from "./features.ts";
import { idleSection } from "./idle.ts";
import { overloadSection, refusalSection } from "./overload.ts";
import { peersSection } from "./peers.ts";
import { picksSection } from "./picks.ts";
import { plot } from "./plot.ts";
import { startSection } from "./start.ts";
import { storesSection } from "./stores.ts";
import { streamsSection } from "./streams.ts";
import { unarySection } from "./unary.ts";

const SECTIONS: readonly Section[] = [
  unarySection,
  featuresSection,
  discoverySection,
  centerSection,
  streamsSection,
  allocationSection,
  idleSection,
  picksSection,
  startSection,
  storesSection,
  overloadSection,
  refusalSection,
  peersSection,
];

const CAVEAT =
  "Both ends on one machine, over loopback: only ratios from the same run mean anything, absolute numbers don't.";
const USAGE = "deno task bench [--quick] [--json] [--seconds N] [--only section,…] [--svg file] [section…]";
/** How many calls are in flight in the picture. */
const PLOTTED_IN_FLIGHT = 64;

const QUICK: RunOptions = { warmupMs: 150, ms: 100, rounds: 2 };
const ROUNDS = 5;

interface Flags {
  readonly options: RunOptions;
  readonly json: boolean;
  readonly sections: readonly Section[];
  /** Where the picture goes, if one is wanted. */
  readonly svg: string | undefined;
}

function flagsOf(args: readonly string[]): Flags {
  let options: RunOptions = { warmupMs: 1_000, ms: 1_000, rounds: ROUNDS };
  let json = false;
  let sections = SECTIONS;
  let svg: string | undefined;
  const named: Section[] = [];
  for (let n = 0; n < args.length; n++) {
    const [flag, joined] = args[n].split("=", 2);
    const value = () => joined ?? args[++n] ?? "";
    if (flag === "--quick") options = QUICK;
    else if (flag === "--json") json = true;
    else if (flag === "--seconds") options = { ...options, ms: milliseconds(value()) };
    else if (flag === "--svg") svg = value();
    else if (flag === "--only") sections = value().split(",").map(sectionOf);
    else if (!flag.startsWith("-")) named.push(sectionOf(flag));
    else throw new TypeError(`Cannot take "${args[n]}": ${USAGE}`);
  }
  if (named.length > 0) sections = named;
  return { options, json, sections, svg };
}

function milliseconds(seconds: string): number {
  const ms = Number(seconds) * 1_000;
  if (ms > 0 && ms <= 3_600_000) return ms;
  throw new RangeError(`Cannot measure for "${seconds}" seconds: it must be over 0 and at most 3600`);
}

function sectionOf(name: string): Section {
  const section = SECTIONS.find((section) => section.name === name);
  if (section !== undefined) return section;
  throw new TypeError(`There is no section "${name}": there are ${SECTIONS.map(({ name }) => name).join(", ")}`);
}

async function playRole(name: string, role: string, args: readonly string[]): Promise<void> {
  const { roles } = sectionOf(name);
  if (!Object.hasOwn(roles, role)) throw new TypeError(`There is no role "${role}" in section "${name}"`);
  await roles[role](...args);
}

async function main({ options, json, sections, svg }: Flags): Promise<void> {
  const versions = { deno: Deno.version.deno, v8: Deno.version.v8, os: Deno.build.os, arch: Deno.build.arch };
  const machine = { ...versions, cores: navigator.hardwareConcurrency };
  if (!json) {
    console.log(CAVEAT);
    console.log(
      `Deno ${machine.deno}, V8 ${machine.v8}, ${machine.os} ${machine.arch}, ${machine.cores} cores; ` +
        `${options.rounds} rounds of ${options.ms} ms each, after ${options.warmupMs} ms of warm-up; medians`,
    );
  }
  const tables: (Table & { section: string })[] = [];
  for (const section of sections) {
    const table = await section.run(
      options,
      (role, ...args) => {
        const flags = section.v8Flags === undefined ? [] : [`--v8-flags=${section.v8Flags.join(",")}`];
        return Child.start(Deno.execPath(), [
          "run",
          "-A",
          ...flags,
          import.meta.url,
          "role",
          section.name,
          role,
          ...args,
        ]);
      },
    );
    tables.push({ section: section.name, ...table });
    if (!json) console.log(`\n${textOf(table)}`);
  }
  if (svg !== undefined) await Deno.writeTextFile(svg, picture(tables, machine));
  if (json) console.log(JSON.stringify({ caveat: CAVEAT, machine, options, tables }, null, 2));
}

/** The floor of one section beside the systems of the other, each as measured beside ours. */
function picture(tables: readonly (Table & { section: string })[], machine: { deno: string; cores: number }): string {
  const rowsOf = (name: string) =>
    tables.find(({ section }) => section === name)?.rows.filter(({ inFlight }) => inFlight === PLOTTED_IN_FLIGHT) ?? [];
  const peers = rowsOf("peers");
  const rows = [...rowsOf("unary").filter(({ system }) => peers.length === 0 || system === "floor"), ...peers];
  if (rows.length === 0) throw new TypeError("Cannot draw: neither section unary nor section peers was run");
  return plot(
    `Small unary calls per second, ${PLOTTED_IN_FLIGHT} in flight on one connection`,
    `Deno ${machine.deno}, loopback, ${machine.cores} shared cores; "floor" is a bare socket without any feature`,
    rows,
  );
}

if (import.meta.main) {
  const [first, name, role, ...rest] = Deno.args;
  if (first === "role") await playRole(name, role, rest);
  else await main(flagsOf(Deno.args));
}
