/** Why a call is refused. None of them ran; each may go elsewhere at once, or come again later. */
export class Refusal {
  /** What it is counted as. */
  readonly cause: RefusalCause;
  /** What the caller is told. */
  readonly message: string;
  /** The same as it goes on the wire; whoever needs it first makes it. */
  encoded: Uint8Array | undefined = undefined;

  constructor(cause: RefusalCause, message: string) {
    this.cause = cause;
    this.message = message;
  }
}

/** What a refused call is counted as. */
export type RefusalCause = "full" | "tooLate" | "overloaded" | "memory";

/** As many wait as may. */
export const FULL: Refusal = new Refusal(
  "full",
  "Cannot take the call: as many wait as may (admission.maxWaiting)",
);
/** Their messages hold as many bytes as may. */
export const FULL_OF_BYTES: Refusal = new Refusal(
  "full",
  "Cannot take the call: those that wait hold as much as may (admission.maxWaitingBytes)",
);
/** Half of its time would be over before its turn. */
export const TOO_LATE: Refusal = new Refusal("tooLate", "Cannot take the call: its turn would come too late");
/** The server has had more than it can do for a while. */
export const OVERLOADED: Refusal = new Refusal("overloaded", "Cannot take the call: the server is overloaded");
/** The heap is nearly full. */
export const SHORT_OF_MEMORY: Refusal = new Refusal("memory", "Cannot take the call: the server is short of memory");
