/**
 * The book-keeping of one circuit breaker. Pure: it takes `now`, and owns no timer.
 *
 * Invariants: at most `probes` calls are let through at once while half open; a ticket of an earlier state changes nothing;
 * whatever becomes of the calls that were let through, once `openMs` have passed another is.
 */

/** How a call ended, as far as a breaker is concerned; `unknown` says nothing about the service. */
export type Outcome = "success" | "failure" | "slow" | "unknown";

/** What a circuit goes by. */
export interface CircuitPolicy {
  readonly windowMs: number;
  readonly minCalls: number;
  readonly failureRatio: number;
  readonly slowRatio: number;
  readonly openMs: number;
  readonly maxOpenMs: number;
  readonly probes: number;
}

/** How a circuit stands. */
export interface CircuitState {
  /** `closed`: calls go through; `open`: they are refused; `half_open`: a few are let through to see. */
  readonly state: "closed" | "open" | "half_open";
  /** Why it opened the last time, or an empty text. */
  readonly reason: string;
  /** How many calls have ended within the window. */
  readonly calls: number;
  /** How many of them failed. */
  readonly failures: number;
  /** How many of them were slow. */
  readonly slow: number;
  /** How many calls were refused since it was made. */
  readonly refused: number;
  /** How often it has opened since it was made. */
  readonly opened: number;
  /** How long until calls are let through again, in milliseconds; 0 unless it is open. */
  readonly retryInMs: number;
}

/** One call that was let through. */
export interface Ticket {
  readonly epoch: number;
  readonly admittedAt: number;
}

const SLICES = 10;

class Slice {
  calls = 0;
  failures = 0;
  slow = 0;
}

/** One circuit. */
export class Circuit {
  /** Told when the state changes. */
  onState: ((state: CircuitState) => void) | undefined;
  readonly #policy: CircuitPolicy;
  readonly #slices = Array.from({ length: SLICES }, () => new Slice());
  /** The number of the slice that is being filled, counted from the beginning of time. */
  #slice: number;
  #state: CircuitState["state"] = "closed";
  #epoch = 0;
  #openUntil = 0;
  #openMs: number;
  #reason = "";
  #probing = new Set<Ticket>();
  #passed = 0;
  #refused = 0;
  #opened = 0;
  /** The ticket of all calls while it is closed. */
  #ticket: Ticket = { epoch: 0, admittedAt: 0 };

  /** Makes a closed one. */
  constructor(policy: CircuitPolicy, now: number) {
    this.#policy = policy;
    this.#openMs = policy.openMs;
    this.#slice = this.#sliceAt(now);
  }

  /** Lets a call through, or not. Whoever gets a ticket settles it once. */
  admit(now: number): Ticket | undefined {
    if (this.#state === "closed") return this.#ticket;
    if (this.#state === "open" && now >= this.#openUntil) this.#become("half_open", now);
    if (this.#state === "half_open") {
      this.#giveUpLost(now);
      if (this.#probing.size < this.#policy.probes) {
        const ticket: Ticket = { epoch: this.#epoch, admittedAt: now };
        this.#probing.add(ticket);
        return ticket;
      }
    }
    this.#refused++;
    return undefined;
  }

  /** Takes note of how a call ended that was let through. */
  settle(ticket: Ticket, outcome: Outcome, now: number): void {
    // What began in another state says nothing about this one.
    if (ticket.epoch !== this.#epoch) return;
    if (this.#state === "half_open") {
      this.#probing.delete(ticket);
      if (outcome === "failure" || outcome === "slow") {
        this.#openMs = Math.min(this.#openMs * 2, this.#policy.maxOpenMs);
        this.#open(`an attempt ${outcome === "slow" ? "was slow" : "failed"}`, now);
      } else if (outcome === "success" && ++this.#passed >= this.#policy.probes) {
        this.#openMs = this.#policy.openMs;
        this.#become("closed", now);
      }
    } else if (this.#state === "closed" && outcome !== "unknown") this.#count(outcome, now);
  }

  /** How it stands. */
  state(now: number): CircuitState {
    return {
      state: this.#state,
      reason: this.#reason,
      ...this.#sum(now),
      refused: this.#refused,
      opened: this.#opened,
      retryInMs: this.#state === "open" ? Math.max(0, this.#openUntil - now) : 0,
    };
  }

  #count(outcome: Outcome, now: number): void {
    this.#turn(now);
    const slice = this.#slices[this.#slice % SLICES];
    slice.calls++;
    if (outcome === "success") return;
    if (outcome === "failure") slice.failures++;
    else slice.slow++;
    const { calls, failures, slow } = this.#sum(now);
    const { minCalls, failureRatio, slowRatio, windowMs } = this.#policy;
    if (calls < minCalls) return;
    const within = `in ${windowMs} ms`;
    if (failures >= failureRatio * calls) this.#open(`${failures} of ${calls} calls failed ${within}`, now);
    else if (slow >= slowRatio * calls) this.#open(`${slow} of ${calls} calls were slow ${within}`, now);
  }

  #open(reason: string, now: number): void {
    this.#reason = reason;
    this.#openUntil = now + this.#openMs;
    this.#opened++;
    this.#become("open", now);
  }

  #become(state: CircuitState["state"], now: number): void {
    this.#state = state;
    this.#epoch++;
    this.#ticket = { epoch: this.#epoch, admittedAt: now };
    this.#probing.clear();
    this.#passed = 0;
    if (state === "closed") { for (let i = 0; i < SLICES; i++) this.#slices[i] = new Slice(); }
    this.onState?.(this.state(now));
  }

  /** Attempts that do not end keep nobody waiting for ever. */
  #giveUpLost(now: number): void {
    for (const ticket of this.#probing) {
      if (now - ticket.admittedAt >= this.#policy.openMs) this.#probing.delete(ticket);
    }
  }

  #sliceAt(now: number): number {
    return Math.floor(now / (this.#policy.windowMs / SLICES));
  }

  /** Empties the slices that have become too old. */
  #turn(now: number): void {
    const slice = this.#sliceAt(now);
    const passed = Math.min(slice - this.#slice, SLICES);
    for (let i = 1; i <= passed; i++) this.#slices[(this.#slice + i) % SLICES] = new Slice();
    this.#slice = Math.max(this.#slice, slice);
  }

  #sum(now: number): { calls: number; failures: number; slow: number } {
    this.#turn(now);
    const sum = { calls: 0, failures: 0, slow: 0 };
    for (const slice of this.#slices) {
      sum.calls += slice.calls;
      sum.failures += slice.failures;
      sum.slow += slice.slow;
    }
    return sum;
  }
}
