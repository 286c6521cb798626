import { checkInteger, checkNumber, withDefaults } from "../core/options.ts";
import { type Balancer, type Candidate, isAvoided } from "./balancer.ts";
import { murmur3, murmur3Pair } from "./hash.ts";
import { usableWeight, withWeight } from "./weight.ts";

/** How {@link consistentHash} makes its ring, and when a call goes on to the next instance on it. */
export interface ConsistentHashOptions {
  /**
   * How many points an instance of average weight has on the ring, 1 to 4096. The busiest of a hundred instances has some
   * 3 ÷ √(this number) more keys than the mean: a quarter more with 128. Every client must use the same. Default 128.
   */
  pointsPerInstance?: number;
  /**
   * How many times its share of the calls that this client has running an instance takes, 1 or more, before further keys
   * of its own go to the next instance on the ring; `Infinity` for never. Default 1.25.
   */
  maxLoad?: number;
}

/** What holds where nothing is said. */
export const DEFAULT_CONSISTENT_HASH: Readonly<Required<ConsistentHashOptions>> = Object.freeze({
  pointsPerInstance: 128,
  maxLoad: 1.25,
});

/** So many calls may run anywhere, whatever the share is: with few at a time, keeping together what belongs together is better. */
const ALWAYS_TAKEN = 8;

/**
 * Calls with the same `hashKey` go to the same instance, from every client, whatever order it knows the instances in.
 * When one of n instances joins or leaves, about 1/n of the keys move, all of them to it or from it.
 *
 * No instance gets much more than its share: while it has `maxLoad` times that running (and more than a few calls), its keys
 * go to the instance that is next on the ring, the same one for the same key. Calls that run on instances which are leaving
 * count as well.
 *
 * A call without a key goes anywhere. An instance to go round is left for the next one on the ring. An instance has points,
 * and so keys, in proportion to its weight; weight 0 takes none unless every weight is 0.
 *
 * @throws {RangeError} {TypeError}
 * @see Karger et al., "Consistent hashing and random trees", STOC 1997; Mirrokni et al., "Consistent hashing with bounded
 * loads", SODA 2018
 */
export function consistentHash(options?: ConsistentHashOptions): Balancer {
  const { pointsPerInstance, maxLoad } = withDefaults(DEFAULT_CONSISTENT_HASH, options);
  checkInteger("pointsPerInstance", pointsPerInstance, 1, 4096);
  checkNumber("maxLoad", maxLoad, 1, Infinity);
  return {
    name: "consistent_hash",
    build(candidates, random, surroundings) {
      if (candidates.length === 0) return () => undefined;
      const ring = buildRing(candidates, pointsPerInstance);
      const { takers, shares } = ring;
      const hasRoom = (owner: number) => {
        const { inFlight } = takers[owner];
        // Few calls need no division.
        return inFlight < ALWAYS_TAKEN || inFlight < maxLoad * shares[owner] * (surroundings.inFlight + 1);
      };
      return ({ hashKey, avoid }) => {
        const first = pointOf(ring, hashKey === undefined ? random.u32() : murmur3(hashKey));
        const owner = ring.owners[first];
        if (hasRoom(owner) && !isAvoided(takers[owner], avoid)) return takers[owner];
        return next(ring, first, avoid, hasRoom);
      };
    },
  };
}

type Points = Uint32Array<ArrayBuffer>;

/** Points in the order of their hashes; `owners[i]` is the place in `takers` of the instance that point i belongs to. */
interface Ring {
  readonly takers: readonly Candidate[];
  /** Which share of the calls each of `takers` should have. */
  readonly shares: readonly number[];
  readonly hashes: Points;
  readonly owners: Points;
}

/** The first point that is not before a hash. */
function pointOf({ hashes }: Ring, hash: number): number {
  let low = 0;
  let high = hashes.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (hashes[middle] < hash) low = middle + 1;
    else high = middle;
  }
  return low === hashes.length ? 0 : low;
}

/** The first behind a point with room, or else the first that need not be gone round, or else the owner of the point. */
function next(
  { takers, owners }: Ring,
  first: number,
  avoid: readonly string[] | undefined,
  hasRoom: (owner: number) => boolean,
): Candidate {
  const seen = new Set<number>();
  let full: number | undefined;
  for (let step = 0; step < owners.length && seen.size < takers.length; step++) {
    const owner = owners[first + step < owners.length ? first + step : first + step - owners.length];
    if (seen.has(owner)) continue;
    seen.add(owner);
    if (isAvoided(takers[owner], avoid)) continue;
    if (hasRoom(owner)) return takers[owner];
    full ??= owner;
  }
  return takers[full ?? owners[first]];
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
  const sum = weights.reduce((sum, weight) => sum + weight, 0);
  return { takers, shares: weights.map((weight) => weight / sum), ...sorted(hashes, owners) };
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
