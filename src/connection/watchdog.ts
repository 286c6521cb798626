/**
 * Looks after what takes too long on one connection: the peer's silence, writes and frames without progress, streams without
 * credit, idleness. It wakes every second while there is something to watch, and hardly ever otherwise.
 *
 * Any byte from the peer proves that it lives. After a silence it is asked with a PING.
 */
import type { Limits } from "../core/limits.ts";
import { TimerEntry, type Timers } from "../core/timers.ts";
import type { FrameReader } from "../protocol/frame_reader.ts";
import type { Hello } from "../protocol/hello.ts";
import type { Outbox } from "./outbox.ts";
import type { Sender } from "./sender.ts";
import type { Stream } from "./stream.ts";

/** How often a connection with something to watch is looked at. */
const WATCH_MS = 1_000;
/** Pings of an idle connection that come no faster are welcome to any peer, also when the network delivers them unevenly (PROTOCOL §8). */
const WELCOME_PING_MS = 10_000;
/** For each so many bytes of a frame that have come, it may take a second longer. */
const BYTES_PER_SECOND = 64 * 1024;

/** What a watchdog needs of its connection. */
export interface Watched {
  readonly hello: Hello;
  readonly outbox: Outbox;
  readonly sender: Sender;
  readonly frames: FrameReader;
  /** When the last bytes came. */
  readonly heardAt: number;
  /** Whether calls are running, in either direction. */
  readonly hasCalls: boolean;
  /** Whether the last PING is on its way, and does not wait behind what is being written. */
  readonly hasPingLeft: boolean;
  /** Sends a PING to which nobody awaits the answer. */
  askForLife(): void;
  /** Ends the connection. */
  onLate(reason: string): void;
  /** It was idle for as long as it may be. */
  onIdle(): void;
}

/** Looks after one connection. */
export class Watchdog extends TimerEntry {
  readonly #watched: Watched;
  readonly #limits: Readonly<Limits>;
  readonly #timers: Timers;
  readonly #keepaliveMs: number;
  readonly #idleKeepaliveMs: number;
  readonly #pingTimeoutMs: number;
  #askedAt: number | undefined;
  #partialSince: number | undefined;
  #writes = 0;
  #progressAt: number;
  /** Whether a write was under way when it looked last. */
  #sawWriting = false;
  #busyAt: number;

  /** Makes one that begins to look at `now`. */
  constructor(watched: Watched, limits: Readonly<Limits>, timers: Timers, now: number) {
    super();
    const { hello } = watched;
    this.#watched = watched;
    this.#limits = limits;
    this.#timers = timers;
    // The server knows how much pinging it can bear.
    const dictated = hello.role === "server" && hello.keepaliveMs > 0;
    this.#keepaliveMs = dictated ? hello.keepaliveMs : limits.keepaliveMs;
    this.#idleKeepaliveMs = Math.max(limits.idleKeepaliveMs, Math.min(this.#keepaliveMs, WELCOME_PING_MS));
    this.#pingTimeoutMs = dictated && hello.pingTimeoutMs > 0 ? hello.pingTimeoutMs : limits.pingTimeoutMs;
    this.#progressAt = this.#busyAt = now;
    timers.add(this, now + Math.min(WATCH_MS, this.#keepaliveMs));
  }

  /** There is something to watch from now on. */
  wake(now: number): void {
    if (this.dueAt <= now + 2 * WATCH_MS) return;
    // The first call after a silence asks at once whether the other side is still there.
    if (now - this.#watched.heardAt > this.#keepaliveMs) this.#ask(now);
    this.#timers.add(this, now + WATCH_MS);
  }

  /** Bytes came: it lives. */
  heard(): void {
    this.#askedAt = undefined;
  }

  /** A PING goes out at `now`, whoever sent it. */
  asked(now: number): void {
    this.#askedAt ??= now;
    this.wake(now);
  }

  /** All that came was cut into frames; `partialBytes` of the next are there. */
  framesTaken(partialBytes: number, now: number): void {
    if (partialBytes === 0) this.#partialSince = undefined;
    else if (this.#partialSince === undefined) {
      this.#partialSince = now;
      this.wake(now);
    }
    // Whether answers leave, and give their memory back. A few small ones have to wait for the next look.
    const { outbox } = this.#watched;
    if (outbox.writing || outbox.isLarge) this.wake(now);
  }

  /** Looks no more. */
  stop(): void {
    this.#timers.remove(this);
    // To those who try to wake it, it is awake.
    this.dueAt = -Infinity;
  }

  override onDue(): void {
    const { outbox, sender, heardAt } = this.#watched;
    const limits = this.#limits;
    const now = this.#timers.clock.now();
    // Nobody can answer what has not left. A write that makes no progress is noticed as such.
    if (this.#askedAt !== undefined && !this.#watched.hasPingLeft) this.#askedAt = now;
    const late = this.#lateness(now);
    if (late !== undefined) return this.#watched.onLate(late);
    for (const stream of sender.stalledSince(now - limits.streamStallMs)) (stream as Stream).onStalled();
    const busy = this.#isBusy;
    if (busy) this.#busyAt = now;
    else {
      outbox.shrink();
      if (now - this.#busyAt >= limits.idleMs) this.#watched.onIdle();
    }
    // The same sum here and there: with another one, rounding makes it look again at once, and again.
    const askAt = heardAt + (busy ? this.#keepaliveMs : this.#idleKeepaliveMs);
    if (now >= askAt) this.#ask(now);
    this.#timers.add(this, this.#nextLook(now, askAt));
  }

  /** Every second while there is something to watch, and in time for what is known to be due. */
  #nextLook(now: number, askAt: number): number {
    const due = this.#askedAt === undefined ? askAt : this.#askedAt + this.#pingTimeoutMs;
    return this.#isBusy ? Math.min(now + WATCH_MS, due) : Math.max(now + WATCH_MS, due);
  }

  get #isBusy(): boolean {
    const { outbox, hasCalls } = this.#watched;
    return hasCalls || !outbox.isEmpty || this.#askedAt !== undefined || this.#partialSince !== undefined;
  }

  #ask(now: number): void {
    if (this.#askedAt !== undefined) return;
    this.#askedAt = now;
    this.#watched.askForLife();
  }

  /** What has taken too long, in words. */
  #lateness(now: number): string | undefined {
    const { outbox, sender, frames } = this.#watched;
    const limits = this.#limits;
    if (this.#askedAt !== undefined && now >= this.#askedAt + this.#pingTimeoutMs) {
      return `no answer to a ping in ${this.#pingTimeoutMs} ms (limits.pingTimeoutMs)`;
    }
    if (!this.#sawWriting || outbox.progress !== this.#writes) {
      // A write that began since it looked last, long ago perhaps, is not late yet.
      this.#sawWriting = outbox.writing;
      this.#writes = outbox.progress;
      this.#progressAt = now;
    } else if (now - this.#progressAt >= limits.writeStallMs) {
      return `the other side read nothing for ${limits.writeStallMs} ms (limits.writeStallMs)`;
    }
    if (this.#partialSince !== undefined) {
      const allowed = limits.frameStallMs + frames.partialBytes / BYTES_PER_SECOND * 1_000;
      if (now - this.#partialSince >= allowed) {
        return `a frame took over ${Math.round(allowed)} ms to arrive (limits.frameStallMs)`;
      }
    }
    if (sender.waitingBytes + outbox.data.length > limits.maxSendBufferBytes + limits.maxMessageBytes) {
      return `over ${limits.maxSendBufferBytes} bytes wait to be sent (limits.maxSendBufferBytes)`;
    }
    return undefined;
  }
}
