import { below, fraction, type Random } from "../core/platform.ts";

/**
 * Draws places of a list, each as likely as its weight says, in a time that does not grow with the list.
 *
 * @param weights of the mean 1; `undefined` when all are as likely
 * @see Vose, "A linear algorithm for generating random numbers with a given distribution", 1991
 */
export function drawer(length: number, weights: Float64Array | undefined, random: Random): () => number {
  if (weights === undefined) return () => below(random, length);
  // Each place is a column of height 1: its own part at the bottom, and above that another's, which has too much.
  const own = weights.slice();
  const other = new Uint32Array(length);
  const low: number[] = [];
  const high: number[] = [];
  for (let place = 0; place < length; place++) (own[place] < 1 ? low : high).push(place);
  while (low.length > 0 && high.length > 0) {
    const [needy, giver] = [low.pop()!, high.at(-1)!];
    other[needy] = giver;
    own[giver] -= 1 - own[needy];
    if (own[giver] < 1) low.push(high.pop()!);
  }
  // What rounding has left over is a full column.
  for (const place of [...low, ...high]) own[place] = 1;
  return () => {
    const place = below(random, length);
    return fraction(random) < own[place] ? place : other[place];
  };
}
