/**
 * One direction of a connection in a simulation: TCP as far as programs can see it. Bytes arrive in order, once, in segments of
 * any size, late; or they do not arrive, and the connection is stuck or reset.
 *
 * Invariants: `unacknowledged` bytes were written and not read, or the writer does not know that they were; at most one event is
 * under way for what arrives next; nothing arrives behind an end or a reset.
 */
import { below, type Random } from "../core/platform.ts";
import type { Link } from "./link.ts";
import type { Life, Machine, Scheduler } from "./scheduler.ts";

/** One end of a connection. */
export interface PipeEnd {
  /** The machine that it is on. */
  readonly machine: Machine;
  /** The life that it was opened in. */
  readonly life: Life;
  /** Whether the system of its machine still has it; `false` answers with a reset. */
  readonly isOpen: boolean;
  /** Whether its machine is gone without a word. */
  readonly isGone: boolean;
  /** The other end reset the connection. */
  onReset(): void;
  /** Something came, and there is nobody to read it: resets the other end. */
  refuse(): void;
}

interface Segment {
  readonly at: number;
  readonly bytes: Uint8Array | "end" | "reset";
}

interface Waiting {
  resolve(count: number | null): void;
  reject(error: Error): void;
}

/** What a read or a write fails with, by the name that the system gives it. */
export class ConnectionError extends Error {
  constructor(
    name: "ConnectionReset" | "BrokenPipe" | "BadResource" | "ConnectionRefused" | "TimedOut",
    message: string,
  ) {
    super(message);
    this.name = name;
  }
}

/** One direction of one connection. */
export class Pipe {
  /** Its name in the log. */
  readonly name: string;
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #link: Link;
  /** The way back: what was read is told along it. */
  readonly #back: Link;
  readonly #from: PipeEnd;
  readonly #to: PipeEnd;
  /** Under way. */
  #segments: Segment[] = [];
  /** There, and not read. */
  #arrived: Uint8Array[] = [];
  #underWay = false;
  #lastAt = 0;
  #unacknowledged = 0;
  #position = 0;
  readonly #resetAt: number;
  #ended = false;
  #endArrived = false;
  /** What reads, and writes, fail with from now on. */
  #readFailure: ConnectionError | undefined;
  #writeFailure: ConnectionError | undefined;
  #reader: (Waiting & { target: Uint8Array }) | undefined;
  #writer: (Waiting & { source: Uint8Array }) | undefined;
  #unread = 0;

  constructor(
    name: string,
    scheduler: Scheduler,
    random: Random,
    links: { there: Link; back: Link },
    from: PipeEnd,
    to: PipeEnd,
  ) {
    this.name = name;
    this.#scheduler = scheduler;
    this.#random = random;
    this.#link = links.there;
    this.#back = links.back;
    this.#from = from;
    this.#to = to;
    const { resets, resetWithinBytes } = links.there.options;
    this.#resetAt = links.there.happens(resets) ? below(random, resetWithinBytes) : Infinity;
  }

  /** Whether something has arrived that was not read. */
  get hasUnread(): boolean {
    return this.#unread > 0;
  }

  /** Whether anybody waits for it. */
  get isAwaited(): boolean {
    return this.#reader !== undefined || this.#writer !== undefined;
  }

