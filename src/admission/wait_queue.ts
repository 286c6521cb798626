/**
 * Calls that wait for a place. What matters more goes first; among equals the callers take turns, however many calls each of
 * them has waiting, and who has not had his share of late goes before those who have (as in FQ-CoDel, RFC 8290); the calls of
 * one caller go in their order, or the newest first. Pure: it reads no clock.
 *
 * Invariants: a place belongs to one lane or to none; a lane is among the modest or among the others of its rank as long as it
 * has a place, and never in both.
 */

/** How much a call matters: 0 is shed first, {@link RANKS} − 1 last. */
export type Rank = 0 | 1 | 2;

/** How many ranks there are. */
export const RANKS = 3;

/** One who calls, for as long as any connection of his is there. */
export class Caller {
  /** What he is told apart by; `undefined` for one who has nothing but his connection. */
  readonly name: unknown;
  /** How many connections he has. */
  connections = 1;
  /** What he has waiting, by rank; made when it is first needed. */
  readonly lanes: (Lane | undefined)[] = [undefined, undefined, undefined];

  /** Makes one with one connection. */
  constructor(name?: unknown) {
    this.name = name;
  }
}

/** A place in the queue. */
export class Place<Item> {
  /** Who waits. */
  readonly item: Item;
  /** Since when. */
  readonly since: number;
  /** Until when that is worth while. */
  readonly until: number;
  /** How many bytes it holds meanwhile. */
  readonly bytes: number;
  /** The lane that it is in. Belongs to the queue. */
  lane: Lane<Item> | undefined = undefined;
  /** The one that came before it. Belongs to the queue. */
  before: Place<Item> | undefined = undefined;
  /** The one that came after it. Belongs to the queue. */
  behind: Place<Item> | undefined = undefined;

  /** Makes a place that is in no queue yet. */
  constructor(item: Item, since: number, until: number, bytes: number) {
    this.item = item;
    this.since = since;
    this.until = until;
    this.bytes = bytes;
  }
}

/** What one caller has waiting in one rank, the oldest first. */
export class Lane<Item = unknown> {
  readonly rank: Rank;
  size = 0;
  /** The number of the turn that it last had. */
  turn = -Infinity;
  /** Whether it had less than its share before what waits in it came. */
  modest = false;
  first: Place<Item> | undefined = undefined;
  last: Place<Item> | undefined = undefined;

  constructor(rank: Rank) {
    this.rank = rank;
  }
}

/** Calls that wait. */
export class WaitQueue<Item> {
  /** Lanes that have something, by rank, in the order of their turns: those that go first, and those that go after them. */
  readonly #modest: readonly Set<Lane<Item>>[] = [new Set(), new Set(), new Set()];
  readonly #others: readonly Set<Lane<Item>>[] = [new Set(), new Set(), new Set()];
  #turn = 0;
  readonly #sizes: number[] = [0, 0, 0];
  #size = 0;
  #bytes = 0;

  /** How many bytes those who wait hold. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many wait. */
  get size(): number {
    return this.#size;
  }

  /** Puts a place behind the others of its caller. */
  push(caller: Caller, rank: Rank, place: Place<Item>): void {
    const lane = (caller.lanes[rank] ??= new Lane(rank)) as Lane<Item>;
    place.lane = lane;
    place.before = lane.last;
    if (lane.last === undefined) lane.first = place;
    else lane.last.behind = place;
    lane.last = place;
    this.#size++;
    this.#bytes += place.bytes;
    this.#sizes[rank]++;
    if (lane.size++ > 0) return;
    lane.modest = this.#turn - lane.turn > this.#lanesOf(rank);
    (lane.modest ? this.#modest : this.#others)[rank].add(lane);
  }

  /** Takes a place out, wherever it is. False when it was not there. */
  remove(place: Place<Item>): boolean {
    const { lane } = place;
    if (lane === undefined) return false;
    if (place.before === undefined) lane.first = place.behind;
    else place.before.behind = place.behind;
    if (place.behind === undefined) lane.last = place.before;
    else place.behind.before = place.before;
    place.lane = place.before = place.behind = undefined;
    this.#size--;
    this.#bytes -= place.bytes;
    this.#sizes[lane.rank]--;
    if (--lane.size === 0) (lane.modest ? this.#modest : this.#others)[lane.rank].delete(lane);
    return true;
  }

  /** Takes out the one whose turn it is: of the caller whose turn it is, the oldest, or the newest. */
  take(newestFirst: boolean): Place<Item> | undefined {
    for (let rank = RANKS - 1; rank >= 0; rank--) {
      const lane = firstOf(this.#modest[rank]) ?? firstOf(this.#others[rank]);
      if (lane === undefined) continue;
      const place = (newestFirst ? lane.last : lane.first)!;
      this.remove(place);
      lane.turn = this.#turn++;
      // To the end of the line, if there is more.
      if ((lane.modest ? this.#modest : this.#others)[rank].delete(lane)) {
        lane.modest = false;
        this.#others[rank].add(lane);
      }
      return place;
    }
    return undefined;
  }

  /** How many go before one that comes now, as far as can be told: of what matters as much, each caller gets his turn. */
  ahead(caller: Caller, rank: Rank): number {
    let before = 0;
    for (let higher = rank + 1; higher < RANKS; higher++) before += this.#sizes[higher];
    const own = caller.lanes[rank]?.size ?? 0;
    return before + Math.min(this.#sizes[rank], (own + 1) * this.#lanesOf(rank));
  }

  /**
   * Who has to go so that a call of this caller can wait instead: of those that matter less, or else of a caller who has more
   * waiting than his share, and then his oldest or his newest. `undefined` when nobody has to go for it.
   */
  victim(caller: Caller, rank: Rank, newestFirst: boolean): Place<Item> | undefined {
    const ownSize = caller.lanes[rank]?.size ?? 0;
    for (let least = 0; least <= rank; least++) {
      const lanes = this.#lanesOf(least);
      if (lanes === 0) continue;
      const share = this.#sizes[least] / lanes;
      if (least === rank && ownSize >= share) break;
      const lane = firstOf(this.#others[least], share) ?? firstOf(this.#modest[least], share)!;
      if (least === rank && lane.size <= ownSize + 1) break;
      return newestFirst ? lane.first : lane.last;
    }
    return undefined;
  }

  /**
   * Calls `drop` with all who have waited since `before` or longer, and takes them out; but who had less than his share keeps
   * the newest, since that is not too much.
   */
  expire(before: number, drop: (place: Place<Item>) => void): void {
    for (const lanes of [...this.#others, ...this.#modest]) {
      for (const lane of lanes) {
        const kept = lane.modest ? 1 : 0;
        for (
          let place = lane.first;
          place !== undefined && place.since <= before && lane.size > kept;
          place = lane.first
        ) {
          this.remove(place);
          drop(place);
        }
      }
    }
  }

  #lanesOf(rank: number): number {
    return this.#modest[rank].size + this.#others[rank].size;
  }
}

/** The first lane that holds so many or more. */
function firstOf<Item>(lanes: Set<Lane<Item>>, size = 0): Lane<Item> | undefined {
  for (const lane of lanes) if (lane.size >= size) return lane;
  return undefined;
}
