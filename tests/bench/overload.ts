/**
 * More calls than a server can run, with and without admission; and what it costs to refuse one.
 *
 * The handler computes for 2 ms. A process of its own offers calls at fixed times on 16 connections, each with a time-out of
 * half a second, first without retries. In the last rows it does so at 70 % of what the server can do, with retries, right
 * after ten seconds (or so many rounds) at five times.
 */
import { Client, Server, service, unary } from "../../mod.ts";
import type { AdmissionOptions } from "../../src/extend.ts";
import { answerQuestions, type Child } from "./child.ts";
import { Kind } from "../../src/protocol/frame.ts";
import { FrameReader } from "../../src/protocol/frame_reader.ts";
import { ByteWriter } from "../../src/protocol/byte_writer.ts";
import { OpenHeader, writeOpen } from "../../src/protocol/open.ts";
import { openFrame, ScriptedPeer } from "../../src/testing/scripted_peer.ts";
import { systemTransport } from "../../src/transport/transport.ts";
import { columnsOf, type Contender, contest, measureAway, serveAway } from "./contest.ts";
import { drive, type Measured } from "./load.ts";
import { offer, type OpenLoad, type OpenMeasured } from "./open_load.ts";
import type { Row, RunOptions, Section } from "./section.ts";

const Work = service("bench.Work", {
  compute: unary<{ n: number }, { ok: boolean }>({ idempotent: true }),
});

const COST_MS = 2;
const CONNECTIONS = 16;
const TIMEOUT_MS = 500;
const TIMES = [0.8, 1, 2, 5, 10];

const ADMISSION: Readonly<Record<string, AdmissionOptions | false>> = {
  none: false,
  "by default": {},
  "target 5 ms": { targetMs: 5 },
  "wait 5 ms": { maxWaitMs: 5, targetMs: 5 },
};

async function serve(admission: string): Promise<void> {
  await using server = new Server({ admission: ADMISSION[admission] });
  server.handle(Work, {
    compute() {
      for (const end = performance.now() + COST_MS; performance.now() < end;);
      return { ok: true };
    },
  });
  await server.listen("tcp://127.0.0.1:0");
  await answerQuestions(server.endpoint, () => server.stats().admission);
}

/** Answers an open load with what came of it, and one that keeps calls in flight with how many were answered. */
async function call(endpoint: string, retries: string): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const callers = Array.from({ length: CONNECTIONS }, () => {
    const retry = retries === "retries" ? undefined : false;
    // What waits in the client must not be what gives way.
    const client = stack.use(new Client({ endpoints: [endpoint], retry, limits: { maxQueuedCalls: 1_000_000 } }));
    return client.service(Work);
  });
  for (const caller of callers) await caller.compute({ n: 0 }).catch(() => {});
  let n = 0;
  await answerQuestions("ready", (question) => {
    const load = question as OpenLoad | { inFlight: number; ms: number };
    if ("inFlight" in load) return drive(() => callers[n++ % CONNECTIONS].compute({ n }), load);
    return offer((timeoutMs) => callers[n++ % CONNECTIONS].compute({ n }, { timeoutMs }), load);
  });
}

type Start = (role: string, ...args: string[]) => Promise<Child>;

/** How many calls a second the machine can do, four at a time. */
async function peakOf(options: RunOptions, start: Start): Promise<number> {
  await using server = await start("serve", "none");
  await using client = await start("call", server.hello as string, "no retries");
  const { calls, ms } = await client.ask({ inFlight: 4, ms: options.warmupMs + options.ms }) as Measured;
  return calls / ms * 1_000;
}

async function rowsOf(admission: string, peak: number, options: RunOptions, start: Start): Promise<Row[]> {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await start("serve", admission));
  const client = stack.use(await start("call", server.hello as string, "no retries"));
  const patient = stack.use(await start("call", server.hello as string, "retries"));
  const ms = options.ms * options.rounds;
  const rows: Row[] = [];
  const row = (times: string, perSecond: number, { refusedShare, ...figures }: OpenMeasured) =>
    rows.push({
      admission,
      times,
      perSecond,
      ...figures,
      share: 100 * figures.goodput / peak,
      refusedPercent: 100 * refusedShare,
    });
  const load = (child: Child, times: number, ms: number): Promise<OpenMeasured> =>
    child.ask({ perSecond: peak * times, ms, timeoutMs: TIMEOUT_MS }) as Promise<OpenMeasured>;
  for (const times of TIMES) row(`${times} ×`, peak * times, await load(client, times, ms));
  await load(patient, 5, 2 * ms);
  row("0.7 × after 5 ×", peak * 0.7, await load(patient, 0.7, ms));
  return rows;
}

