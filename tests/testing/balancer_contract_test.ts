import { assertEquals } from "@std/assert";
import type { Balancer, Candidate, Picker } from "../../src/balancer/balancer.ts";
import { withoutAvoided } from "../../src/balancer/balancer.ts";
import { withWeight } from "../../src/balancer/weight.ts";
import { below, type Random } from "../../src/core/platform.ts";
import { balancerContract } from "../../src/testing/balancer_contract.ts";

/** The names of the cases that a balancer fails. */
function failures(build: (candidates: readonly Candidate[], random: Random) => Picker): string[] {
  const balancer: Balancer = { name: "faulty", build };
  return balancerContract(balancer).flatMap(({ name, run }) => {
    try {
      void run();
      return [];
    } catch {
      return [name.replace("balancer faulty, ", "")];
    }
  });
}

const sound = (candidates: readonly Candidate[], random: Random): Picker => (request) => {
  const left = withoutAvoided(withWeight(candidates), request.avoid);
  return left[below(random, left.length)];
};

Deno.test("balancerContract, a sound balancer, passes", () => {
  assertEquals(failures(sound), []);
});

let shared = 0;
const faults: [string, string, (candidates: readonly Candidate[], random: Random) => Picker][] = [
  [
    "picks a stranger",
    "picks from the candidates that it was given and from no others",
    ([first]) => () => ({ ...first }),
  ],
  [
    "picks nothing where there is one",
    "always picks the only candidate",
    (candidates, random) => candidates.length === 1 ? () => undefined : sound(candidates, random),
  ],
  [
    "does not go round anything",
    "goes round what is to be avoided while others are left",
    (candidates, random) => (request) => sound(candidates, random)({ ...request, avoid: undefined }),
  ],
  [
    "picks nothing when all are to be avoided",
    "picks all the same when every candidate is to be avoided, and when a stranger is",
    (candidates) => ({ avoid }) => candidates.find((candidate) => !avoid?.includes(candidate.endpoint)),
  ],
  [
    "does not heed weight 0",
    "gives nothing to weight 0 while others have more",
    (candidates) => (request) => withoutAvoided(candidates, request.avoid)[0],
  ],
  [
    "picks nothing when every weight is 0",
    "picks when every weight is 0",
    (candidates) => (request) =>
      withoutAvoided(candidates.filter(({ instance }) => instance.weight > 0), request.avoid)[0],
  ],
  [
    "adds weights up",
    "picks whatever the weights are",
    (candidates, random) => {
      const total = candidates.reduce((sum, { instance }) => sum + instance.weight, 0);
      return (request) => Number.isFinite(total) ? sound(candidates, random)(request) : undefined;
    },
  ],
  [
    "has chance of its own",
    "picks the same again with the same chance",
    (candidates) => (request) => {
      const left = withoutAvoided(withWeight(candidates), request.avoid);
      return left[shared++ % left.length];
    },
  ],
  [
    "shares its state among pickers",
    "keeps nothing from one picker to the next",
    (candidates) => (request) => {
      const left = withoutAvoided(withWeight(candidates), request.avoid);
      return left[shared++ % left.length];
    },
  ],
  [
    "sorts the list that it was given",
    "leaves candidates and requests as they are",
    (candidates, random) => {
      (candidates as Candidate[]).sort((a, b) => a.endpoint < b.endpoint ? 1 : -1);
      return sound(candidates, random);
    },
  ],
];

for (const [fault, found, build] of faults) {
  Deno.test(`balancerContract, a balancer that ${fault}, is found out`, () => {
    const failed = failures(build);
    assertEquals(failed.includes(found), true, `failed: ${failed.join("; ") || "nothing"}`);
  });
}
