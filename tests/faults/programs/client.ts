/** A client of the interop contract as a process. Its arguments are what to do, and the endpoint of a server. */
import { type CallOptions, Client } from "@erpc/erpc";
import { type Platform, runtimePlatform } from "../../../src/core/platform.ts";
import { openFiles } from "../../support/child.ts";
import { heldBytes, HeldMeter } from "../../support/held.ts";
import { ask, askIn, FOR_EVER, Interop, TAG } from "../../support/interop.ts";

const [task, endpoint, ...numbers] = Deno.args;
let timersFired = 0;
const platform: Platform = {
  ...runtimePlatform,
  clock: {
    ...runtimePlatform.clock,
    timer: (ms, fire) =>
      runtimePlatform.clock.timer(ms, () => {
        timersFired++;
        fire();
      }),
  },
};
const client = new Client({ endpoints: [endpoint], platform, limits: { maxConnectionsPerInstance: 1 } });
const interop = client.service(Interop);
const never = ask({ delayMs: FOR_EVER });
const tagged = (tag: string, options: CallOptions = {}): CallOptions => ({ ...options, metadata: { [TAG]: tag } });

/** Makes a call of each kind that does not end. */
async function hold(): Promise<void> {
  async function* endless() {
    yield ask({});
    await new Promise(() => {});
  }
  const numbers = interop.count({ from: 0, to: 1e9, textBytes: 1_000 }, tagged("count"));
  await numbers.next(); // and reads no more
  await Promise.all([
    interop.unary(never, tagged("unary", { timeoutMs: 3_600_000 })),
    interop.sumIn(endless(), tagged("sumIn")),
    interop.streamOut(never, tagged("streamOut")).next(),
    interop.duplex(endless(), tagged("duplex")).next(),
  ]);
}

/** Makes calls whose deadlines pass, and tells how they ended, and how many timers fired from the first deadline to the last. */
async function expire(count: number, timeoutMs: number): Promise<void> {
  await interop.empty(new Uint8Array(0));
  const settled: string[] = [];
  let firedBefore: number | undefined;
  await Promise.all(Array.from({ length: count }, async (_, i) => {
    const outcome = await interop.unary(never, tagged(`expire-${i}`, { timeoutMs })).then(
      () => "ok",
      ({ code }) => code,
    );
    firedBefore ??= timersFired;
    settled.push(`${i} ${outcome}`);
  }));
  await client.close();
  console.log(`settled ${JSON.stringify({ timers: timersFired - (firedBefore ?? 0), settled })}`);
}

/** Makes many large calls at once, and tells by how much more this process held at most. */
async function flood(count: number): Promise<void> {
  const request = askIn(271_828, { responseBytes: 314_159 });
  const call = async () => (await interop.unary(request, { timeoutMs: 60_000 })).length;
  for (let i = 0; i < 20; i++) await call();
  using meter = new HeldMeter();
  const before = meter.look();
  const sizes = await Promise.all(Array.from({ length: count }, call));
  const whole = sizes.filter((size) => size === 314_159).length;
  console.log(`flooded ${JSON.stringify({ whole, grownBytes: meter.mostBytes - before })}`);
  await client.close();
}

/**
 * Makes large calls one after the other, each on a connection of its own or all on one, and tells what this process held, and
 * how many files it had open, when half of them were made, and at the end.
 */
async function soak(count: number, anew: boolean): Promise<void> {
  const request = askIn(271_828, { responseBytes: 314_159 });
  const used: { bytes: number; files: number }[] = [];
  for (let i = 0; i < count; i++) {
    const other = anew ? new Client({ endpoints: [endpoint] }) : client;
    const { length } = await other.service(Interop).unary(request);
    if (length !== 314_159) throw new Error(`Reply ${i} has ${length} bytes`);
    if (anew) await other.close();
    if (i === count >> 1 || i === count - 1) used.push({ bytes: heldBytes(), files: await openFiles("self") });
  }
  console.log(`soaked ${JSON.stringify(used)}`);
  await client.close();
}

switch (task) {
  case "hold":
    await hold();
    break;
  case "expire":
    await expire(Number(numbers[0]), Number(numbers[1]));
    break;
  case "flood":
    await flood(Number(numbers[0]));
    break;
  case "soak":
    await soak(Number(numbers[0]), numbers[1] === "anew");
    break;
  default:
    throw new Error(`There is no task "${task}"`);
}
