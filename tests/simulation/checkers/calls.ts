/** Invariants 1 to 4 and 8: how calls end, when, how often they run, and what cancelling does. */
import type { Checker, Problem } from "./checker.ts";
import { nameOf } from "./checker.ts";

/** 1: every call ends exactly once, unless its caller is lost. */
export const settleOnce: Checker = (story) => {
  const problems: Problem[] = [];
  for (const one of story.calls.values()) {
    const { settled, call } = one;
    if (settled.length > 1) {
      problems.push(problem("1 settle once", `${nameOf(one)} ended ${settled.length} times`, settled[1].at));
    } else if (settled.length === 0 && !story.isLost(call)) {
      problems.push(problem("1 settle once", `${nameOf(one)} never ended`, call.at));
    }
  }
  return problems;
};

/** 2: calls end by their deadlines and not before; handlers learn of them, and are given no more time than the caller has. */
export const deadlines: Checker = (story) => {
  const problems: Problem[] = [];
  const { slackMs, corrupts } = story.begin;
  for (const one of story.calls.values()) {
    const { call, settled: [settled], runs } = one;
    const { timeoutMs } = call;
    if (timeoutMs !== undefined && settled !== undefined) {
      const dueAt = call.at + timeoutMs;
      const late = settled.at - story.excusedUntil(call.node, Math.max(dueAt, settled.askedAt ?? 0));
      const noticedAt = story.excusedUntil(call.node, dueAt) + slackMs;
      // What was answered before the caller could notice may be read later.
      const inTime = runs.some(({ enter, leaves: [leave] }) =>
        leave === undefined ? story.isLost(enter) : leave.at <= noticedAt
      );
      const item = one.items.find((item) => item.at > noticedAt);
      if (item !== undefined && !inTime) {
        problems.push(problem("2 deadline", `${nameOf(one)} got reply ${item.seq} after its deadline`, item.at));
      }
      if (late > slackMs && settled.outcome !== "left") {
        problems.push(problem("2 deadline", `${nameOf(one)} ended ${ms(late)} after its deadline`, settled.at));
      }
      const theirs = story.nestedOf(call.id).some((other) => other.settled[0]?.outcome === "deadline_exceeded");
      if (settled.outcome === "deadline_exceeded" && !theirs && !corrupts && dueAt - settled.at > slackMs) {
        problems.push(
          problem(
            "2 deadline",
            `${nameOf(one)} was too late ${ms(dueAt - settled.at)} before its deadline`,
            settled.at,
          ),
        );
      }
    }
    const hadNone = timeoutMs === undefined && call.parent === undefined && !corrupts;
    if (settled?.outcome === "deadline_exceeded" && hadNone) {
      problems.push(problem("2 deadline", `${nameOf(one)} was too late and had no deadline`, settled.at));
    }
    if (corrupts) continue;
    for (const { enter, aborted, leaves } of runs) {
      const { remainingMs = Infinity } = enter;
      if (remainingMs > (timeoutMs ?? Infinity) + 1) {
        problems.push(
          problem(
            "2 deadline",
            `run ${enter.run} of ${nameOf(one)} was given ${ms(remainingMs)} of ${timeoutMs}`,
            enter.at,
          ),
        );
      }
      if (timeoutMs !== undefined && remainingMs === Infinity) {
        problems.push(problem("2 deadline", `run ${enter.run} of ${nameOf(one)} was given no deadline`, enter.at));
      }
      if (remainingMs === Infinity || story.isLost(enter)) continue;
      const toldAt = Math.min(aborted?.at ?? Infinity, leaves[0]?.at ?? Infinity);
      const late = toldAt - story.excusedUntil(enter.node, enter.at + remainingMs);
      if (late > slackMs) {
        problems.push(
          problem("2 deadline", `run ${enter.run} of ${nameOf(one)} went on ${ms(late)} after its deadline`, enter.at),
        );
      }
    }
  }
  return problems;
};

