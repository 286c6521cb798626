/**
 * How many characters have to be added, left out, replaced, or exchanged with their neighbour to make one text the other.
 * @see Damerau, "A technique for computer detection and correction of spelling errors", 1964 (restricted form)
 */
export function editDistance(from: string, to: string): number {
  let twoBack: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, j) => j);
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    for (let j = 1; j <= to.length; j++) {
      const same = from[i - 1] === to[j - 1];
      row[j] = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1));
      const swapped = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      if (swapped) row[j] = Math.min(row[j], twoBack[j - 2] + 1);
    }
    [twoBack, last] = [last, row];
  }
  return last[to.length];
}

/** The name that was probably meant, or `undefined` when none is near: a third of the characters may be wrong, not all. */
export function suggest(typed: string, names: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Infinity;
  for (const name of names) {
    const length = Math.max(typed.length, name.length);
    const distance = editDistance(typed, name);
    if (distance >= bestDistance || distance > Math.ceil(length / 3) || distance >= length) continue;
    best = name;
    bestDistance = distance;
  }
  return best;
}
