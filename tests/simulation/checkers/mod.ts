/** All checkers. A group of invariants has a file of its own; what is listed here is checked in every run, simulated or real. */
import { atMostOnce, cancels, deadlines, settleOnce, truthOfErrors } from "./calls.ts";
import { type Checker, type Problem, Story } from "./checker.ts";
import { admission, concurrency, protocolKept } from "./connections.ts";
import { balancers, drains, ejections } from "./cluster.ts";
import { breakers, retryBudget } from "./guards.ts";
import { convergence, noEmptyShock } from "./listings.ts";
import { noCrash, noLeaks, progress } from "./ending.ts";
import { fencing, leaseLowerBound, leaseUpperBound, watches } from "./leases.ts";
import { backpressure, streams } from "./streams.ts";
import type { HistoryRecord } from "../history.ts";

const CHECKERS: readonly Checker[] = [
  settleOnce,
  deadlines,
  atMostOnce,
  truthOfErrors,
  streams,
  backpressure,
  concurrency,
  admission,
  protocolKept,
  cancels,
  convergence,
  noEmptyShock,
  retryBudget,
  breakers,
  drains,
  ejections,
  balancers,
  leaseLowerBound,
  leaseUpperBound,
  watches,
  fencing,
  noLeaks,
  noCrash,
  progress,
];

/** What must not be in a history, the first thing first. */
export function check(history: readonly HistoryRecord[]): Problem[] {
  const story = new Story(history);
  return CHECKERS.flatMap((checker) => checker(story)).sort((a, b) => a.at - b.at);
}
