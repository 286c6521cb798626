// What all peers on Node have in common: `node NAME.mjs serve` and `node NAME.mjs call ADDRESS`. Questions come in as lines of
// JSON and are answered by lines of JSON, as in ../child.ts; the load is driven as in ../load.ts.
import process from "node:process";
import { createInterface } from "node:readline";

const SAMPLE_EVERY = 17;

/** Plays the role that the command line names. */
export async function play({ serve, connect }) {
  const [role, address] = process.argv.slice(2);
  if (role === "serve") {
    const { address, close } = await serve();
    await answer(address, used);
    await close();
  } else {
    const { call, close } = await connect(address);
    const reply = JSON.stringify(await call());
    if (reply !== '{"msg":"hello world"}') throw new Error(`Cannot measure: the reply was ${reply}`);
    await answer("ready", async (load) => {
      const before = used();
      const measured = await drive(call, load);
      return { ...measured, cpuUs: used().cpuUs - before.cpuUs, writes: 0 };
    });
    await close();
  }
  process.exit(0);
}

function used() {
  const { user, system } = process.cpuUsage();
  return { cpuUs: user + system, writes: 0 };
}

async function answer(hello, reply) {
  console.log(JSON.stringify(hello));
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await reply(JSON.parse(line))));
  }
}

async function drive(call, { inFlight, ms }) {
  const every = inFlight === 1 ? 1 : SAMPLE_EVERY;
  const samples = [];
  let over = false;
  let calls = 0;
  const lane = async (number) => {
    for (let turn = number % every; !over; turn++) {
      if (turn % every !== 0) await call();
      else {
        const from = performance.now();
        await call();
        samples.push(performance.now() - from);
      }
      calls++;
    }
  };
  const from = performance.now();
  let finished;
  const timer = setTimeout(() => {
    over = true;
    if (calls > 0) finished = { calls, ms: performance.now() - from };
  }, ms);
  await Promise.all(Array.from({ length: inFlight }, (_, number) => lane(number)));
  over = true;
  clearTimeout(timer);
  finished ??= { calls, ms: performance.now() - from };
  samples.sort((a, b) => a - b);
  const at = (share) => (samples[Math.min(samples.length - 1, Math.floor(samples.length * share))] ?? 0) * 1000;
  return { ...finished, p50Us: at(0.5), p99Us: at(0.99) };
}
