import { checkInteger, withDefaults } from "../core/options.ts";
import type { Balancer, Candidate } from "./balancer.ts";
import { murmur3, murmur3Pair } from "./hash.ts";
import { usableWeight, withWeight } from "./weight.ts";

/** How {@link consistentHash} makes its ring. */
export interface ConsistentHashOptions {
  /**
   * How many points an instance of average weight has on the ring, 1 to 4096. The busiest of a hundred instances has some
   * 3 ÷ √(this number) more keys than the mean: a quarter more with 128. Every client must use the same. Default 128.
   */
  pointsPerInstance?: number;
}

/** How the ring is made where nothing is said. */
export const DEFAULT_CONSISTENT_HASH: Readonly<Required<ConsistentHashOptions>> = Object.freeze({
  pointsPerInstance: 128,
});

/**
 * Calls with the same `hashKey` go to the same instance, from every client, whatever order it knows the instances in.
 * When one of n instances joins or leaves, about 1/n of the keys move, all of them to it or from it.
 *
 * A call without a key goes anywhere. An instance to go round is left for the next one on the ring. An instance has points,
 * and so keys, in proportion to its weight; weight 0 takes none unless every weight is 0.
 *
 * @throws {RangeError} {TypeError}
 * @see Karger et al., "Consistent hashing and random trees", STOC 1997
 */
export function consistentHash(options?: ConsistentHashOptions): Balancer {
  const { pointsPerInstance } = withDefaults(DEFAULT_CONSISTENT_HASH, options);
  checkInteger("pointsPerInstance", pointsPerInstance, 1, 4096);
  return {
    name: "consistent_hash",
    build(candidates, random) {
      if (candidates.length === 0) return () => undefined;
      const ring = buildRing(candidates, pointsPerInstance);
      return (request) => {
        const key = request.hashKey;
        return pick(ring, key === undefined ? random.u32() : murmur3(key), request.avoid);
      };
    },
  };
}

type Points = Uint32Array<ArrayBuffer>;

/** Points in the order of their hashes; `owners[i]` is the place in `takers` of the instance that point i belongs to. */
interface Ring {
  readonly takers: readonly Candidate[];
  readonly hashes: Points;
  readonly owners: Points;
}

function pick({ takers, hashes, owners }: Ring, hash: number, avoid: readonly string[] | undefined): Candidate {
  let low = 0;
  let high = hashes.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (hashes[middle] < hash) low = middle + 1;
    else high = middle;
  }
  const first = low === hashes.length ? 0 : low;
  const owner = takers[owners[first]];
  if (avoid === undefined || avoid.length === 0 || !avoid.includes(owner.endpoint)) return owner;
  for (let step = 1; step < owners.length; step++) {
    const candidate = takers[owners[(first + step) % owners.length]];
    if (!avoid.includes(candidate.endpoint)) return candidate;
  }
  return owner;
}

function buildRing(candidates: readonly Candidate[], pointsPerInstance: number): Ring {
  const takers = withWeight(candidates).toSorted(byIdentity);
  const weights = takers.map((candidate) => usableWeight(candidate.instance) || 1);
  const mean = weights.reduce((sum, weight) => sum + weight, 0) / weights.length;
  // By a power of two, so that the points of all change only when the mean has changed by far.
  const scale = pointsPerInstance * 2 ** -Math.round(Math.log2(mean));
  const counts = weights.map((weight) => Math.max(1, Math.round(weight * scale)));

  const total = counts.reduce((sum, count) => sum + count, 0);
  const hashes = new Uint32Array(total);
  const owners = new Uint32Array(total);
  let point = 0;
  for (let owner = 0; owner < takers.length; owner++) {
    // Hashing the id once, and then numbers, is thirty times faster than hashing texts. With only one hash of it, two ids
    // that meet in that hash would meet in every point, and one of them would have no keys at all.
    const { id } = takers[owner].instance;
    const [one, other] = [murmur3(id), murmur3(id, 1)];
    for (let i = 0; i < counts[owner]; i++, point++) {
      hashes[point] = murmur3Pair(i, other, one);
      owners[point] = owner;
    }
  }
  return { takers, ...sorted(hashes, owners) };
}

/** Where two points meet, the lower id has the key, whatever order the candidates came in. */
function byIdentity(a: Candidate, b: Candidate): number {
  if (a.instance.id !== b.instance.id) return a.instance.id < b.instance.id ? -1 : 1;
  return a.endpoint === b.endpoint ? 0 : a.endpoint < b.endpoint ? -1 : 1;
}

/** Sorts points by their hashes, digit by digit, which leaves equal ones in their order. */
function sorted(hashes: Points, owners: Points): { hashes: Points; owners: Points } {
  const DIGIT_BITS = 11;
  const places = new Uint32Array(2 ** DIGIT_BITS);
  const mask = places.length - 1;
  let [from, fromOwners] = [hashes, owners];
  let [to, toOwners] = [new Uint32Array(hashes.length), new Uint32Array(hashes.length)];
  for (let shift = 0; shift < 32; shift += DIGIT_BITS) {
    places.fill(0);
    for (let i = 0; i < from.length; i++) places[(from[i] >>> shift) & mask]++;
    for (let digit = 0, place = 0; digit < places.length; digit++) {
      const count = places[digit];
      places[digit] = place;
      place += count;
    }
    for (let i = 0; i < from.length; i++) {
      const place = places[(from[i] >>> shift) & mask]++;
      to[place] = from[i];
      toOwners[place] = fromOwners[i];
    }
    [from, fromOwners, to, toOwners] = [to, toOwners, from, fromOwners];
  }
  return { hashes: from, owners: fromOwners };
}
