/** Invariants 17 and 18: what is sent more than once, and what is held back. */
import { type Checker, nameOf, type Problem } from "./checker.ts";

/**
 * 17: at every moment a client has tried again no more than its budget had at first and its calls have paid for; and what is
 * made to answer a call that is tried again is not tried again itself.
 *
 * What counts are attempts after a handler failed: all calls of one lost connection are one failure, and may all be retried.
 */
export const retryBudget: Checker = (story) => {
  const problems: Problem[] = [];
  const { retries, corrupts } = story.begin;
  if (corrupts) return problems;
  const clients = new Map<string, { calls: number; retries: number }>();
  const failed = new Map<string, number>();
  const attemptOf = new Map<string, number>();
  for (const record of story.records) {
    if (record.what === "call") {
      const client = `${record.node}/${record.life}`;
      const counts = clients.get(client) ?? { calls: 0, retries: 0 };
      counts.calls++;
      clients.set(client, counts);
    } else if (record.what === "leave" && record.how === "failed") {
      failed.set(record.id, (failed.get(record.id) ?? 0) + 1);
    } else if (record.what === "enter") {
      const { id, run, attempt, at } = record;
      attemptOf.set(run, attempt);
      const one = story.calls.get(id);
      if (one === undefined) continue;
      // The run that made a call is in its name.
      const parentAttempt = one.call.parent === undefined ? 0 : attemptOf.get(id.slice(id.lastIndexOf(">") + 1));
      if (parentAttempt !== undefined && parentAttempt > 0 && attempt > parentAttempt) {
        const seen = `${nameOf(one)} was tried again, and what it answers was attempt ${parentAttempt}`;
        problems.push({ invariant: "17 retry budget", seen, at });
      }
      const failures = failed.get(id) ?? 0;
      if (one.call.fail !== "unavailable" || failures === 0 || retries === undefined) continue;
      const counts = clients.get(`${one.call.node}/${one.call.life}`)!;
      counts.retries++;
      const allowed = retries.atFirst + retries.perCall * counts.calls;
      if (counts.retries > allowed) {
        const seen =
          `${one.call.node} tried ${counts.retries} times again after ${counts.calls} calls, ${allowed} are paid`;
        problems.push({ invariant: "17 retry budget", seen, at });
      }
    }
  }
  return problems;
};

/** 18: a half-open circuit breaker lets few calls through at once. That it is not stuck is seen by calls that must be answered. */
export const breakers: Checker = (story) => {
  const problems: Problem[] = [];
  const { breaker: limits } = story.begin;
  if (limits === undefined) return problems;
  /** By breaker: the calls that it let through since it is half open, and when. */
  const probing = new Map<string, Map<string, number>>();
  for (const record of story.records) {
    if (record.what !== "breaker" && record.what !== "through" && record.what !== "back") continue;
    const name = `${record.breaker} of ${record.node}/${record.life}`;
    if (record.what === "breaker") {
      if (record.state === "half_open") probing.set(name, new Map());
      else probing.delete(name);
      continue;
    }
    const running = probing.get(name);
    if (running === undefined) continue;
    if (record.what === "back") running.delete(record.id);
    else {
      running.set(record.id, record.at);
      const young = [...running.values()].filter((at) => record.at - at < limits.openMs).length;
      if (young > limits.probes) {
        const seen = `${young} calls at once through ${name}, which is half open and lets ${limits.probes} through`;
        problems.push({ invariant: "18 breaker", seen, at: record.at });
      }
    }
  }
  return problems;
};
