/** Invariants 11, 13 and 14: who is there is known to all; and nobody forgets everybody because a center did. */
import type { HistoryRecord, Knows, Lists } from "../history.ts";
import type { Checker, Problem } from "./checker.ts";

/**
 * How long after everything was healed all know the same: what was lost without a word is noticed within 20 s, a center is dialled
 * again within 7 s, and then there are two beats.
 */
const CONVERGED_MS = 20_000 + 7_000 + 2 * 5_500;
/** How late a client may hear what a center listed: so long it may have been cut off from it, or have stood still. */
const LATE_MS = 60_000;

/**
 * 11 and 13: once nothing is in anybody's way, every center lists all servers, every client knows them all and nobody else, and so
 * it stays.
 */
export const convergence: Checker = (story) => {
  const calm = story.records.find((record) => record.what === "calm");
  const views = story.records.filter(isView);
  if (calm === undefined || !views.some(({ what }) => what === "lists") || story.begin.corrupts) return [];
  const servers = [...new Set(views.flatMap(({ ids }) => ids))].sort().join();
  const from = calm.at + CONVERGED_MS;
  const problems: Problem[] = [];
  for (const life of livesOf(views)) {
    const last = life.filter(({ at }) => at <= from).at(-1);
    const { node, life: number } = life[0];
    if (story.isLost({ node, life: number })) continue;
    for (const view of [...last === undefined ? [] : [last], ...life.filter(({ at }) => at > from)]) {
      if ([...view.ids].sort().join() === servers) continue;
      const seen = `${node} ${view.what} ${view.ids.join() || "nobody"} of ${servers}`;
      problems.push({ invariant: "13 convergence", seen, at: Math.max(from, view.at) });
    }
  }
  return problems.slice(0, 1);
};

/** 14: a client that knew somebody knows nobody only if a center said that they left, or that nobody is there and not just started. */
export const noEmptyShock: Checker = (story) => {
  const views = story.records.filter(isView);
  const centers = livesOf(views.filter(({ what }) => what === "lists")) as Lists[][];
  if (centers.length === 0 || story.begin.corrupts) return [];
  const listings = story.records.filter((record) => record.what === "listing");
  const problems: Problem[] = [];
  for (const life of livesOf(views.filter(({ what }) => what === "knows"))) {
    for (const [i, view] of life.entries()) {
      if (i === 0 || view.ids.length > 0) continue;
      const before = life[i - 1];
      const [from, to] = [before.at - LATE_MS, view.at];
      const left = listings.filter(({ at }) => at >= from && at <= to).flatMap(({ changes }) =>
        changes.filter(({ cause }) => cause !== undefined).map(({ id }) => id)
      );
      if (before.ids.every((id) => left.includes(id)) || centers.some((lists) => saidNobody(lists, from, to))) continue;
      const seen = `${view.node} knew ${before.ids.join()} and then nobody`;
      problems.push({ invariant: "14 empty shock", seen, at: view.at });
    }
  }
  return problems.slice(0, 1);
};

/** Whether a center that had not just started listed nobody at some time between. */
function saidNobody(lists: readonly Lists[], from: number, to: number): boolean {
  return lists.some(({ at, ids, warming }, i) =>
    ids.length === 0 && !warming && at <= to && (lists[i + 1]?.at ?? Infinity) >= from
  );
}

function isView(record: HistoryRecord): record is Knows | Lists {
  return record.what === "knows" || record.what === "lists";
}

/** What was seen of each life of each node, in order. */
function livesOf<View extends Knows | Lists>(views: readonly View[]): View[][] {
  return [...Map.groupBy(views, ({ node, life }) => `${node}/${life}`).values()];
}
