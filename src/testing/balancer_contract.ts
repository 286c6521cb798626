import type { Balancer, Candidate, Picker, PickRequest, Surroundings } from "../balancer/balancer.ts";
import type { Instance } from "../registry/instance.ts";
import { check, checkSame, type ContractCase } from "./contract.ts";
import { seededRandom } from "./seeded_random.ts";

const PICKS = 200;
const SIZES = [1, 2, 3, 10, 100];
const NOW_MS = 1_000_000;
const ODD_WEIGHTS = [0, -1, NaN, Infinity, -Infinity, 1e308, 5e-324];

/**
 * What every balancer must do, as named cases.
 *
 * ```ts ignore
 * import { balancerContract } from "@erpc/erpc/testing";
 *
 * for (const { name, run } of balancerContract(myBalancer())) Deno.test(name, run);
 * ```
 *
 * A case throws an `Error` that says what it saw. Cases may run in any order, and twice.
 */
export function balancerContract(balancer: Balancer): ContractCase[] {
  const cases: ContractCase[] = [];
  const add = (name: string, run: () => void) => cases.push({ name: `balancer ${balancer.name}, ${name}`, run });
  const build = (candidates: readonly Candidate[], seed = 1) =>
    balancer.build(candidates, seededRandom(seed), surroundingsOf(candidates));

  add("has a name", () => check(balancer.name.length > 0, "The name is empty"));

  add("picks from the candidates that it was given and from no others", () => {
    for (const size of SIZES) {
      const candidates = candidatesOf(size);
      for (const picked of picks(build(candidates))) {
        check(picked !== undefined, `Nothing was picked from ${size} candidates`);
        check(candidates.includes(picked), `${picked.endpoint} was picked, which is none of the ${size} candidates`);
      }
    }
  });

  add("always picks the only candidate", () => {
    for (const weight of [1, ...ODD_WEIGHTS]) {
      const candidates = candidatesOf(1, () => weight);
      const others = [request(1), { ...request(2), avoid: [candidates[0].endpoint] }];
      for (const asked of others) {
        check(build(candidates)(asked) === candidates[0], `The only candidate, of weight ${weight}, was not picked`);
      }
    }
  });

  add("goes round what is to be avoided while others are left", () => {
    for (const size of SIZES.slice(1)) {
      const candidates = candidatesOf(size);
      const picker = build(candidates);
      for (let n = 0; n < PICKS; n++) {
        const left = candidates[n % size];
        const avoid = candidates.filter((candidate) => candidate !== left).map((candidate) => candidate.endpoint);
        const one = picker({ ...request(n), avoid: avoid.slice(0, 1) });
        check(one !== undefined && one.endpoint !== avoid[0], `${avoid[0]} was picked and was to be avoided`);
        check(
          picker({ ...request(n), avoid }) === left,
          `Not the only one of ${size} was picked that was not to be avoided`,
        );
      }
    }
  });

  add("picks all the same when every candidate is to be avoided, and when a stranger is", () => {
    for (const size of SIZES) {
      const candidates = candidatesOf(size);
      const avoid = candidates.map((candidate) => candidate.endpoint);
      for (const avoided of [avoid, ["tcp://192.0.2.1:1"], []]) {
        const picked = build(candidates)({ ...request(1), avoid: avoided });
        check(picked !== undefined && candidates.includes(picked), `Nothing was picked with ${avoided.length} avoided`);
      }
    }
  });

  add("gives nothing to weight 0 while others have more", () => {
    const candidates = candidatesOf(10, (n) => n % 2);
    for (const picked of picks(build(candidates))) {
      check(picked?.instance.weight === 1, `${picked?.instance.id} was picked and has weight 0`);
    }
  });

  add("picks when every weight is 0", () => {
    for (const picked of picks(build(candidatesOf(3, () => 0)))) {
      check(picked !== undefined, "Nothing was picked where every weight is 0");
    }
  });

  add("picks whatever the weights are", () => {
    for (const [n, odd] of ODD_WEIGHTS.entries()) {
      for (
        const weightOf of [() => odd, (at: number) => at === 1 ? odd : 1, (at: number) => ODD_WEIGHTS[(at + n) % 7]]
      ) {
        const candidates = candidatesOf(5, weightOf);
        for (const picked of picks(build(candidates))) {
          check(picked !== undefined && candidates.includes(picked), `Nothing was picked with a weight of ${odd}`);
        }
      }
    }
  });

  add("picks when two candidates have the same id, and when two have the same endpoint", () => {
    const [a, b] = candidatesOf(2);
    const twice = [a, { ...b, instance: a.instance }, { ...b, endpoint: a.endpoint }];
    for (const picked of picks(build(twice))) {
      check(picked !== undefined, "Nothing was picked among candidates that look alike");
    }
  });

  add("picks the same again with the same chance", () => {
    for (const size of SIZES) {
      const candidates = candidatesOf(size);
      const [one, other] = [picks(build(candidates, 7)), picks(build(candidates, 7))];
      check(
        one.every((picked, n) => picked === other[n]),
        `Two pickers with the same chance differ on ${size} candidates`,
      );
    }
  });

  add("keeps nothing from one picker to the next", () => {
    const candidates = candidatesOf(5);
    const alone = picks(build(candidates, 3));
    const [one, other] = [build(candidates, 3), build(candidates, 4)];
    for (let n = 0; n < PICKS; n++) {
      check(one(request(n)) === alone[n], `Pick ${n} differs when another picker is at work`);
      other(request(n));
    }
  });

  add("leaves candidates and requests as they are", () => {
    const candidates = candidatesOf(10, (n) => n % 3);
    const before = structuredClone(candidates);
    Object.freeze(candidates);
    const asked = Object.freeze({ ...request(1), avoid: Object.freeze([candidates[1].endpoint]) });
    const picker = build(candidates);
    for (let n = 0; n < PICKS; n++) picker(asked);
    checkSame(candidates, before, "The list of candidates");
  });

  return cases;
}

function picks(picker: Picker): (Candidate | undefined)[] {
  return Array.from({ length: PICKS }, (_, n) => picker(request(n)));
}

/** Every third request has no key. */
function request(n: number): PickRequest {
  return { procedure: "demo.Words/count", hashKey: n % 3 === 0 ? undefined : `key ${n}`, avoid: undefined };
}

/** Candidates in the order of their ids. */
function candidatesOf(size: number, weightOf: (n: number) => number = () => 1): Candidate[] {
  return Array.from({ length: size }, (_, n) => {
    const endpoint = `tcp://10.0.0.${n + 1}:4000`;
    const instance: Instance = {
      id: `instance-${String(n).padStart(4, "0")}`,
      incarnation: 1,
      endpoints: [endpoint],
      services: ["demo.Words"],
      zone: "",
      weight: weightOf(n),
      version: "",
      metadata: {},
    };
    return {
      instance,
      endpoint,
      inFlight: n % 4,
      streams: n % 4 === 3 ? 1 : 0,
      latencyMs: n % 5,
      errorShare: n % 7 === 6 ? 1 : 0,
      load: n % 3 === 0 ? { inFlight: n % 10, limit: 8, lagMs: n % 2 } : undefined,
      since: n % 6 === 5 ? NOW_MS - 1_000 : -Infinity,
    };
  });
}

function surroundingsOf(candidates: readonly Candidate[]): Surroundings {
  return {
    now: () => NOW_MS,
    inFlight: candidates.reduce((sum, { inFlight }) => sum + inFlight, 0),
    zone: "",
    clientId: "client",
  };
}
