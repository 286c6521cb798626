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

/** 7 as well: never more handlers run on a server than its admission lets in, whatever became of their callers. */
export const admission: Checker = (story) => {
  const { limit = Infinity } = story.begin;
  const running = new Map<string, Set<string>>();
  for (const record of story.records) {
    if (record.what !== "enter" && record.what !== "leave") continue;
    const server = `${record.node}/${record.life}`;
    const runs = running.get(server) ?? new Set();
    running.set(server, runs);
    if (record.what === "leave") runs.delete(record.run);
    else if (runs.add(record.run).size > limit) {
      const seen = `${runs.size} handlers run at once on ${server}, where ${limit} may (admission.limit)`;
      return [{ invariant: "7 concurrency", seen, at: record.at }];
    }
  }
  return [];
};

/** Two sides of ours never break the protocol. */
export const protocolKept: Checker = (story) =>
  story.records.filter((record) => record.what === "violation").map((record) => ({
    invariant: "23 protocol",
    seen: `${record.node} saw its peers break the protocol ${record.count} times`,
    at: record.at,
  }));
