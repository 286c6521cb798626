/** Invariants 9, 10, 12 and 15: how long leases last, what watchers are told, and who wins when two have one name. */
import type { Lease, Listing, Told } from "../history.ts";
import type { Checker, Problem, Story } from "./checker.ts";

/** How often a registry looks through its leases. */
const LOOK_MS = 1_000;
/** How late a registry may be: it looks through its leases every second, and hears what has arrived before it ends any. */
const SWEEP_MS = 1_500;

/**
 * 9: an instance is not taken off before its time to live has passed since the registry last heard of it, and as much more as the
 * registry was late. It is late when it stands still at a time at which it wanted to look through its leases, from then on; of when
 * that would have been this knows only that it is a second after the last time, at most.
 */
export const leaseLowerBound: Checker = (story) => {
  const problems: Problem[] = [];
  for (const records of byLife(story)) {
    const leases = new Map<string, Lease>();
    for (const record of records) {
      if (record.what === "lease") leases.set(record.instance, record);
      else {
        for (const { id, cause } of record.changes) {
          const lease = leases.get(id);
          if (cause !== "expired" || lease === undefined) continue;
          const lateMs = story.lateBetween(record.node, lease.at, record.at, LOOK_MS);
          const leftMs = lease.at + lease.ttlMs + lateMs - record.at;
          if (leftMs <= 1) continue;
          const seen =
            `${record.node} took ${id} off with ${Math.round(leftMs)} of ${lease.ttlMs} ms left, having been ` +
            `${Math.round(lateMs)} ms late`;
          problems.push({ invariant: "9 lease", seen, at: record.at });
        }
      }
    }
  }
  return problems;
};

/** 10: an instance is not listed for much longer than that either, unless it is said that this is in doubt. */
export const leaseUpperBound: Checker = (story) => {
  const problems: Problem[] = [];
  const last = story.records.at(-1)!.at;
  for (const records of byLife(story)) {
    const leases = new Map<string, Lease>();
    const { node, life } = records[0];
    const end = story.lostAt({ node, life }) ?? last;
    const look = (id: string, at: number) => {
      const lease = leases.get(id);
      if (lease === undefined) return;
      leases.delete(id);
      const overMs = at - lease.at - lease.ttlMs - story.stillBetween(node, lease.at, at);
      if (overMs <= SWEEP_MS + story.begin.slackMs) return;
      const seen = `${node} listed ${id} for ${Math.round(overMs)} ms after its lease was over`;
      problems.push({ invariant: "10 lease", seen, at });
    };
    for (const record of records) {
      if (record.what === "lease") leases.set(record.instance, record);
      else {
        for (const { id, suspect, cause } of record.changes) if (suspect || cause !== undefined) look(id, record.at);
      }
    }
    for (const id of [...leases.keys()]) look(id, end);
  }
  return problems;
};

/** 12: what a watcher is told rises from revision to revision, and adds up to what the center lists. */
export const watches: Checker = (story) => {
  const problems: Problem[] = [];
  if (story.begin.corrupts) return problems;
  const truth = new Map<string, Map<number, string>>();
  for (const records of byLife(story)) {
    const listed = new Map<string, string>();
    for (const record of records) {
      if (record.what !== "listing") continue;
      apply(listed, record);
      const known = truth.get(record.epoch) ?? new Map<number, string>();
      truth.set(record.epoch, known.set(record.revision, textOf(listed)));
    }
  }
  const watchers = new Map<string, { listed: Map<string, string>; epoch: string; revision: number }>();
  for (const record of story.records) {
    if (record.what !== "told") continue;
    const name = `${record.node}/${record.life} at ${record.center}`;
    const before = watchers.get(name);
    const listed = before?.listed ?? new Map<string, string>();
    const add = (seen: string) => void problems.push({ invariant: "12 watch", seen: `${name} ${seen}`, at: record.at });
    if (before === undefined && !record.afresh) add("began with changes");
    if (before !== undefined && before.epoch === record.epoch) {
      const least = before.revision + (record.afresh || record.changes.length === 0 ? 0 : 1);
      if (record.revision < least) add(`was told of revision ${record.revision} after ${before.revision}`);
    } else if (before !== undefined && !record.afresh) {
      add(`went from epoch ${before.epoch} to ${record.epoch} with changes`);
    }
    const stranger = apply(listed, record);
    if (stranger !== undefined) add(`was told that ${stranger} is gone, which it never knew`);
    watchers.set(name, { listed, epoch: record.epoch, revision: record.revision });
    const expected = truth.get(record.epoch)?.get(record.revision);
    if (expected !== undefined && expected !== textOf(listed)) {
      add(`knows ${textOf(listed)} at revision ${record.revision}, where ${expected} are listed`);
    }
  }
  return problems.slice(0, 3);
};

/** 15: an older life of a server never takes the place of a newer one. */
export const fencing: Checker = (story) => {
  const problems: Problem[] = [];
  for (const records of byLife(story)) {
    const newest = new Map<string, number>();
    for (const record of records) {
      if (record.what !== "listing") continue;
      for (const { id, incarnation } of record.changes) {
        const before = newest.get(id) ?? -1;
        if (incarnation === undefined) {
          newest.delete(id);
          continue;
        }
        if (incarnation < before) {
          const seen = `${record.node} lists incarnation ${incarnation} of ${id} instead of ${before}`;
          problems.push({ invariant: "15 fencing", seen, at: record.at });
        }
        newest.set(id, incarnation);
      }
    }
  }
  return problems;
};

/** What each life of each center did, in order. */
function byLife(story: Story): (Lease | Listing)[][] {
  const records = story.records.filter((record) => record.what === "lease" || record.what === "listing");
  return [...Map.groupBy(records, ({ node, life }) => `${node}/${life}`).values()];
}

/** Brings a list up to date. Gives who is gone and was not in it, if somebody is. */
function apply(listed: Map<string, string>, { afresh, changes }: Listing | Told): string | undefined {
  let stranger: string | undefined;
  if (afresh) listed.clear();
  for (const { id, incarnation, suspect, cause } of changes) {
    if (cause === undefined) listed.set(id, `${id}@${incarnation}${suspect ? "?" : ""}`);
    else if (!listed.delete(id)) stranger = id;
  }
  return stranger;
}

function textOf(listed: ReadonlyMap<string, string>): string {
  return [...listed.values()].sort().join(" ") || "nobody";
}
