import { below, fraction, type Random } from "../core/platform.ts";
import { type Balancer, type Candidate, isAvoided, type Picker } from "./balancer.ts";
import { relativeWeights, withWeight } from "./weight.ts";

/**
 * The instances take turns, from a place left to chance, so that clients that start together do not all begin with the same
 * one. After any number of picks with none to go round, no instance of the same weight has had two more than another.
 *
 * One of weight 3 has three turns for each one of weight 1, spread evenly. Weight 0 takes no calls unless every weight is 0.
 */
export function roundRobin(): Balancer {
  return {
    name: "round_robin",
    build(candidates, chance) {
      const takers = withWeight(candidates);
      const weights = relativeWeights(takers);
      return weights === undefined ? inTurn(takers, chance) : byDueTime(takers, weights, chance);
    },
  };
}

function inTurn(takers: readonly Candidate[], chance: Random): Picker {
  let next = below(chance, takers.length);
  return ({ avoid }) => {
    for (let skipped = 0; skipped < takers.length; skipped++) {
      const candidate = takers[next];
      next = (next + 1) % takers.length;
      if (avoid === undefined || !avoid.includes(candidate.endpoint)) return candidate;
    }
    // All are to be gone round, so none is: `next` has come back to whose turn it was.
    const candidate = takers[next];
    next = (next + 1) % takers.length;
    return candidate;
  };
}

/** The part of a turn by which neighbours of the list are apart at first, so that their turns do not fall together. */
const GOLDEN = 0.6180339887498949;

/** Each has its turns at even distances, as far apart as its weight is small; whoever is due first is picked. */
function byDueTime(takers: readonly Candidate[], weights: Float64Array, chance: Random): Picker {
  const start = fraction(chance);
  const dueAt = weights.map((weight, place) => ((start + place * GOLDEN) % 1) / weight);
  // A heap: nobody is due before the one at half its place.
  const heap = Uint32Array.from(dueAt, (_, place) => place);
  const sink = (from: number) => {
    const moved = heap[from];
    let at = from;
    for (let child; (child = 2 * at + 1) < heap.length; at = child) {
      if (child + 1 < heap.length && dueAt[heap[child + 1]] < dueAt[heap[child]]) child++;
      if (dueAt[heap[child]] >= dueAt[moved]) break;
      heap[at] = heap[child];
    }
    heap[at] = moved;
  };
  for (let at = heap.length >>> 1; at-- > 0;) sink(at);
  let now = 0;
  const takeTurn = (at: number) => {
    const place = heap[at];
    now = Math.max(now, dueAt[place]);
    // Who was passed over for long has missed turns: it does not get them all at once.
    dueAt[place] = Math.max(now, dueAt[place] + 1 / weights[place]);
    sink(at);
    return takers[place];
  };
  return ({ avoid }) => {
    if (!isAvoided(takers[heap[0]], avoid)) return takeTurn(0);
    // Those who are passed over are next.
    let first = 0;
    for (let at = 1; at < heap.length; at++) {
      if (isAvoided(takers[heap[at]], avoid)) continue;
      if (first === 0 || dueAt[heap[at]] < dueAt[heap[first]]) first = at;
    }
    return takeTurn(first);
  };
}
