/**
 * What waits to be written to one socket.
 *
 * Frames are written into one buffer; whatever the microtasks of a moment put there leaves in one write. While a write is
 * under way the next buffer fills. Messages that do not fit wait outside, as fragments in the order of `refill`.
 *
 * A stream gives one message after the other, each a few microtasks later: the first leaves at once, and those that follow it in
 * the same turn of the event loop are gathered.
 *
 * Invariants: at most one write is under way; a frame is complete before anything is awaited; nothing is written after
 * `close`.
 */
import { ByteWriter } from "../protocol/byte_writer.ts";
import type { ByteConnection } from "../transport/byte_connection.ts";
import type { Counters } from "./counters.ts";

/** Up to here a buffer takes message bytes. Larger writes gain little. */
const FULL_BYTES = 256 * 1024;
/** What a buffer keeps when it has nothing to do. */
const KEPT_BYTES = 64 * 1024;
const FIRST_BYTES = 512;
/** How much is held back for what is about to come. */
const HELD_BYTES = 16 * 1024;
/** How much of streams is gathered: larger writes gain little, and the other side has something to do the sooner. */
const GATHERED_BYTES = 32 * 1024;

/** Where the frames of one connection leave. */
export class Outbox {
  /** The buffer that fills: frames are written into it, then `schedule` is called. */
  data: ByteWriter;
  /** Bytes that were handed to the socket, of all that ever went through `data`. */
  handedBytes = 0;
  /** Frames that cost no credit and were queued since the last write began. */
  controlFrames = 0;
  /** Whether a write is under way. */
  writing = false;
  /** How many writes were finished: a watchdog sees from it whether there is progress. */
  progress = 0;
  readonly #conn: ByteConnection;
  readonly #counters: Counters;
  readonly #refill: () => void;
  readonly #failed: (cause: unknown) => void;
  readonly #turn: () => Promise<void>;
  #spare: ByteWriter | undefined;
  #scheduled = false;
  #held = false;
  /** Whether a message of a stream was put into `data` in this turn of the event loop. */
  #gathers = false;
  #closed = false;
  #idle: (() => void)[] = [];
  readonly #run = () => void this.#drain();

  /**
   * @param refill puts waiting fragments into `data`
   * @param failed is told once when writing fails
   * @param turn resolves in the next turn of the event loop
   */
  constructor(
    conn: ByteConnection,
    counters: Counters,
    refill: () => void,
    failed: (cause: unknown) => void,
    turn: () => Promise<void>,
    checksums = false,
  ) {
    this.#conn = conn;
    this.#counters = counters;
    this.#refill = refill;
    this.#failed = failed;
    this.#turn = turn;
    this.data = new ByteWriter(FIRST_BYTES, checksums);
  }

  /** Where the next byte of `data` stands among all that ever went through. */
  get position(): number {
    return this.handedBytes + this.data.length;
  }

  /** Whether `data` takes message bytes. */
  get hasRoom(): boolean {
    return this.data.length < FULL_BYTES;
  }

  /** Whether everything was written. */
  get isEmpty(): boolean {
    return !this.writing && this.data.length === 0;
  }

  /** Whether it takes more memory than when it has nothing to do. */
  get isLarge(): boolean {
    return this.data.bytes.length > FIRST_BYTES || (this.#spare?.bytes.length ?? 0) > FIRST_BYTES;
  }

  /** Whether what is in `data` leaves as soon as whoever runs now lets it. */
  get isDue(): boolean {
    return this.#scheduled;
  }

  /** Makes sure that what is in `data` leaves as soon as whoever runs now lets it, or after the write that is under way. */
  schedule(): void {
    if (this.#scheduled || this.#closed) return;
    if (this.#held && this.data.length < HELD_BYTES) return;
    this.#scheduled = true;
    if (!this.writing) queueMicrotask(this.#run);
  }

  /** Makes sure that what is in `data`, a message of a stream last, leaves before long: with those that follow it in this turn. */
  gather(): void {
    if (this.#gathers && this.data.length < GATHERED_BYTES) return;
    this.schedule();
    if (this.#gathers) return;
    this.#gathers = true;
    void this.#turn().then(() => {
      this.#gathers = false;
      if (this.data.length > 0) this.schedule();
    });
  }

  /** More is about to come from frames that are here already: what there is waits for it, up to a size, until `release`. */
  hold(): void {
    this.#held = true;
  }

  /** Nothing more comes for now. */
  release(): void {
    if (!this.#held) return;
    this.#held = false;
    this.schedule(); // there may be nothing in it, and fragments that wait
  }

  /** Resolves when everything was written, or nothing more will be. */
  flushed(): Promise<void> {
    if (this.#closed || (this.isEmpty && !this.#scheduled)) return Promise.resolve();
    this.schedule();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Writes no more. */
  close(): void {
    this.#closed = true;
    this.data.length = 0;
    this.#wakeIdle();
  }

  async #drain(): Promise<void> {
    if (this.#held && this.data.length < HELD_BYTES) return void (this.#scheduled = false);
    this.writing = true;
    try {
      while (!this.#closed) {
        const wanted = this.#scheduled || !this.#gathers;
        this.#scheduled = false;
        this.#refill();
        const full = this.data;
        if (full.length === 0 || (!wanted && full.length < GATHERED_BYTES)) break;
        // Mostly nothing is written to it before the write has ended: then it takes no memory.
        this.data = this.#spare ?? new ByteWriter(0, full.checksums);
        this.#spare = full;
        this.handedBytes += full.length;
        this.controlFrames = 0;
        const bytes = full.view();
        for (let done = 0; done < bytes.length;) {
          done += await this.#conn.write(done === 0 ? bytes : bytes.subarray(done));
          this.progress++;
          this.#counters.writes++;
        }
        this.#counters.bytesWritten += bytes.length;
        full.length = 0;
        if (full.bytes.length > FULL_BYTES * 2) full.bytes = new Uint8Array(KEPT_BYTES);
      }
      this.writing = false;
      this.#scheduled = false;
      if (!this.#closed && this.data.length === 0) {
        this.#useLarger();
        this.#wakeIdle();
      }
    } catch (cause) {
      this.writing = false;
      if (!this.#closed) this.#failed(cause);
    }
  }

  /** Of two buffers that are both empty, the one that has room is written to next. */
  #useLarger(): void {
    const { data } = this;
    if (this.#spare === undefined || this.#spare.bytes.length <= data.bytes.length) return;
    this.data = this.#spare;
    this.#spare = data;
  }

  /** Gives memory back when nothing waits. */
  shrink(): void {
    if (!this.isEmpty) return;
    const { checksums } = this.data;
    if (this.data.bytes.length > FIRST_BYTES) this.data = new ByteWriter(FIRST_BYTES, checksums);
    this.#spare = undefined;
  }

  #wakeIdle(): void {
    const idle = this.#idle;
    if (idle.length === 0) return;
    this.#idle = [];
    for (const wake of idle) wake();
  }
}
