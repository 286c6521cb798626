/** Invariants 20 to 22: nothing is left, nothing crashed, nothing stood still. */
import type { Checker } from "./checker.ts";

/** 20: when everything was closed, nothing is open; and every handler has ended that was not lost. */
export const noLeaks: Checker = (story) => {
  const problems = story.records.filter((record) => record.what === "leak").map((record) => ({
    invariant: "20 leaks",
    seen: `${record.node}: ${record.open}`,
    at: record.at,
  }));
  for (const { runs } of story.calls.values()) {
    for (const { enter, leaves } of runs) {
      if (leaves.length > 0 || story.isLost(enter)) continue;
      problems.push({ invariant: "20 leaks", seen: `run ${enter.run} of ${enter.id} never ended`, at: enter.at });
    }
  }
  return problems;
};

/** 21: nothing fails where nobody can catch it. */
export const noCrash: Checker = (story) =>
  story.records.filter((record) => record.what === "uncaught").map((record) => ({
    invariant: "21 crash",
    seen: record.message,
    at: record.at,
  }));

/** 22: something is always going to happen while anybody waits; and the run comes to its end. */
export const progress: Checker = (story) => {
  const problems = story.records.filter((record) => record.what === "stuck").map((record) => ({
    invariant: "22 progress",
    seen: record.message,
    at: record.at,
  }));
  const last = story.records.at(-1)!;
  if (problems.length === 0 && last.what !== "end") {
    problems.push({ invariant: "22 progress", seen: "the run did not come to its end", at: last.at });
  }
  return problems;
};
