/** What calls have in common, and what most of them never have: both stand apart from the calls, which are made by the million. */
import type { CallInit } from "./call.ts";
import type { Codec } from "./codec.ts";
import type { Criticality } from "./criticality.ts";
import type { DedupeKey, ServedBy } from "./dedupe.ts";
import type { Attempt } from "./explanation.ts";
import { checkText } from "./options.ts";
import type { MethodKind } from "./service.ts";

/** The longest hash key, in UTF-16 units, each of which takes three bytes at most: on the wire its length has two. */
const MAX_HASH_KEY = 20_000;

/** What is called, and on which terms: the same object for all calls that say nothing else. See the call's own properties. */
export interface CallTerms {
  readonly procedure: string;
  readonly service: string;
  readonly kind: MethodKind;
  readonly idempotent: boolean;
  readonly codec: Codec | undefined;
  readonly hashKey: string | undefined;
  readonly waitForReady: boolean;
  readonly retry: boolean;
  readonly instance: string | undefined;
  readonly attempt: number;
  readonly hop: number;
  readonly criticality: Criticality;
  readonly dedupe: DedupeKey | undefined;
}

/** What has become of a call so far. Replaced as a whole. See the call's own properties. */
export interface CallPast {
  readonly avoid: readonly string[] | undefined;
  readonly bound: ServedBy | undefined;
  readonly servedBy: ServedBy | undefined;
  readonly elsewhere: boolean;
  readonly hedge: boolean;
  readonly history: Attempt[] | undefined;
  readonly requestsTaken: boolean;
  /** Whether this attempt's failure is in `history`. */
  readonly noted: boolean;
}

/** The past of a call that has none. */
export const NO_PAST: CallPast = Object.freeze({
  avoid: undefined,
  bound: undefined,
  servedBy: undefined,
  elsewhere: false,
  hedge: false,
  history: undefined,
  requestsTaken: false,
  noted: false,
});

/** The terms of a call that is made from this. @throws {RangeError} {TypeError} when the hash key can't travel */
export function termsOf(init: Omit<CallInit, "message" | "messages">): CallTerms {
  const { procedure, hashKey } = init;
  return {
    procedure,
    service: init.service ?? procedure.slice(0, procedure.indexOf("/")),
    kind: init.kind,
    idempotent: init.idempotent === true,
    codec: init.codec,
    // Checked here, whoever makes it: what can't travel would spoil the frame, and with it the connection.
    hashKey: hashKey === undefined ? undefined : checkText("hashKey", hashKey, MAX_HASH_KEY),
    waitForReady: init.waitForReady === true,
    retry: init.retry !== false,
    instance: init.instance,
    attempt: init.attempt ?? 0,
    hop: init.hop ?? 0,
    criticality: init.criticality ?? "default",
    dedupe: init.dedupe,
  };
}
