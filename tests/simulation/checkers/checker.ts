/** What checkers are, and what several of them want to know of a history. */
import type {
  Aborted,
  Begin,
  CallRecord,
  Cancel,
  Enter,
  HistoryRecord,
  Item,
  Leave,
  Sent,
  SentAll,
  Settled,
  Took,
  TookAll,
} from "../history.ts";

/** Something that must hold and did not. */
export interface Problem {
  /** Which invariant it is, such as `3 at most once`. */
  readonly invariant: string;
  /** What was seen. */
  readonly seen: string;
  /** When. */
  readonly at: number;
}

/** Reads the history of a run, and says what must not be. */
export type Checker = (story: Story) => Problem[];

/** One run of a handler. */
export interface RunStory {
  readonly enter: Enter;
  readonly took: Took[];
  tookAll: TookAll | undefined;
  readonly gave: { readonly at: number; readonly seq: number; readonly bytes: number }[];
  aborted: Aborted | undefined;
  readonly leaves: Leave[];
}

/** One call, with all that was put down of it. */
export interface CallStory {
  readonly call: CallRecord;
  readonly settled: Settled[];
  readonly items: Item[];
  readonly sent: Sent[];
  sentAll: SentAll | undefined;
  readonly cancels: Cancel[];
  readonly runs: RunStory[];
}

/** A history, sorted. */
export class Story {
  readonly records: readonly HistoryRecord[];
  readonly begin: Begin;
  readonly calls: ReadonlyMap<string, CallStory>;
  /** When each life of a node was lost, by `node/life`. */
  readonly #crashes = new Map<string, number>();
  readonly #nested = new Map<string, CallStory[]>();
  /** When each node stood still or was slow. */
  readonly #still = new Map<string, { what: "pause" | "slow"; from: number; to: number }[]>();

  /** @throws {TypeError} when the first record is not `begin` */
  constructor(records: readonly HistoryRecord[]) {
    const [begin] = records;
    if (begin?.what !== "begin") throw new TypeError('Cannot read a history: its first record must be "begin"');
    this.records = records;
    this.begin = begin;
    this.calls = this.#sort();
  }

  /** Whether the life that a record is of was lost, sooner or later. */
  isLost({ node, life }: { node: string; life: number }): boolean {
    return this.#crashes.has(`${node}/${life}`);
  }

  /** When the life that a record is of was lost. */
  lostAt({ node, life }: { node: string; life: number }): number | undefined {
    return this.#crashes.get(`${node}/${life}`);
  }

  /** For how long a node stood still between two times. */
  stillBetween(node: string, from: number, to: number): number {
    let ms = 0;
    for (const still of this.#still.get(node) ?? []) {
      if (still.what === "pause") ms += Math.max(0, Math.min(to, still.to) - Math.max(from, still.from));
    }
    return ms;
  }

  /** How late a node was between two times with what it does every so often, because it stood still: at least. */
  lateBetween(node: string, from: number, to: number, everyMs: number): number {
    let ms = 0;
    for (const still of this.#still.get(node) ?? []) {
      if (still.what !== "pause") continue;
      ms += Math.max(0, Math.min(to, still.to) - Math.max(from, still.from) - everyMs);
    }
    return ms;
  }

  /** Until when something that was due on a node at `due` may be late, because the node stood still. */
  excusedUntil(node: string, due: number): number {
    let until = due;
    for (const { from, to } of this.#still.get(node) ?? []) {
      if (from <= until + this.begin.slackMs && to > until) until = to;
    }
    return until;
  }

  /** The calls that handlers of a call made on its behalf. */
  nestedOf(id: string): readonly CallStory[] {
    return this.#nested.get(id) ?? [];
  }

  #sort(): Map<string, CallStory> {
    const calls = new Map<string, CallStory>();
    const runs = new Map<string, RunStory>();
    const early: Enter[] = [];
    for (const record of this.records) {
      const { at, node } = record;
      switch (record.what) {
        case "call":
          calls.set(record.id, {
            call: record,
            settled: [],
            items: [],
            sent: [],
            sentAll: undefined,
            cancels: [],
            runs: [],
          });
          break;
        case "settled":
          calls.get(record.id)?.settled.push(record);
          break;
        case "item":
          calls.get(record.id)?.items.push(record);
          break;
        case "sent":
          calls.get(record.id)?.sent.push(record);
          break;
        case "sent all":
          calls.get(record.id)!.sentAll = record;
          break;
        case "cancel":
          calls.get(record.id)?.cancels.push(record);
          break;
        case "enter": {
          const run: RunStory = {
            enter: record,
            took: [],
            tookAll: undefined,
            gave: [],
            aborted: undefined,
            leaves: [],
          };
          runs.set(record.run, run);
          const story = calls.get(record.id);
          if (story === undefined) early.push(record);
          else story.runs.push(run);
          break;
        }
        case "took":
          runs.get(record.run)?.took.push(record);
          break;
        case "took all":
          runs.get(record.run)!.tookAll = record;
          break;
        case "gave":
          runs.get(record.run)?.gave.push(record);
          break;
        case "aborted":
          runs.get(record.run)!.aborted = record;
          break;
        case "leave":
          runs.get(record.run)?.leaves.push(record);
          break;
        case "crash":
          this.#crashes.set(`${node}/${record.life}`, at);
          // The machine that is slow is no quicker when its program has begun anew.
          this.#endStill(node, at, "pause");
          break;
        case "pause":
        case "slow": {
          const still = this.#still.get(node);
          const one = { what: record.what, from: at, to: Infinity };
          if (still === undefined) this.#still.set(node, [one]);
          else still.push(one);
          break;
        }
        // A node that is paused while it is slow does not go on because it would be quick again.
        case "resume":
          this.#endStill(node, at, "pause");
          break;
        case "fast":
          this.#endStill(node, at, "slow");
          break;
      }
    }
    // Clocks of two processes differ by a hair: a handler may seem to begin before its call does.
    for (const one of calls.values()) {
      const { parent } = one.call;
      if (parent === undefined) continue;
      const others = this.#nested.get(parent);
      if (others === undefined) this.#nested.set(parent, [one]);
      else others.push(one);
    }
    for (const enter of early) calls.get(enter.id)?.runs.push(runs.get(enter.run)!);
    return calls;
  }

  #endStill(node: string, at: number, what: "pause" | "slow"): void {
    for (const one of this.#still.get(node) ?? []) {
      if (one.to === Infinity && one.what === what) one.to = at;
    }
  }
}

/** A run's or call's place in a report. */
export function nameOf({ call }: CallStory): string {
  return `${call.id} (${call.method}, from ${call.node})`;
}
