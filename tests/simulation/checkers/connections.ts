/** Invariant 7: how many handlers run at once for one connection; and that both sides keep to the protocol. */
import type { Checker, Problem } from "./checker.ts";

/** 7: never more handlers run for one connection than it has places, those of calls that were taken back included. */
export const concurrency: Checker = (story) => {
  const problems: Problem[] = [];
  const running = new Map<string, Set<string>>();
  const connectionOf = new Map<string, string>();
  for (const record of story.records) {
    if (record.what === "enter") {
      const connection = `${record.node}/${record.life} from ${record.connection}`;
      const runs = running.get(connection) ?? new Set();
      running.set(connection, runs.add(record.run));
      connectionOf.set(record.run, connection);
      if (runs.size > story.begin.maxStreams) {
        const seen = `${runs.size} handlers run at once on ${connection}, where ${story.begin.maxStreams} may`;
        problems.push({ invariant: "7 concurrency", seen, at: record.at });
      }
    } else if (record.what === "leave") running.get(connectionOf.get(record.run) ?? "")?.delete(record.run);
  }
  return problems.slice(0, 1);
};

/** Two sides of ours never break the protocol. */
export const protocolKept: Checker = (story) =>
  story.records.filter((record) => record.what === "violation").map((record) => ({
    invariant: "23 protocol",
    seen: `${record.node} saw its peers break the protocol ${record.count} times`,
    at: record.at,
  }));
