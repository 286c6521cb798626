/** Invariants 16, 18 and 19: servers that leave, instances that are left out, and who is picked. */
import { type CallStory, type Checker, nameOf, type Problem, type Story } from "./checker.ts";
import type { PickerRecord } from "../history.ts";

/** 16: where servers do nothing but drain, no call fails that they could let end or that could go elsewhere. */
export const drains: Checker = (story) => {
  const problems: Problem[] = [];
  if (!story.begin.drainsOnly) return problems;
  const away = awayOf(story);
  for (const one of story.calls.values()) {
    const { call, settled: [settled], runs } = one;
    if (settled?.outcome !== "unavailable" || call.fail === "unavailable" || story.isLost(call)) continue;
    // A handler that takes longer than it is given is cut, and so is what waits for one.
    const cut = runs.some(({ enter }) => wasCut(story, enter.node, settled.at)) || !call.replayed ||
      hasNested(story, one);
    // Requests of many can't be read again, and with all servers away there is nowhere to go.
    const lost = settled.executed === "no" && (call.method === "up" || call.method === "both");
    if (cut || lost || allAway(story, away, call.at, settled.at)) continue;
    const seen = `${nameOf(one)} failed, and servers did nothing but drain: ${settled.message}`;
    problems.push({ invariant: "16 drain", seen, at: settled.at });
  }
  return problems;
};

/** When each server was draining, or down after that. */
function awayOf(story: Story): Map<string, { from: number; to: number }[]> {
  const away = new Map<string, { from: number; to: number }[]>();
  for (const record of story.records) {
    const spells = away.get(record.node) ?? [];
    if (record.what === "drain") away.set(record.node, [...spells, { from: record.at, to: Infinity }]);
    else if (record.what === "listens" && spells.length > 0) spells.at(-1)!.to = record.at;
  }
  return away;
}

/** Whether there was a moment at which no server took calls. Clients hear of a server's return a little later. */
function allAway(story: Story, away: Map<string, { from: number; to: number }[]>, from: number, to: number): boolean {
  if (away.size < story.begin.servers) return false;
  const spells = [...away.values()].map((spells) => spells.map((spell) => ({ ...spell, to: spell.to + 31_000 })));
  const moments = spells.flat().flatMap(({ from }) => [from]).filter((at) => at >= from && at <= to);
  return [from, ...moments].some((at) => spells.every((of) => of.some((spell) => spell.from <= at && at <= spell.to)));
}

/** Whether a server had given all the time that it gives by then; one that is told a second time to drain gives no more. */
function wasCut(story: Story, node: string, at: number): boolean {
  const drains = story.records.filter((record) => record.what === "drain" && record.node === node && record.at <= at);
  return drains.some((record, n) =>
    record.what === "drain" &&
    (at >= record.at + record.graceMs - story.begin.slackMs || drains[n + 1]?.life === record.life)
  );
}

function hasNested(story: Story, { call }: CallStory): boolean {
  return call.parent !== undefined || story.nestedOf(call.id).length > 0;
}

/** 18: of a service's instances one in ten is ejected at most, but one may be; and none is called while enough others are left. */
export const ejections: Checker = (story) => {
  const problems: Problem[] = [];
  // A bit that flips makes one instance two.
  if (story.begin.corrupts) return problems;
  for (const record of story.records) {
    if (record.what !== "pick") continue;
    const { ejected, known, well, isEjected, at, node, endpoint } = record;
    if (ejected > Math.max(1, Math.floor(known / 10))) {
      problems.push({ invariant: "18 outlier", seen: `${node} has ejected ${ejected} of ${known}`, at });
    }
    if (isEjected && well >= known / 2) {
      const seen = `${node} picked ${endpoint}, which is ejected, and ${well} of ${known} others are well`;
      problems.push({ invariant: "18 outlier", seen, at });
    }
  }
  return problems;
};

/** 19: who is picked is in the set, turns are taken fairly, and keys move only to who has come and from who has gone. */
export const balancers: Checker = (story) => {
  const problems: Problem[] = [];
  // A bit that flips makes one instance two.
  if (story.begin.corrupts) return problems;
  const problem = (seen: string, at: number) => problems.push({ invariant: "19 balancer", seen, at });
  const pickers = new Map<string, PickerRecord>();
  const counts = new Map<string, Map<string, number>>();
  const last = new Map<string, PickerRecord>();
  for (const record of story.records) {
    if (record.what === "picker") {
      const life = `${record.node}/${record.life}`;
      pickers.set(`${life}/${record.picker}`, record);
      const before = last.get(life);
      if (before !== undefined) {
        for (const seen of needless(before, record)) problem(`${record.node}: ${seen}`, record.at);
      }
      last.set(life, record);
    } else if (record.what === "pick") {
      const name = `${record.node}/${record.life}/${record.picker}`;
      const { candidates, balancer } = pickers.get(name)!;
      const { endpoint, at, node, isKnown, round } = record;
      if (!isKnown || !candidates.includes(endpoint)) problem(`${node} picked ${endpoint}, which it does not know`, at);
      if (balancer !== "round_robin") continue;
      const count = counts.get(name) ?? new Map(candidates.map((candidate) => [candidate, 0]));
      counts.set(name, count);
      count.set(endpoint, (count.get(endpoint) ?? 0) + (round ? NaN : 1));
      const spread = Math.max(...count.values()) - Math.min(...count.values());
      if (spread > 1) problem(`${node} gave ${endpoint} ${spread} turns more than another`, at);
    }
  }
  return problems;
};

/** Keys that moved between two who were there before and after. */
function needless(before: PickerRecord, after: PickerRecord): string[] {
  const { owners: from = [] } = before;
  const { owners: to = [] } = after;
  return from.flatMap((old, key) => {
    const owner = to[key];
    const stays = old !== owner && after.candidates.includes(old) && before.candidates.includes(owner);
    return stays ? [`key ${key} moved from ${old} to ${owner}, and both were there before and after`] : [];
  });
}
