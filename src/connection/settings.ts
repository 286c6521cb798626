import type { Gate } from "../admission/gate.ts";
import type { Call, Context, Reply } from "../core/call.ts";
import type { Codec } from "../core/codec.ts";
import type { Limits } from "../core/limits.ts";
import type { Logger } from "../core/logger.ts";
import type { Platform } from "../core/platform.ts";
import type { Timers } from "../core/timers.ts";
import type { Counters } from "./counters.ts";

/** A call that came in, as far as whoever answers it must know it: a {@link Call} is made of it where somebody wants one. */
export interface Arrival extends Pick<Call, "procedure" | "kind" | "message" | "messages"> {
  /** What its handler is given. */
  readonly context: Context;
  /** Whether it brought a key, so that it may have been here before. */
  readonly keyed: boolean;
  /** The call as interceptors want it. */
  toCall(): Call;
}

/** Answers a call that came in. Like an invoker, except that an answer which is there at once need not be a promise. */
export type Responder = (arrival: Arrival) => Promise<Reply> | Reply;

/** Who a side says it is. */
export interface Identity {
  /** Its instance id, or an empty text. */
  readonly instance: string;
  /** The incarnation of the instance. */
  readonly incarnation: number;
  /** Its zone, or an empty text. */
  readonly zone: string;
  /** What it proves its identity with, or an empty text. */
  readonly token: string;
  /** Names and fingerprints of the contracts that it offers. */
  readonly contracts: ReadonlyMap<string, string>;
}

/** What all connections of one owner share. */
export interface Settings {
  /** Time and chance. */
  readonly platform: Platform;
  /** The owner's wheel of deadlines. */
  readonly timers: Timers;
  /** What a peer may cost. */
  readonly limits: Readonly<Limits>;
  /** The codecs by name; the first is that of calls which name none. */
  readonly codecs: ReadonlyMap<string, Codec>;
  /** The codec of calls which name none. */
  readonly codec: Codec;
  /** Whether frames carry checksums on connections that this side dials. */
  readonly checksums?: boolean;
  /** Who this side is. */
  readonly identity: Identity;
  /** Where things are reported. */
  readonly logger: Logger;
  /** Where things are counted. */
  readonly counters: Counters;
  /** Answers calls from the other side; without one they are `unimplemented`. */
  readonly respond: Responder | undefined;
  /** Decides which of those calls run now, wait, or are refused; without one all of them run. */
  readonly gate?: Gate;
}
