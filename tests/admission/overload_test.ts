/**
 * What overload does to a server whose handlers keep the event loop, with and without admission, on a model of the loop: the
 * same to the last digit wherever it runs. Calls come at fixed times whether others are answered or not, and count when they
 * end within their time, reckoned from when they were sent.
 */
import { assert, assertEquals } from "@std/assert";
import { Gate } from "../../src/admission/gate.ts";
import { type AdmissionOptions, checkAdmission } from "../../src/admission/options.ts";
import { Caller } from "../../src/admission/wait_queue.ts";
import type { Criticality } from "../../src/core/criticality.ts";
import { fraction } from "../../src/core/platform.ts";
import { Timers } from "../../src/core/timers.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";
import { EventLoop } from "./event_loop.ts";

/** What handlers do: wait, then keep the loop. */
interface Work {
  readonly waitMs: number;
  readonly costMs: number;
}

interface Load {
  /** Calls in a second. */
  readonly perSecond: number;
  readonly ms: number;
  readonly criticality?: (call: number) => Criticality;
}

interface Outcome {
  /** Calls in a second that came. */
  readonly offered: number;
  /** Calls in a second that ended within their time. */
  readonly goodput: number;
  /** Of those. */
  readonly p99Ms: number;
  readonly refused: number;
  /** How long it took to say so. */
  readonly refusedP99Ms: number;
  /** How many ended well, by what was said of them. */
  readonly good: Readonly<Record<string, number>>;
}

const TIMEOUT_MS = 500;
const CONNECTIONS = 16;
/** What reading a call costs, letting it wait on top of that, and refusing it instead, in milliseconds. */
const READ_MS = 0.001;
const WAIT_MS = 0.003;
const REFUSE_MS = 0.0005;

/** A server under load, one after the other. */
class Rig {
  readonly #loop = new EventLoop();
  readonly #timers = new Timers(this.#loop);
  readonly #gate: Gate | undefined;
  readonly #callers = Array.from({ length: CONNECTIONS }, () => new Caller());
  readonly #work: Work;
  readonly #random = seededRandom(5);
  /** Of calls that ended within their time since the load began. */
  #latencies: number[] = [];
  #refusals: number[] = [];
  #good: Record<string, number> = {};

  constructor(work: Work, admission: AdmissionOptions | false) {
    this.#work = work;
    if (admission !== false) this.#gate = new Gate(checkAdmission(admission), this.#timers, this.#loop.platform);
  }

  async load({ perSecond, ms, criticality = () => "default" }: Load): Promise<Outcome> {
    const loop = this.#loop, gate = this.#gate, work = this.#work;
    const from = loop.now();
    this.#latencies = [];
    this.#refusals = [];
    this.#good = {};
    const inputs: { at: number; take: () => void }[] = [];
    for (
      let call = 0, at = from;
      at < from + ms;
      call++, at += -Math.log(1 - fraction(this.#random)) * 1_000 / perSecond
    ) {
      const sentAt = at, caller = this.#callers[call % CONNECTIONS], matters = criticality(call);
      const compute = (ended: () => void) => {
        loop.spend(work.costMs);
        ended();
        const tookMs = loop.now() - sentAt;
        if (tookMs > TIMEOUT_MS) return;
        this.#latencies.push(tookMs);
        this.#good[matters] = (this.#good[matters] ?? 0) + 1;
      };
      const run = (ended: () => void) => {
        if (work.waitMs === 0) compute(ended);
        else loop.timer(work.waitMs, () => compute(ended));
      };
      const pass = () => {
        const begun = gate!.begin();
        const stamp = gate!.stamp();
        run(() => gate!.end(begun, "work", stamp));
      };
      const refused = () => {
        loop.spend(REFUSE_MS);
        this.#refusals.push(loop.now() - sentAt);
      };
      const take = () => {
        loop.spend(READ_MS);
        if (gate === undefined) return run(() => {});
        const heardAt = loop.now();
        const verdict = gate.decide(caller, "work", matters, TIMEOUT_MS, 64, heardAt);
        if (verdict === "run") {
          pass();
          gate.ran();
        } else if (verdict === "wait") {
          loop.spend(WAIT_MS);
          const place = gate.wait({ proceed: pass, refused }, caller, matters, TIMEOUT_MS, 64, heardAt);
          this.#timers.after(place.until - heardAt, () => {
            if (place.lane === undefined) return;
            gate.giveUp(place);
            refused();
          });
        } else refused();
      };
      inputs.push({ at, take });
    }
    loop.input(inputs);
    await loop.run(from + ms);
    return {
      offered: inputs.length / ms * 1_000,
      goodput: this.#latencies.length / ms * 1_000,
      p99Ms: p99(this.#latencies),
      refused: this.#refusals.length,
      refusedP99Ms: p99(this.#refusals),
      good: this.#good,
    };
  }
}

function p99(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length * 0.99)] ?? 0;
}

