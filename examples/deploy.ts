/**
 * A new version goes out while calls come in: servers are replaced one after the other, each by a process that is started before
 * the old one is told to leave. No call fails. With "kill" they are not told, but killed; then what was running on them fails,
 * unless it may run twice.
 *
 *     deno run -A examples/deploy.ts [servers] [calls a second] [seconds] [kill]
 */
import { Center, Client, type RpcError } from "@erpc/erpc";
import { start } from "./demo/process.ts";
import { Work } from "./deploy/contract.ts";

const [servers = 4, perSecond = 200, seconds = 8] = Deno.args.slice(0, 3).map(Number);
const kill = Deno.args[3] === "kill";

await using center = new Center();
await center.listen("tcp://127.0.0.1:0");
await using children = new AsyncDisposableStack();
const join = (name: string) => start(children, "../deploy/server.ts", center.endpoint, name);
let old = await Promise.all(Array.from({ length: servers }, (_, n) => join(`old-${n}`)));

await using client = new Client({ center: center.endpoint });
const work = client.service(Work);
await work.again(0);

/** What became of the calls that were made since the last line of the table. */
let calls = 0;
let tookMs: number[] = [];
let failures: RpcError[] = [];
const all = { calls: 0, once: 0, again: 0, cut: 0, firstFailure: undefined as RpcError | undefined };

async function call(n: number): Promise<void> {
  const from = performance.now();
  const again = n % 2 === 0;
  try {
    await (again ? work.again(n) : work.once(n));
  } catch (error) {
    failures.push(error as RpcError);
    all[again ? "again" : "once"]++;
    all.firstFailure ??= error as RpcError;
  }
  tookMs.push(performance.now() - from);
}

/** Makes calls at an even rate, whatever becomes of them, until so many are made. */
async function load(): Promise<void> {
  const begun = performance.now();
  const running = new Set<Promise<void>>();
  while (all.calls < perSecond * seconds) {
    const due = Math.min(perSecond * seconds, Math.floor((performance.now() - begun) * perSecond / 1_000));
    for (; all.calls < due; all.calls++, calls++) {
      const one = call(all.calls);
      running.add(one);
      void one.then(() => running.delete(one));
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(running);
}

function row(...cells: unknown[]): void {
  console.log(cells.map((cell, n) => n < 2 ? String(cell).padEnd(10) : String(cell).padStart(9)).join(""));
}

function report(replaced: string, by: string): void {
  tookMs.sort((a, b) => a - b);
  const at = (share: number) => (tookMs[Math.ceil(tookMs.length * share) - 1] ?? 0).toFixed(1);
  row(replaced, by, calls, failures.length, at(0.5), at(0.99), at(1));
  [calls, tookMs, failures] = [0, [], []];
}

row("leaves", "comes", "calls", "failed", "p50 ms", "p99 ms", "max ms");
const loading = load();
const begun = performance.now();
for (const [n, leaver] of old.entries()) {
  // Evenly over the time that there is, with some of it left at both ends.
  const dueMs = begun + 1_000 * seconds * (n + 0.5) / servers - performance.now();
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, dueMs)));
  await join(`new-${n}`);
  leaver.process.kill(kill ? "SIGKILL" : "SIGTERM");
  await leaver.process.status;
  report(`old-${n}`, `new-${n}`);
}
old = [];
await loading;
report("", "");

const { callsRetried, callsLost } = client.stats().counters;
console.log(
  `\n${all.calls} calls, ${all.once + all.again} failed (${all.again} of those that may run twice), ` +
    `${callsRetried} sent again, ${callsLost} were running on servers that were lost`,
);
if (all.firstFailure !== undefined) console.error(all.firstFailure);
if (all.again > 0 || all.once > (kill ? callsLost : 0)) Deno.exitCode = 1;
