import { assert, assertEquals } from "@std/assert";
import { AdaptiveLimit } from "../../src/admission/adaptive_limit.ts";
import { DEFAULT_ADMISSION } from "../../src/admission/options.ts";

/** One kind of work: how long a call has one of the cores, and how many of a hundred are of this kind. */
interface Work {
  readonly name: string;
  costMs: number;
  readonly weight: number;
}

/**
 * A resource with some cores that takes calls in their order, behind a limit that is always used up: as many calls are there
 * as may be. Steps through the ends of calls, which are the only moments when anything changes.
 */
class Resource {
  readonly limit = new AdaptiveLimit(DEFAULT_ADMISSION);
  readonly works: Work[];
  cores: number;
  /** How many calls want to run at most. */
  demand = Infinity;
  now = 0;
  done = 0;
  readonly #running: { work: Work; begunAt: number; endsAt: number }[] = [];
  readonly #waiting: { work: Work; begunAt: number }[] = [];
  #turn = 0;

  constructor(cores: number, ...works: Work[]) {
    this.cores = cores;
    this.works = works;
  }

  get inside(): number {
    return this.#running.length + this.#waiting.length;
  }

  run(ms: number): this {
    const end = this.now + ms;
    for (;;) {
      while (this.inside < Math.min(this.limit.limit, this.demand)) this.#waiting.push(this.#next());
      while (this.#running.length < this.cores && this.#waiting.length > 0) {
        const { work, begunAt } = this.#waiting.shift()!;
        this.#running.push({ work, begunAt, endsAt: this.now + work.costMs });
      }
      const first = this.#running.reduce((a, b) => a.endsAt <= b.endsAt ? a : b);
      if (first.endsAt > end) break;
      this.now = first.endsAt;
      this.limit.sample(first.work.name, this.now - first.begunAt, this.inside, this.now);
      this.#running.splice(this.#running.indexOf(first), 1);
      this.done++;
    }
    this.now = end;
    return this;
  }

  #next(): { work: Work; begunAt: number } {
    this.#turn = (this.#turn + 37) % 100;
    let left = this.#turn;
    const work = this.works.find(({ weight }) => (left -= weight) < 0)!;
    return { work, begunAt: this.now };
  }
}

const work = (costMs: number, weight = 100, name = "work"): Work => ({ name, costMs, weight });

for (const [cores, costMs] of [[8, 10], [4, 25], [16, 5], [1, 20], [50, 40]]) {
  Deno.test(`AdaptiveLimit finds ${cores} cores where a call takes ${costMs} ms, and stays there`, () => {
    const resource = new Resource(cores, work(costMs)).run(60_000);
    const limits: number[] = [];
    for (let second = 0; second < 300; second++) {
      const before = resource.done;
      resource.run(1_000);
      limits.push(resource.limit.limit);
      const share = (resource.done - before) / (1_000 / costMs * cores);
      assert(share >= 0.85, `${share} of what it can do, with ${resource.limit.limit}, in second ${second}`);
    }
    const most = Math.max(...limits);
    assert(most <= Math.max(8, cores * 2.5), `up to ${most} for ${cores} cores`);
  });
}

Deno.test("AdaptiveLimit rises at once where calls take no longer for it", () => {
  const resource = new Resource(10_000, work(100)).run(3_000);
  assert(resource.limit.limit >= 500, `${resource.limit.limit} after 3 s`);
});

Deno.test("AdaptiveLimit never leaves its bounds", () => {
  const resource = new Resource(100_000, work(50)).run(2_000);
  assertEquals(resource.limit.limit, 1_000);
  resource.cores = 1;
  resource.run(3_600_000);
  assert(resource.limit.limit >= 4 && resource.limit.limit <= 8, `${resource.limit.limit} for one core`);
});

Deno.test("AdaptiveLimit falls when what is behind it can do less, and comes back", () => {
  const resource = new Resource(40, work(10)).run(30_000);
  const before = resource.limit.limit;
  resource.cores = 5;
  resource.run(60_000);
  assert(resource.limit.limit <= 20, `${resource.limit.limit} for 5 cores`);
  resource.cores = 40;
  resource.run(30_000);
  assert(resource.limit.limit >= before / 2, `${resource.limit.limit} where it was ${before}`);
});

Deno.test("AdaptiveLimit gets used to calls that take longer for good", () => {
  const works = [work(10)];
  const resource = new Resource(200, ...works).run(10_000);
  works[0].costMs = 80;
  resource.run(90_000);
  assert(resource.limit.limit >= 150, `${resource.limit.limit} for 200 cores`);
});

Deno.test("AdaptiveLimit does not take a mix that gets slower for overload", () => {
  const resource = new Resource(10_000, work(5, 95, "fast"), work(400, 5, "slow"));
  resource.demand = 60;
  resource.run(20_000);
  const before = resource.limit.limit;
  resource.works.splice(0, 2, work(5, 40, "fast"), work(400, 60, "slow"));
  resource.run(20_000);
  assert(resource.limit.limit >= before, `${resource.limit.limit} where it was ${before}`);
});

Deno.test("AdaptiveLimit leaves calls alone that it does not hold back", () => {
  const resource = new Resource(10_000, work(50));
  resource.demand = 12;
  for (let second = 0; second < 120; second++) {
    resource.run(1_000);
    assert(resource.limit.limit >= 20, `${resource.limit.limit} in second ${second}`);
  }
});

Deno.test("AdaptiveLimit tells a thousand methods apart, and no more", () => {
  const limit = new AdaptiveLimit(DEFAULT_ADMISSION);
  for (let i = 0; i < 100_000; i++) limit.sample(`made up ${i}`, 10, 1, i);
  assert(limit.limit >= 20);
});
