/** What the parts of the bench have in common: each measures one kind of work, in processes of its own, and gives a table. */
import type { Child } from "./child.ts";

/** How long to measure. */
export interface RunOptions {
  /** How long each contender runs before it counts, in milliseconds. */
  readonly warmupMs: number;
  /** How long each measurement takes, in milliseconds. */
  readonly ms: number;
  /** How often each contender has its turn. */
  readonly rounds: number;
}

/** One part of the bench. */
export interface Section {
  /** Its name, for `--only`. */
  readonly name: string;
  /** What its processes do, by the name of their role. Each runs until its input ends. */
  readonly roles: Readonly<Record<string, (...args: string[]) => Promise<void>>>;
  /** Flags of the engine for its processes. Default: none. */
  readonly v8Flags?: readonly string[];
  /** Measures. `start` starts a process in one of its roles; whoever starts one disposes it. */
  run(options: RunOptions, start: (role: string, ...args: string[]) => Promise<Child>): Promise<Table>;
}

/** What a section found. */
export interface Table {
  /** What was measured. */
  readonly title: string;
  /** What is printed of each row, from left to right. */
  readonly columns: readonly Column[];
  /** Everything that was measured, in the order in which it is printed. */
  readonly rows: readonly Row[];
  /** What was left out, and what it needs. Default: nothing. */
  readonly skipped?: readonly string[];
}

/** One figure of each row. */
export interface Column {
  /** Its name in the rows. */
  readonly key: string;
  /** The name of another figure, when both together are a range. */
  readonly upTo?: string;
  /** Its name for people, with the unit. */
  readonly title: string;
  /** How many digits behind the point. Default 0. */
  readonly digits?: number;
}

/** What one contender did under one load. */
export type Row = Readonly<Record<string, string | number>>;
