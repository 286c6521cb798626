/**
 * What a run leaves behind for its checkers: one record for each thing that somebody did or saw, in the order in which they
 * came about. The same records come from a simulation and from real processes, where each process writes its own as JSON lines.
 */
import type { Code } from "../../src/core/code.ts";
import type { Executed } from "../../src/core/error.ts";

/** What all records say. */
interface Base {
  /** When, in milliseconds since the run began. */
  readonly at: number;
  /** On which node, or an empty text. */
  readonly node: string;
  /** In which life of the node. */
  readonly life: number;
}

/** How a run was made, as far as checkers must know. The first record. */
export interface Begin extends Base {
  readonly what: "begin";
  /** How late anything may be that has a time. */
  readonly slackMs: number;
  /** How long a cancellation may take to arrive, where there are no faults; otherwise nobody knows. */
  readonly calmMs?: number;
  /** Whether bytes were changed on the way, so that what was read says nothing. */
  readonly corrupts: boolean;
  /** Whether servers may refuse calls because they have as many as they are to have. */
  readonly sheds: boolean;
  /** How many calls a server runs at once, where that is a number. */
  readonly limit?: number;
  /** `limits.maxStreams` of the servers. */
  readonly maxStreams: number;
  /** How large the window of a stream may become, at the servers and at the clients. */
  readonly windowBytes: { readonly server: number; readonly client: number };
  /** How many retries a client may have paid for at first, and for each call after that. Absent without a budget to speak of. */
  readonly retries?: { readonly atFirst: number; readonly perCall: number };
  /** Whether nothing happens but that servers drain. */
  readonly drainsOnly?: boolean;
  /** How many servers there are. */
  readonly servers: number;
  /** How many calls a circuit breaker lets through at once while it is half open, and how long it waits for them. */
  readonly breaker?: { readonly probes: number; readonly openMs: number };
}

/** A call begins. */
export interface CallRecord extends Base {
  readonly what: "call";
  readonly id: string;
  readonly method: string;
  readonly idempotent: boolean;
  /** How long it may take; absent when for ever. */
  readonly timeoutMs?: number;
  /** The most attempts that may run. */
  readonly maxAttempts: number;
  /** What a handler was told to fail with. */
  readonly fail?: Code;
  /** The most bytes that one of its messages has. */
  readonly messageBytes: number;
  /** The call on whose behalf it is made. */
  readonly parent?: string;
  /** Whether it may be sent to somebody else when nobody has taken it. */
  readonly replayed: boolean;
  /** Whether nothing stands in its way: it must be answered. */
  readonly must?: boolean;
  /** Whether it may be refused because something is full. */
  readonly full?: boolean;
}

/** A call is over for its caller. */
export interface Settled extends Base {
  readonly what: "settled";
  readonly id: string;
  /** `left` when the caller stopped reading. */
  readonly outcome: "ok" | "left" | Code;
  readonly executed?: Executed;
  /** Since when the caller was waiting for it, where that was not all the time. */
  readonly askedAt?: number;
  /** The error's text, for people. */
  readonly message?: string;
  /** How many requests the answer of a client stream counts. */
  readonly count?: number;
}

/** The caller got a reply. */
export interface Item extends Base {
  readonly what: "item";
  readonly id: string;
  readonly seq: number;
  /** Whether it is the reply that was sent for this call with this number, to the last byte. */
  readonly good: boolean;
  readonly bytes: number;
}

/** The caller gave a request of many. */
export interface Sent extends Base {
  readonly what: "sent";
  readonly id: string;
  readonly seq: number;
  readonly bytes: number;
}

/** A circuit breaker of the caller let a call through, or that call is back. */
export interface Guarded extends Base {
  readonly what: "through" | "back";
  readonly id: string;
  readonly breaker: string;
}

/** A circuit breaker has changed its state. */
export interface BreakerRecord extends Base {
  readonly what: "breaker";
  readonly breaker: string;
  readonly state: "closed" | "open" | "half_open";
}

/** A balancer of the caller begins anew, with other candidates. */
export interface PickerRecord extends Base {
  readonly what: "picker";
  /** Tells it from others of the same life. */
  readonly picker: number;
  readonly balancer: string;
  /** Their endpoints. */
  readonly candidates: readonly string[];
  /** Which of them has each of some keys, where it goes by keys. */
  readonly owners?: readonly string[];
}

/** A balancer of the caller has picked. */
export interface Pick extends Base {
  readonly what: "pick";
  readonly picker: number;
  readonly endpoint: string;
  /** Whether some were to be gone round. */
  readonly round: boolean;
  /** How many instances the client knows, how many of them are ejected, and how many can be called without more ado. */
  readonly known: number;
  readonly ejected: number;
  readonly well: number;
  /** Whether the one that was picked is known, and whether it is ejected. */
  readonly isKnown: boolean;
  readonly isEjected: boolean;
}

/** A server begins to drain, and lets what runs go on for so long. */
export interface Drain extends Base {
  readonly what: "drain";
  readonly graceMs: number;
}

/** A server takes calls. */
export interface Listens extends Base {
  readonly what: "listens";
}

/** The caller has no more requests. */
export interface SentAll extends Base {
  readonly what: "sent all";
  readonly id: string;
}