/** 3: what is not idempotent runs at most once, and exactly once when it succeeds; what is, no oftener than there are attempts. */
export const atMostOnce: Checker = (story) => {
  const problems: Problem[] = [];
  if (story.begin.corrupts) return problems;
  for (const one of story.calls.values()) {
    const { call, runs, settled: [settled] } = one;
    if (runs.length > call.maxAttempts) {
      problems.push(
        problem(
          "3 at most once",
          `${nameOf(one)} ran ${runs.length} times of ${call.maxAttempts}`,
          runs.at(-1)!.enter.at,
        ),
      );
    }
    if (settled?.outcome === "ok" && call.method !== "note" && runs.length === 0) {
      problems.push(problem("3 at most once", `${nameOf(one)} was answered and never ran`, settled.at));
    }
  }
  return problems;
};

/** 4: an error that says that nothing ran tells the truth, and so does one that says the opposite; and its code can be. */
export const truthOfErrors: Checker = (story) => {
  const problems: Problem[] = [];
  if (story.begin.corrupts) return problems;
  for (const one of story.calls.values()) {
    const { call, runs, settled: [settled], cancels } = one;
    if (settled === undefined || settled.outcome === "ok" || settled.outcome === "left") continue;
    const { outcome, executed, message } = settled;
    if (executed === "no" && runs.length > 0) {
      problems.push(problem("4 truth", `${nameOf(one)} says that nothing ran, and it did: ${message}`, settled.at));
    }
    if (executed === "yes" && runs.length === 0) {
      problems.push(problem("4 truth", `${nameOf(one)} says that it ran, and nothing did: ${message}`, settled.at));
    }
    const nested = story.nestedOf(call.id);
    const possible = outcome === call.fail || outcome === "unavailable" || outcome === "deadline_exceeded" ||
      (outcome === "cancelled" && (cancels.length > 0 || call.parent !== undefined)) ||
      (outcome === "resource_exhausted" && (call.full || story.begin.sheds)) ||
      nested.some((other) => other.settled[0]?.outcome === outcome);
    if (!possible) problems.push(problem("4 truth", `${nameOf(one)} ended with ${outcome}: ${message}`, settled.at));
    if (call.must && !(outcome === "resource_exhausted" && story.begin.sheds)) {
      problems.push(
        problem(
          "22 progress",
          `${nameOf(one)} failed with ${outcome} and nothing was in its way: ${message}`,
          settled.at,
        ),
      );
    }
  }
  return problems;
};

/** 8: whoever takes a call back gets nothing more of it, and its handlers learn of that. */
export const cancels: Checker = (story) => {
  const problems: Problem[] = [];
  const { calmMs, slackMs, corrupts } = story.begin;
  for (const one of story.calls.values()) {
    const [cancel] = one.cancels;
    if (cancel === undefined) continue;
    const at = story.records.indexOf(cancel);
    const late = one.items.find((item) => story.records.indexOf(item) > at);
    if (late !== undefined) {
      problems.push(
        problem("8 cancel", `${nameOf(one)} was taken back, and got reply ${late.seq} after that`, late.at),
      );
    }
    if (calmMs === undefined || corrupts) continue;
    for (const { enter, aborted, leaves } of one.runs) {
      if (one.call.method === "note") continue;
      const toldAt = Math.min(aborted?.at ?? Infinity, leaves[0]?.at ?? Infinity);
      const after = toldAt - Math.max(cancel.at, enter.at);
      if (after > calmMs + slackMs) {
        problems.push(
          problem(
            "8 cancel",
            `run ${enter.run} of ${nameOf(one)} learned ${ms(after)} late that it was taken back`,
            cancel.at,
          ),
        );
      }
    }
  }
  return problems;
};

function problem(invariant: string, seen: string, at: number): Problem {
  return { invariant, seen, at };
}

function ms(time: number): string {
  return `${Math.round(time)} ms`;
}