  /** Reads what has arrived. */
  read(target: Uint8Array): Promise<number | null> {
    if (this.#reader !== undefined) {
      return Promise.reject(new TypeError("Cannot read: an earlier read is still waiting"));
    }
    if (target.length === 0) return Promise.resolve(0);
    if (this.#unread > 0) return Promise.resolve(this.#take(target));
    if (this.#readFailure !== undefined) return Promise.reject(this.#readFailure);
    if (this.#endArrived) return Promise.resolve(null);
    return new Promise((resolve, reject) => this.#reader = { resolve, reject, target });
  }

  /** Writes some bytes, when there is room. */
  write(source: Uint8Array): Promise<number> {
    if (this.#writer !== undefined) {
      return Promise.reject(new TypeError("Cannot write: an earlier write is still waiting"));
    }
    if (this.#writeFailure !== undefined) return Promise.reject(this.#writeFailure);
    if (this.#ended) {
      return Promise.reject(new ConnectionError("BrokenPipe", "Cannot write: it was closed for writing"));
    }
    if (source.length === 0) return Promise.resolve(0);
    const { capacityBytes } = this.#link.options;
    if (this.#unacknowledged >= capacityBytes) {
      return new Promise((resolve, reject) => {
        this.#writer = { resolve: resolve as (count: number | null) => void, reject, source };
      });
    }
    const count = this.#accept(source);
    // Some writes are over at once, others only later: both happens.
    if (!this.#link.happens(0.5)) return Promise.resolve(count);
    return new Promise((resolve) => {
      this.#scheduler.after(0, `has written ${this.name}`, () => resolve(count), this.#from.machine, this.#from.life);
    });
  }

  /** No more will be written. */
  end(): void {
    if (this.#ended || this.#writeFailure !== undefined) return;
    this.#ended = true;
    this.#send("end", 0);
  }

  /** Resets the other end. What is under way may arrive before that, or be lost. */
  reset(): void {
    if (this.#segments.at(-1)?.bytes === "reset") return;
    this.#ended = true;
    if (this.#link.happens(0.5)) this.#segments = [];
    this.#send("reset", 0);
  }

  /** The end that writes is closed, or gone: what waits there is told, unless it died with its life. */
  closeWriter(error: ConnectionError | undefined): void {
    const writer = this.#writer;
    this.#writer = undefined;
    this.#writeFailure ??= error;
    if (error !== undefined) writer?.reject(error);
  }

  /** The end that reads is closed, or gone. */
  closeReader(error: ConnectionError | undefined, keepsUnread = false): void {
    const reader = this.#reader;
    this.#reader = undefined;
    this.#readFailure ??= error;
    if (!keepsUnread) {
      this.#arrived = [];
      this.#unread = 0;
    }
    if (error !== undefined) reader?.reject(error);
  }

  /** The machine at the other end is there again, and knows nothing of this connection. */
  retransmit(): void {
    this.#arm();
  }

  /** Takes as many bytes as fit, or some of them. */
  #accept(source: Uint8Array): number {
    const { capacityBytes, partialWrites } = this.#link.options;
    let count = Math.min(source.length, capacityBytes - this.#unacknowledged);
    if (this.#link.happens(partialWrites)) count = 1 + below(this.#random, count);
    this.#unacknowledged += count;
    const stalledMs = this.#link.stallMs();
    for (let at = 0; at < count;) {
      const end = Math.min(count, at + this.#link.segmentBytes());
      this.#send(source.slice(at, end), at === 0 ? stalledMs : 0);
      at = end;
    }
    return count;
  }

  #send(bytes: Segment["bytes"], stalledMs: number): void {
    const at = Math.max(this.#lastAt, this.#scheduler.now + this.#link.delayMs()) + stalledMs;
    this.#lastAt = at;
    this.#segments.push({ at, bytes });
    this.#arm();
  }

  /** Makes what is next arrive when it is due. */
  #arm(): void {
    const next = this.#segments[0];
    if (this.#underWay || next === undefined) return;
    if (this.#link.blocked) return this.#link.whenFree(() => this.#arm());
    if (this.#to.isGone) return; // until its machine is there again
    this.#underWay = true;
    const ms = next.at - this.#scheduler.now;
    this.#scheduler.after(ms, `arrives ${this.name}`, () => this.#arrive(), this.#to.machine);
  }

  #arrive(): void {
    this.#underWay = false;
    if (this.#link.blocked || this.#to.isGone) return this.#arm();
    const { now } = this.#scheduler;
    while (this.#segments.length > 0 && this.#segments[0].at <= now) {
      const { bytes } = this.#segments.shift()!;
      if (!this.#to.isOpen) {
        this.#segments = [];
        if (bytes !== "reset") this.#to.refuse();
        return;
      }
      if (bytes === "end") this.#endArrived = true;
      else if (bytes === "reset") {
        this.#segments = [];
        return this.#to.onReset();
      } else if (this.#position + bytes.length > this.#resetAt && this.#link.options.resets > 0) {
        this.#segments = [];
        this.#from.onReset();
        return this.#to.onReset();
      } else this.#keep(bytes);
    }
    this.#wakeReader();
    this.#arm();
  }

  #keep(bytes: Uint8Array): void {
    if (this.#link.happens(this.#link.options.bitFlips)) {
      bytes[below(this.#random, bytes.length)] ^= 1 << below(this.#random, 8);
    }
    this.#position += bytes.length;
    this.#unread += bytes.length;
    this.#arrived.push(bytes);
  }

  #wakeReader(): void {
    const reader = this.#reader;
    if (reader === undefined || (this.#unread === 0 && !this.#endArrived)) return;
    this.#reader = undefined;
    reader.resolve(this.#unread > 0 ? this.#take(reader.target) : null);
  }

  #take(target: Uint8Array): number {
    let count = 0;
    do {
      const [first] = this.#arrived;
      const taken = Math.min(first.length, target.length - count);
      target.set(taken === first.length ? first : first.subarray(0, taken), count);
      count += taken;
      if (taken === first.length) this.#arrived.shift();
      else this.#arrived[0] = first.subarray(taken);
    } while (count < target.length && this.#arrived.length > 0 && this.#link.happens(this.#link.options.coalesce));
    this.#unread -= count;
    this.#acknowledge(count);
    return count;
  }

  /** Tells the writer that there is room again. */
  #acknowledge(count: number): void {
    if (this.#back.blocked) this.#back.whenFree(() => this.#acknowledge(count));
    else if (this.#writer === undefined) this.#unacknowledged -= count;
    else {
      this.#scheduler.after(this.#back.delayMs(), `has room ${this.name}`, () => {
        this.#unacknowledged -= count;
        const writer = this.#writer;
        if (writer === undefined || this.#unacknowledged >= this.#link.options.capacityBytes) return;
        this.#writer = undefined;
        writer.resolve(this.#accept(writer.source));
      }, this.#from.machine);
    }
  }
}