/** The caller takes the call back. */
export interface Cancel extends Base {
  readonly what: "cancel";
  readonly id: string;
  readonly how: "signal" | "leave";
}

/** A handler begins; `run` names this run of it, and no other. */
export interface Enter extends Base {
  readonly what: "enter";
  readonly id: string;
  readonly run: string;
  /** The connection that the call came on. */
  readonly connection: string;
  /** How much time its deadline leaves; absent when for ever. */
  readonly remainingMs?: number;
  /** How many attempts came before, here and in the calls that led here. */
  readonly attempt: number;
}

/** A handler got a request of many. */
export interface Took extends Base {
  readonly what: "took";
  readonly id: string;
  readonly run: string;
  readonly seq: number;
  readonly good: boolean;
  readonly bytes: number;
}

/** A handler has seen the end of the requests. */
export interface TookAll extends Base {
  readonly what: "took all";
  readonly id: string;
  readonly run: string;
}

/** A handler reads no more requests, though there may be some. */
export interface HadEnough extends Base {
  readonly what: "had enough";
  readonly id: string;
  readonly run: string;
}

/** A handler gives a reply of many. */
export interface Gave extends Base {
  readonly what: "gave";
  readonly id: string;
  readonly run: string;
  readonly seq: number;
  readonly bytes: number;
}

/** A handler's signal aborts. */
export interface Aborted extends Base {
  readonly what: "aborted";
  readonly id: string;
  readonly run: string;
}

/** A handler ends: `done` with all its replies, `cut` when it was left at a yield or its signal had aborted. */
export interface Leave extends Base {
  readonly what: "leave";
  readonly id: string;
  readonly run: string;
  readonly how: "done" | "failed" | "cut";
}

/** Something is done to a node; what was running in its life is lost after a crash. */
export interface NodeRecord extends Base {
  readonly what: "crash" | "pause" | "resume" | "slow" | "fast";
}

/** What a client knows of the service that the workload calls, whenever that is seen to have changed: the ids of its instances. */
export interface Knows extends Base {
  readonly what: "knows";
  readonly ids: readonly string[];
}

/** What a center lists of the service that the workload calls, whenever that is seen to have changed. */
export interface Lists extends Base {
  readonly what: "lists";
  readonly ids: readonly string[];
  /** Whether it has just started. */
  readonly warming: boolean;
}

/** A center gave a lease, or renewed it. */
export interface Lease extends Base {
  readonly what: "lease";
  readonly instance: string;
  readonly token: string;
  readonly ttlMs: number;
}

/** What a center tells of what it lists: everything afresh, or what has changed. */
interface Telling extends Base {
  readonly afresh: boolean;
  readonly epoch: string;
  readonly revision: number;
  /** In their order: `cause` says that the instance is gone, and why. */
  readonly changes: readonly ToldChange[];
}

/** One change that a center tells. */
export interface ToldChange {
  readonly id: string;
  readonly incarnation?: number;
  readonly suspect?: boolean;
  readonly cause?: string;
}

/** What a center lists has changed, as it tells itself. */
export interface Listing extends Telling {
  readonly what: "listing";
}

/** A watcher was told over the network. */
export interface Told extends Telling {
  readonly what: "told";
  readonly center: string;
}

/** From here on nothing is in anybody's way. */
export interface Calm extends Base {
  readonly what: "calm";
}

/** What a node has open, when it should have nothing. */
export interface Leak extends Base {
  readonly what: "leak";
  readonly open: string;
}

/** A node closed connections because their other side broke the protocol. */
export interface Violation extends Base {
  readonly what: "violation";
  readonly count: number;
}

/** Something failed where nobody could catch it. */
export interface Uncaught extends Base {
  readonly what: "uncaught";
  readonly message: string;
}

/** The run itself could not go on. */
export interface Stuck extends Base {
  readonly what: "stuck";
  readonly message: string;
}

/** The run is over, and everything was given the time that it needs. The last record. */
export interface End extends Base {
  readonly what: "end";
}

/** One thing that somebody did or saw. */
export type HistoryRecord =
  | Begin
  | CallRecord
  | Settled
  | Item
  | Guarded
  | BreakerRecord
  | Sent
  | SentAll
  | PickerRecord
  | Pick
  | Drain
  | Listens
  | Cancel
  | Enter
  | Took
  | TookAll
  | HadEnough
  | Gave
  | Aborted
  | Leave
  | NodeRecord
  | Knows
  | Lists
  | Lease
  | Listing
  | Told
  | Calm
  | Leak
  | Violation
  | Uncaught
  | Stuck
  | End;

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

/** A record without what its node adds. */
export type Happening = DistributiveOmit<HistoryRecord, keyof Base>;

/** Puts down what happens on one node. */
export type Recorder = (happening: Happening) => void;

/** Reads what processes wrote: records as JSON lines, among other lines, and the last one perhaps cut short. */
export function parseHistory(text: string): HistoryRecord[] {
  const records: HistoryRecord[] = [];
  for (const line of text.split("\n")) {
    if (!line.startsWith('{"at":') || !line.endsWith("}")) continue;
    records.push(JSON.parse(line));
  }
  return records;
}

/** The line of a record, for people and for hashes. */
export function lineOf({ at: _at, node: _node, life: _life, ...rest }: HistoryRecord): string {
  return JSON.stringify(rest);
}
