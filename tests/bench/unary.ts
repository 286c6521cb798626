/** Small unary calls, `{ name }` → `{ msg }` in JSON, on one connection, beside the bare floor. */
import process from "node:process";
import { Client, Server, service, unary } from "../../mod.ts";
import { answerQuestions, type Child } from "./child.ts";
import { FloorClient, FloorServer } from "./floor.ts";
import { drive, type Load, type Measured, median } from "./load.ts";
import type { Row, RunOptions, Section } from "./section.ts";

const IN_FLIGHT = [1, 64, 256];

const Greeter = service("bench.Greeter", {
  hello: unary<{ name: string }, { msg: string }>(),
});
const REQUEST = { name: "world" };

/** What a process has used up since it began. */
interface Used {
  /** Time on all cores, in microseconds. */
  readonly cpuUs: number;
  /** Writes to sockets. */
  readonly writes: number;
}

async function serveErpc(): Promise<void> {
  await using server = new Server();
  server.handle(Greeter, { hello: ({ name }) => ({ msg: `hello ${name}` }) });
  await server.listen("tcp://127.0.0.1:0");
  await answerQuestions(server.endpoint, () => used(server.stats().counters.writes));
}

async function callErpc(endpoint: string): Promise<void> {
  await using client = new Client({ endpoints: [endpoint] });
  const greeter = client.service(Greeter);
  await callAway(() => greeter.hello(REQUEST), () => client.stats().counters.writes);
}

async function serveFloor(): Promise<void> {
  const server = new FloorServer((request) => ({ msg: `hello ${(request as { name: string }).name}` }));
  await answerQuestions(String(server.port), () => used(server.writes));
  server.close();
}

async function callFloor(port: string): Promise<void> {
  const client = await FloorClient.connect(Number(port));
  await callAway(() => client.call(REQUEST), () => client.writes);
  await client.close();
}

async function callAway(call: () => Promise<unknown>, writes: () => number): Promise<void> {
  const reply = JSON.stringify(await call());
  if (reply !== '{"msg":"hello world"}') throw new Error(`Cannot measure: the reply was ${reply}`);
  await answerQuestions("ready", async (load) => {
    const before = used(writes());
    const measured = await drive(call, load as Load);
    return { ...measured, ...since(before, used(writes())) };
  });
}

function used(writes: number): Used {
  const { user, system } = process.cpuUsage();
  return { cpuUs: user + system, writes };
}

function since(before: Used, now: Used): Used {
  return { cpuUs: now.cpuUs - before.cpuUs, writes: now.writes - before.writes };
}

/** One way to make the calls, with a process at both ends. */
interface Contender {
  readonly system: string;
  readonly client: Child;
  readonly server: Child;
}

/** What one contender did in one round. */
interface Round extends Measured {
  readonly client: Used;
  readonly server: Used;
}

async function oneRound({ client, server }: Contender, load: Load): Promise<Round> {
  const before = await server.ask("used") as Used;
  const measured = await client.ask(load) as Measured & Used;
  const after = await server.ask("used") as Used;
  return { ...measured, client: measured, server: since(before, after) };
}

function rowOf(inFlight: number, system: string, rounds: readonly Round[], floor: readonly Round[]): Row {
  const rates = rounds.map(rateOf);
  const ratios = rates.map((rate, n) => rate / rateOf(floor[n]));
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

async function run(options: RunOptions, start: (role: string, ...args: string[]) => Promise<Child>) {
  await using stack = new AsyncDisposableStack();
  const enter = async (system: string): Promise<Contender> => {
    const server = stack.use(await start(`serve ${system}`));
    const client = stack.use(await start(`call ${system}`, server.hello as string));
    return { system, client, server };
  };
  const contenders = [await enter("erpc"), await enter("floor")];
  const rows: Row[] = [];
  for (const inFlight of IN_FLIGHT) {
    const rounds = contenders.map((): Round[] => []);
    for (const contender of contenders) await oneRound(contender, { inFlight, ms: options.warmupMs });
    for (let round = 0; round < options.rounds; round++) {
      for (const [n, contender] of contenders.entries()) {
        rounds[n].push(await oneRound(contender, { inFlight, ms: options.ms }));
      }
    }
    contenders.forEach(({ system }, n) => rows.push(rowOf(inFlight, system, rounds[n], rounds[1])));
  }
  return {
    title: "Unary calls, { name } → { msg } in JSON, on one connection",
    columns: [
      { key: "inFlight", title: "in flight" },
      { key: "system", title: "system" },
      { key: "callsPerSecond", title: "calls/s" },
      { key: "minCallsPerSecond", upTo: "maxCallsPerSecond", title: "min–max" },
      { key: "ratio", title: "× floor", digits: 2 },
      { key: "minRatio", upTo: "maxRatio", title: "min–max", digits: 2 },
      { key: "p50Us", title: "p50 µs" },
      { key: "p99Us", title: "p99 µs" },
      { key: "clientCpuUs", title: "client CPU µs", digits: 2 },
      { key: "serverCpuUs", title: "server CPU µs", digits: 2 },
      { key: "clientWrites", title: "client writes", digits: 3 },
      { key: "serverWrites", title: "server writes", digits: 3 },
    ],
    rows,
  };
}

/** Small unary calls, beside the bare floor. */
export const unarySection: Section = {
  name: "unary",
  roles: { "serve erpc": serveErpc, "call erpc": callErpc, "serve floor": serveFloor, "call floor": callFloor },
  run,
};
