/**
 * A center and three servers, each a process of its own, count the words of what `deno types` prints, line by line. Halfway
 * one of them is killed, and a fourth takes its place. No call may fail, and the sum must be right.
 *
 *     deno task demo
 *
 * The same on a store: two centers stand before it, and some of the servers use it themselves.
 *
 *     deno task demo:etcd
 *     deno task demo:redis
 *     deno task demo:zookeeper
 */
import { Client } from "@erpc/erpc";
import { countWords, findLines, Text } from "./demo/contract.ts";
import { start } from "./demo/process.ts";
import { obstacleTo } from "./demo/stores.ts";

const IN_FLIGHT = 64;
const ROUNDS = 3;
const PATTERN = "AbortSignal";

const [storeName] = Deno.args;
const obstacle = storeName === undefined ? undefined : obstacleTo(storeName);
if (obstacle !== undefined) {
  console.error(`Cannot run the demo on ${storeName}: ${obstacle}`);
  Deno.exit(1);
}

// Should this process be stopped or killed, they end by themselves.
await using children = new AsyncDisposableStack();
const store = storeName === undefined ? undefined : await start(children, "store.ts", storeName);
const centerArgs = store === undefined ? [] : [store.endpoint];
const centers = [await start(children, "center.ts", ...centerArgs)];
if (store !== undefined) centers.push(await start(children, "center.ts", ...centerArgs));
const [first, last] = [centers[0].endpoint, centers.at(-1)!.endpoint];
const itself = store?.endpoint ?? first;
const join = (where: string, name: string) => start(children, "server.ts", where, name);
const [, ben] = await Promise.all([join(first, "ada"), join(last, "ben"), join(itself, "cyd")]);
if (store === undefined) {
  console.log(`A center on ${first} and the servers ada, ben and cyd, each a process of its own`);
} else {
  console.log(`Centers on ${first} and ${last} before ${store.endpoint}, each a process of its own;`);
  console.log("the servers ada and ben are registered with a center each, cyd and later dan in the store itself");
}

const types = await new Deno.Command(Deno.execPath(), { args: ["types"], stderr: "inherit" }).output();
if (!types.success) throw new Error(`Cannot get a text to count: \`deno types\` ended with code ${types.code}`);
const text = new TextDecoder().decode(types.stdout);
const lines = text.split("\n");
const work = Array.from({ length: ROUNDS }, () => lines).flat();
console.log(`Every line that \`deno types\` prints, ${ROUNDS} times, ${IN_FLIGHT} calls in flight`);

await using client = new Client({ center: centers.map(({ endpoint }) => endpoint) });
const service = client.service(Text);

const calls = new Map<string, number>();
const failures: unknown[] = [];
let words = 0;
let done = 0;
const terminal = Deno.stdout.isTerminal();

async function countAll(lines: readonly string[]): Promise<void> {
  const queue = lines.values();
  const worker = async () => {
    for (const text of queue) {
      try {
        const reply = await service.count({ text });
        words += reply.words;
        calls.set(reply.by, (calls.get(reply.by) ?? 0) + 1);
      } catch (error) {
        failures.push(error);
      }
      if (++done % 500 === 0) progress(`${number(done)} of ${number(work.length)} calls`);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
}

async function countHits(): Promise<number> {
  let hits = 0;
  try {
    for await (const _ of service.search({ text, pattern: PATTERN })) hits++;
  } catch (error) {
    failures.push(error);
  }
  return hits;
}

const started = performance.now();
const [half, threeQuarters] = [Math.ceil(work.length / 2), Math.ceil(work.length * 3 / 4)];
await countAll(work.slice(0, half));

const more = countAll(work.slice(half, threeQuarters));
ben.process.kill("SIGKILL");
const [hits] = await Promise.all([countHits(), more, join(itself, "dan")]);

await countAll(work.slice(threeQuarters));
const seconds = (performance.now() - started) / 1_000;
progress("");

const expected = { words: countWords(text) * ROUNDS, hits: [...findLines(text, PATTERN)].length };
const remarks = new Map([["ben", "killed when half of the calls were done"], ["dan", "started after that"]]);

console.log();
row("server", "calls");
for (const name of ["ada", "ben", "cyd", "dan"]) row(name, number(calls.get(name) ?? 0), remarks.get(name));
console.log();
row("calls", number(done), `in ${seconds.toFixed(2)} s: ${number(done / seconds)} per second`);
row("tried again", number(client.stats().counters.callsRetried), "on another server");
row("failures", number(failures.length));
row("words", number(words), `${number(expected.words)} counted here`);
row("search hits", number(hits), `${number(expected.hits)} found here`);

if (failures.length > 0 || words !== expected.words || hits !== expected.hits) {
  console.error("\nFailed: a call failed, or a sum is wrong", ...failures.slice(0, 3));
  Deno.exitCode = 1;
}

function row(label: string, value: string, remark = ""): void {
  console.log(`${label.padEnd(12)}${value.padStart(10)}   ${remark}`.trimEnd());
}

function number(value: number): string {
  return Math.round(value).toLocaleString("en");
}

/** One line that is written over, on a terminal alone. */
function progress(line: string): void {
  if (terminal) Deno.stdout.writeSync(new TextEncoder().encode(`\r\x1b[K${line}`));
}
