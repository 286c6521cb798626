/** Contenders that do the same work take turns, round by round, and are compared with one of them: the yardstick. */
import process from "node:process";
import { answerQuestions, type Child } from "./child.ts";
import { drive, type Load, type Measured, median } from "./load.ts";
import type { Column, Row, RunOptions } from "./section.ts";

/** What a process has used up since it began. */
export interface Used {
  /** Time on all cores, in microseconds. */
  readonly cpuUs: number;
  /** Writes to sockets. */
  readonly writes: number;
}

/** One way to do the work. Its client answers loads with what it measured, its servers what they have used up. */
export interface Contender {
  readonly system: string;
  readonly client: Child;
  readonly servers: readonly Child[];
}

/** What one contender did in one round. */
interface Round extends Measured {
  readonly client: Used;
  readonly server: Used;
}

/** The columns of a contest. `what` is what is counted. */
export function columnsOf(what: string, yardstick: string): Column[] {
  return [
    { key: "inFlight", title: "in flight" },
    { key: "system", title: "system" },
    { key: "callsPerSecond", title: `${what}/s` },
    { key: "minCallsPerSecond", upTo: "maxCallsPerSecond", title: "min–max" },
    { key: "ratio", title: `× ${yardstick}`, digits: 2 },
    { key: "minRatio", upTo: "maxRatio", title: "min–max", digits: 2 },
    { key: "p50Us", title: "p50 µs" },
    { key: "p99Us", title: "p99 µs" },
    { key: "clientCpuUs", title: "client CPU µs", digits: 2 },
    { key: "serverCpuUs", title: "server CPU µs", digits: 2 },
    { key: "clientWrites", title: "client writes", digits: 3 },
    { key: "serverWrites", title: "server writes", digits: 3 },
  ];
}

/** Has all contenders do the work under each load. */
export async function contest(
  contenders: readonly Contender[],
  { inFlight, yardstick }: { inFlight: readonly number[]; yardstick: string },
  options: RunOptions,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const load of inFlight) {
    const rounds = contenders.map((): Round[] => []);
    for (const contender of contenders) await oneRound(contender, { inFlight: load, ms: options.warmupMs });
    for (let round = 0; round < options.rounds; round++) {
      for (const [n, contender] of contenders.entries()) {
        rounds[n].push(await oneRound(contender, { inFlight: load, ms: options.ms }));
      }
    }
    const against = rounds[contenders.findIndex(({ system }) => system === yardstick)];
    contenders.forEach(({ system }, n) => rows.push(rowOf(load, system, rounds[n], against)));
  }
  return rows;
}

/** A client's end: calls under the loads that it is given. `writes` says how many writes were made so far. */
export async function callAway(call: () => Promise<unknown>, writes: () => number): Promise<void> {
  await measureAway((load) => drive(call, load), writes);
}

/** A client's end that measures in a way of its own. */
export async function measureAway(measure: (load: Load) => Promise<Measured>, writes: () => number): Promise<void> {
  await answerQuestions("ready", async (load) => {
    const before = used(writes());
    const measured = await measure(load as Load);
    return { ...measured, ...since(before, used(writes())) };
  });
}

/** A server's end: says where it listens, and from then on what it has used up. */
export async function serveAway(hello: string, writes: () => number): Promise<void> {
  await answerQuestions(hello, () => used(writes()));
}

function used(writes: number): Used {
  const { user, system } = process.cpuUsage();
  return { cpuUs: user + system, writes };
}

function since(before: Used, now: Used): Used {
  return { cpuUs: now.cpuUs - before.cpuUs, writes: now.writes - before.writes };
}

async function usedBy(servers: readonly Child[]): Promise<Used> {
  let all: Used = { cpuUs: 0, writes: 0 };
  for (const server of servers) {
    const { cpuUs, writes } = await server.ask("used") as Used;
    all = { cpuUs: all.cpuUs + cpuUs, writes: all.writes + writes };
  }
  return all;
}

async function oneRound({ client, servers }: Contender, load: Load): Promise<Round> {
  const before = await usedBy(servers);
  const measured = await client.ask(load) as Measured & Used;
  return { ...measured, client: measured, server: since(before, await usedBy(servers)) };
}

function rowOf(inFlight: number, system: string, rounds: readonly Round[], yardstick: readonly Round[]): Row {
  const rates = rounds.map(rateOf);
  const ratios = rates.map((rate, n) => rate / rateOf(yardstick[n]));
  const perCall = (value: (round: Round) => number) => median(rounds.map((round) => value(round) / round.calls));
  return {
    inFlight,
    system,
    callsPerSecond: median(rates),
    minCallsPerSecond: Math.min(...rates),
    maxCallsPerSecond: Math.max(...rates),
    ratio: median(ratios),
    minRatio: Math.min(...ratios),
    maxRatio: Math.max(...ratios),
    p50Us: median(rounds.map((round) => round.p50Us)),
    p99Us: median(rounds.map((round) => round.p99Us)),
    clientCpuUs: perCall((round) => round.client.cpuUs),
    serverCpuUs: perCall((round) => round.server.cpuUs),
    clientWrites: perCall((round) => round.client.writes),
    serverWrites: perCall((round) => round.server.writes),
  };
}

function rateOf({ calls, ms }: Round): number {
  return calls / ms * 1_000;
}