const WORKS: readonly [string, Work][] = [
  ["2 ms", { waitMs: 0, costMs: 2 }],
  ["0.2 ms", { waitMs: 0, costMs: 0.2 }],
  ["20 ms", { waitMs: 0, costMs: 20 }],
  ["2 ms after they have waited for 20 ms", { waitMs: 20, costMs: 2 }],
];

for (const [name, work] of WORKS) {
  const peak = 1_000 / work.costMs;
  // Of shorter calls more have to be read for each that is run, and that takes its part.
  const shares = work.costMs < 1 ? [[2, 0.93], [5, 0.9], [10, 0.8]] : [[2, 0.95], [5, 0.9], [10, 0.8]];

  Deno.test(`Overload, handlers that compute for ${name}: without admission a server collapses`, async () => {
    const { goodput } = await new Rig(work, false).load({ perSecond: peak * 2, ms: 10_000 });
    assert(goodput < peak / 2, `${goodput} of ${peak} in a second`);
  });

  for (const [what, options] of [["by default", {}], ["with a target of 5 ms", { targetMs: 5 }]] as const) {
    Deno.test(`Overload, handlers that compute for ${name}: with admission ${what} a server goes on`, async () => {
      for (const [times, share] of shares) {
        const rig = new Rig(work, options);
        // A second in which the load is found out.
        await rig.load({ perSecond: peak * times, ms: 1_000 });
        const { goodput } = await rig.load({ perSecond: peak * times, ms: 5_000 });
        assert(goodput >= share * peak, `${goodput} of ${peak} in a second, at ${times} times what it can do`);
      }
    });
  }

  Deno.test(`Overload, handlers that compute for ${name}: no call is refused at 70 % of what it can do`, async () => {
    const { refused, goodput, offered } = await new Rig(work, {}).load({ perSecond: peak * 0.7, ms: 10_000 });
    assertEquals(refused, 0);
    assert(goodput >= offered * 0.97, `${goodput} of ${offered}`);
  });

  Deno.test(`Metastability, handlers that compute for ${name}: after 10 s at five times, all is as before`, async () => {
    const rig = new Rig(work, {});
    const before = await rig.load({ perSecond: peak * 0.7, ms: 10_000 });
    await rig.load({ perSecond: peak * 5, ms: 10_000 });
    await rig.load({ perSecond: peak * 0.7, ms: 2_000 });
    const after = await rig.load({ perSecond: peak * 0.7, ms: 8_000 });
    assertEquals(after.refused, 0);
    assert(after.goodput >= after.offered * 0.97, `${after.goodput} of ${after.offered} in a second`);
    assert(after.p99Ms <= before.p99Ms * 1.5, `p99 ${after.p99Ms} ms where it was ${before.p99Ms} ms`);
  });
}

Deno.test("Overload: with a target of 5 ms what is taken is taken fast, and what is not is told so soon", async () => {
  const [[, work]] = WORKS;
  const calm = await new Rig(work, false).load({ perSecond: 400, ms: 20_000 });
  for (const times of [2, 5, 10]) {
    const rig = new Rig(work, { targetMs: 5 });
    await rig.load({ perSecond: 500 * times, ms: 1_000 });
    const { p99Ms, refusedP99Ms } = await rig.load({ perSecond: 500 * times, ms: 10_000 });
    assert(p99Ms <= calm.p99Ms * 2, `p99 is ${p99Ms} ms where it is ${calm.p99Ms} ms at 80 % of the load`);
    assert(refusedP99Ms <= 50, `p99 of refusals is ${refusedP99Ms} ms`);
  }
});

Deno.test("Overload: what matters least is shed first", async () => {
  const matter = ["critical", "default", "sheddable"] as const;
  const rig = new Rig({ waitMs: 0, costMs: 2 }, { targetMs: 5 });
  const load = { perSecond: 1_000, ms: 10_000, criticality: (call: number) => matter[call % 3] };
  await rig.load({ ...load, ms: 1_000 });
  const { good } = await rig.load(load);
  // A third of 10 000 each, where 5 000 can be run.
  assert(good.critical >= 3_200, JSON.stringify(good));
  assert(good.default >= 1_200, JSON.stringify(good));
  assert((good.sheddable ?? 0) <= 500, JSON.stringify(good));
});
