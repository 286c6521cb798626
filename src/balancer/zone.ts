/**
 * Where instances and clients stand: a path from the large to the small, `region/zone`, such as `eu-west/a`. It may have more
 * parts than two, or one. An empty text says nothing.
 */

/**
 * How near two places are to each other: the number of parts that they have in common, from the front; `Infinity` for the
 * same place, and 0 where one of them is unknown.
 */
export function nearness(one: string, other: string): number {
  if (one === "" || other === "") return 0;
  if (one === other) return Infinity;
  const [parts, others] = [one.split("/"), other.split("/")];
  let common = 0;
  while (common < parts.length && common < others.length && parts[common] === others[common]) common++;
  return common;
}