/** More calls than a server can run. */
export const overloadSection: Section = {
  name: "overload",
  roles: { serve, call },
  async run(options, start) {
    const peak = await peakOf(options, start);
    const rows: Row[] = [];
    for (const admission of Object.keys(ADMISSION)) rows.push(...await rowsOf(admission, peak, options, start));
    return {
      title: `Calls that compute for ${COST_MS} ms, at fixed times; good are those that end within ${TIMEOUT_MS} ms`,
      columns: [
        { key: "admission", title: "admission" },
        { key: "times", title: "of what it can do" },
        { key: "perSecond", title: "calls/s" },
        { key: "goodput", title: "good/s" },
        { key: "share", title: "% of peak" },
        { key: "p50Ms", title: "p50 ms", digits: 1 },
        { key: "p99Ms", title: "p99 ms", digits: 1 },
        { key: "refusedPercent", title: "% refused" },
        { key: "refusedP99Ms", title: "p99 ms", digits: 1 },
      ],
      rows,
    };
  },
};

const Empty = service("bench.Empty", {
  empty: unary<Record<string, never>, Record<string, never>>(),
  hold: unary<Record<string, never>, Record<string, never>>(),
});

async function serveEmpty(full: string): Promise<void> {
  await using server = new Server({
    admission: full === "refused" ? { limit: 1, maxWaiting: 1, maxWaitMs: 3_600_000, targetMs: Infinity } : {},
  });
  server.handle(Empty, { empty: () => ({}), hold: () => new Promise(() => {}) });
  await server.listen("tcp://127.0.0.1:0");
  await serveAway(server.endpoint, () => server.stats().counters.writes);
}

/** Calls as fast as bytes can be written, so that the server is what is measured: whoever makes an error of each is slower. */
async function callEmpty(endpoint: string, full: string): Promise<void> {
  await using hog = new Client({ endpoints: [endpoint], retry: false });
  if (full === "refused") {
    const forever = { timeoutMs: Infinity };
    for (let n = 0; n < 2; n++) hog.service(Empty).hold({}, forever).catch(() => {});
    const code = await hog.service(Empty).empty({}).then(() => "it was taken", (error) => error.code);
    if (code !== "resource_exhausted") throw new Error(`Cannot measure: ${code}`);
  }
  const batch = new ByteWriter();
  const header = Object.assign(new OpenHeader(), { timeoutMs: 10_000 });
  await measureAway(async ({ ms, inFlight }) => {
    // One for each round: between them nobody would answer the server's pings.
    const peer = await new ScriptedPeer(await systemTransport.connect(endpoint)).greet();
    const frames = new FrameReader(2 ** 20);
    let stream = 1;
    await peer.send(openFrame(stream, `${Empty.name}/empty`, "{}"));
    await peer.expect(Kind.end);
    const from = performance.now();
    let calls = 0;
    // So many calls in one write, until all are answered.
    for (; performance.now() - from < ms; calls += inFlight) {
      batch.length = 0;
      for (let n = 0; n < inFlight; n++) {
        const at = batch.beginFrame(Kind.open, 0, stream += 2);
        writeOpen(batch, header);
        batch.utf8("{}");
        batch.endFrame(at);
      }
      await peer.send(batch.view());
      for (let left = inFlight; left > 0;) {
        if (frames.next()) left -= frames.kind === Kind.end ? 1 : 0;
        else frames.received((await peer.conn.read(frames.space()))!);
      }
    }
    peer.close();
    return { calls, ms: performance.now() - from, p50Us: 0, p99Us: 0 };
  }, () => 0);
}

/** What it costs a server to refuse a call, beside an empty one. */
export const refusalSection: Section = {
  name: "refusal",
  roles: { serve: serveEmpty, call: callEmpty },
  async run(options, start) {
    await using stack = new AsyncDisposableStack();
    const contenders: Contender[] = [];
    for (const system of ["taken", "refused"]) {
      const server = stack.use(await start("serve", system));
      const client = stack.use(await start("call", server.hello as string, system));
      contenders.push({ system, client, servers: [server] });
    }
    return {
      title: "Empty calls that are taken, and that are refused",
      columns: columnsOf("calls", "taken").filter(({ key }) => !/p50|p99|client/.test(key)),
      rows: await contest(contenders, { inFlight: [64, 256], yardstick: "taken" }, options),
    };
  },
};
