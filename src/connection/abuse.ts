/**
 * What a peer may do only so often, because it costs the receiver more than the sender. Pure: takes the time it is told.
 *
 * The attacks behind it are those that HTTP/2 learned about: CVE-2023-44487 (reset), CVE-2019-9512 (ping), CVE-2019-9518
 * (empty frames), and floods of small window updates.
 */
import type { Limits } from "../core/limits.ts";
import { GoAwayCode, ProtocolViolation } from "../protocol/violation.ts";

/** How many frames that mean nothing here are passed over in a second. */
const SKIPPED_PER_SECOND = 100;
/** How many early resets are forgiven in a second. */
const RESETS_PER_SECOND = 100;
/** How many calls for which there is no place are forgiven in a second at least, and at once beyond three times the places. */
const REFUSALS_PER_SECOND = 100;
const SPARE_REFUSALS = 100;
/** The least time between two pings, where the receiver does not ask for more of them. */
const MIN_PING_MS = 5_000;
/** How many pings may come too early before the connection is closed. */
const MAX_PING_STRIKES = 2;
/** How many fragments without a byte may follow each other. */
const MAX_EMPTY_FRAGMENTS = 100;
/** How many CREDIT frames may come in a second without anything having been sent that they could pay for. */
const CREDITS_PER_SECOND = 1_000;
/** A CREDIT is in order for each so many bytes sent. */
const BYTES_PER_CREDIT = 16;

/** A bucket of tokens that fills with time. It is full at first, so that it can be made when it is first needed. */
class Bucket {
  readonly #size: number;
  readonly #perMs: number;
  #tokens: number;
  #at: number;

  constructor(size: number, perSecond: number, now: number) {
    this.#size = this.#tokens = size;
    this.#perMs = perSecond / 1_000;
    this.#at = now;
  }

  take(now: number): boolean {
    this.#tokens = Math.min(this.#size, this.#tokens + (now - this.#at) * this.#perMs);
    this.#at = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}

/** Keeps count for one connection; each method throws once the peer has gone too far. */
export class Abuse {
  readonly #limits: Pick<Limits, "maxStreams" | "maxEarlyResets">;
  readonly #minPingMs: number;
  #refusals: Bucket | undefined;
  #resets: Bucket | undefined;
  #skips: Bucket | undefined;
  #credits: Bucket | undefined;
  #empty = 0;
  #pingAt = -Infinity;
  #pingTraffic = -1;
  #strikes = 0;
  #paidBytes = 0;

  /** Makes an account; `keepaliveMs` is how often the peer was asked to ping, if it was. */
  constructor(limits: Readonly<Pick<Limits, "maxStreams" | "maxEarlyResets">>, keepaliveMs: number) {
    this.#limits = limits;
    this.#minPingMs = Math.min(MIN_PING_MS, keepaliveMs / 2);
  }

  /** A frame came that was passed over. */
  skipped(now: number): void {
    this.#skips ??= new Bucket(SKIPPED_PER_SECOND, SKIPPED_PER_SECOND, now);
    if (!this.#skips.take(now)) throw calm(`more than ${SKIPPED_PER_SECOND} frames in a second that mean nothing`);
  }

  /** A call was reset before its handler had ended. */
  reset(now: number): void {
    this.#resets ??= new Bucket(this.#limits.maxEarlyResets, RESETS_PER_SECOND, now);
    if (!this.#resets.take(now)) {
      throw calm("too many calls that were reset before they were answered (limits.maxEarlyResets)");
    }
  }

  /**
   * A call came while `running` others had not ended, or after GOAWAY. A peer that takes calls back finds their places taken for
   * as long as their handlers go on, and can't know that before it is refused: only a flood is held against it.
   */
  refused(running: number, now: number): void {
    const { maxStreams } = this.#limits;
    if (running < maxStreams) return;
    this.#refusals ??= new Bucket(
      3 * maxStreams + SPARE_REFUSALS,
      Math.max(REFUSALS_PER_SECOND, 20 * maxStreams),
      now,
    );
    if (!this.#refusals.take(now)) {
      throw calm(`over ${maxStreams * 4} calls at once (limits.maxStreams is ${maxStreams})`);
    }
  }

  /** A fragment came that has no byte. */
  emptyFragment(): void {
    if (++this.#empty > MAX_EMPTY_FRAGMENTS) throw calm(`more than ${MAX_EMPTY_FRAGMENTS} empty fragments`);
  }

  /** A fragment came that has some. */
  usefulFragment(): void {
    this.#empty = 0;
  }

  /** A PING came; `traffic` counts frames of calls in both directions, since pings among those are welcome. */
  ping(now: number, traffic: number): void {
    if (traffic !== this.#pingTraffic) this.#strikes = 0;
    else if (now - this.#pingAt < this.#minPingMs && ++this.#strikes > MAX_PING_STRIKES) {
      throw new ProtocolViolation(
        GoAwayCode.tooManyPings,
        `Cannot go on: pings come faster than every ${this.#minPingMs} ms`,
      );
    }
    this.#pingAt = now;
    this.#pingTraffic = traffic;
  }

  /** A CREDIT came; `sentBytes` is all that was ever sent. */
  credit(now: number, sentBytes: number): void {
    if (sentBytes - this.#paidBytes >= BYTES_PER_CREDIT) {
      this.#paidBytes = Math.max(this.#paidBytes + BYTES_PER_CREDIT, sentBytes - 1024 * BYTES_PER_CREDIT);
      return;
    }
    this.#credits ??= new Bucket(CREDITS_PER_SECOND, CREDITS_PER_SECOND, now);
    if (!this.#credits.take(now)) throw calm("credit in crumbs");
  }
}

function calm(what: string): ProtocolViolation {
  return new ProtocolViolation(GoAwayCode.calm, `Cannot go on: the other side sent ${what}`);
}
