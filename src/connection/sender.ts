/**
 * Who may send next, and how much.
 *
 * A message that fits is written where it stands, in the frame that was begun for it. What does not fit the frame, the
 * credit or the buffer waits with its stream, and goes out in fragments, one stream after the other.
 *
 * Invariants: no await between reserving credit and writing the frame; a stream has at most one message waiting; bytes
 * that wait are counted in `waitingBytes`.
 */
import type { ByteWriter } from "../protocol/byte_writer.ts";
import { DATA_COST_BYTES, Flag, Kind } from "../protocol/frame.ts";
import { type Status, writeStatus } from "../protocol/status.ts";
import { GoAwayCode, ProtocolViolation } from "../protocol/violation.ts";
import type { Outbox } from "./outbox.ts";

/** A message, or the rest of one, that waits for credit or for room. */
export interface Waiting {
  /** The encoded message. Nobody else writes to it. */
  readonly bytes: Uint8Array;
  /** How much of it was sent. */
  at: number;
  /** Since when it has waited without progress. */
  since: number;
  /** Flags of the frame that ends the message. */
  readonly flags: number;
  /** The encoded status, when the frame that ends the message is END. */
  readonly status: Uint8Array | undefined;
  /** Called when all of it was put into the outbox, or nothing more will be. */
  readonly done: (() => void) | undefined;
}

/** What the sender needs of a stream. */
export interface SendingStream {
  /** Its number on the wire. */
  readonly id: number;
  /** How many bytes the peer lets it send. */
  creditBytes: number;
  /** What it has waiting. */
  waiting: Waiting | undefined;
  /** All of its END is on its way, or nothing more will be sent. */
  onEndSent?(): void;
}

const encoder = new TextEncoder();
const MAX_CREDIT = 2 ** 31 - 1;
/** Longer texts are encoded on their own where they would not fit. */
const LONG_TEXT = 16 * 1024;

/** Where nothing has ever had to wait, as on most connections. Nothing is put into it. */
const NOBODY = new Set<SendingStream>();

/** What a connection's peer and its owner let it send. */
export interface SenderLimits {
  /** The largest payload of a frame. */
  readonly frameBytes: number;
  /** The credit that the connection begins with. */
  readonly creditBytes: number;
  /** The credit that each stream begins with. */
  readonly streamWindowBytes: number;
  /** From how many bytes that wait on nobody should encode more. */
  readonly crowdedBytes: number;
}

/** Sends the messages of one connection. */
export class Sender {
  /** The largest payload of a frame that is sent. */
  readonly frameBytes: number;
  /** How many bytes the peer lets the connection send. */
  creditBytes: number;
  /** Bytes of messages that wait. */
  waitingBytes = 0;
  /** How many frames of messages were sent. */
  sentFrames = 0;
  readonly #outbox: Outbox;
  readonly #now: () => number;
  readonly #crowdedBytes: number;
  readonly #streamWindowBytes: number;
  /** Streams that have something waiting and credit for it, in the order of their turns. */
  #ready = NOBODY;
  /** Streams that have something waiting and no credit for it. */
  #blocked = NOBODY;
  #room: (() => void)[] = [];

  /** Makes a sender for one connection. */
  constructor(outbox: Outbox, limits: SenderLimits, now: () => number) {
    this.#outbox = outbox;
    this.frameBytes = limits.frameBytes;
    this.creditBytes = limits.creditBytes;
    this.#crowdedBytes = limits.crowdedBytes;
    this.#streamWindowBytes = limits.streamWindowBytes;
    this.#now = now;
  }

  /** Whether so much waits that nobody should encode more. */
  get isCrowded(): boolean {
    return this.waitingBytes >= this.#crowdedBytes;
  }

  /** Resolves when it is not crowded any more. */
  room(): Promise<void> {
    return new Promise((resolve) => this.#room.push(resolve));
  }

  /**
   * Ends the OPEN that was begun at `frameAt`, with `encoded` as its message; what does not fit follows as DATA. True when
   * all of it is on its way; otherwise `done` is called once it is, or nothing more will be.
   */
  endOpen(
    stream: SendingStream,
    writer: ByteWriter,
    frameAt: number,
    encoded: Uint8Array | string,
    done: (() => void) | undefined,
  ): boolean {
    const bodyAt = writer.length;
    const body = this.#write(writer, encoded, stream);
    const size = writer.length - bodyAt;
    const whole = body === undefined && this.#fits(stream, writer.length - frameAt, size);
    if (whole) this.#spend(stream, size);
    else {
      this.#wait(stream, body ?? writer.bytes.slice(bodyAt, writer.length), 0, undefined, done);
      writer.length = bodyAt;
      writer.bytes[frameAt + 4] |= Flag.more;
    }
    writer.endFrame(frameAt);
    this.#outbox.schedule();
    return whole;
  }

  /** Sends a message as DATA. Gives nothing when all of it is on its way, or a promise of that. */
  sendData(stream: SendingStream, encoded: Uint8Array | string, flags: number): Promise<void> | undefined {
    const writer = this.#outbox.data;
    const frameAt = writer.beginFrame(Kind.data, flags, stream.id);
    const bodyAt = writer.length;
    const body = this.#write(writer, encoded, stream);
    const size = writer.length - bodyAt;
    if (body === undefined && this.#fits(stream, size, size + DATA_COST_BYTES)) {
      this.#spend(stream, size + DATA_COST_BYTES);
      writer.endFrame(frameAt);
      this.#outbox.gather();
      return undefined;
    }
    const bytes = body ?? writer.bytes.slice(bodyAt, writer.length);
    writer.length = frameAt;
    return new Promise((done) => this.#wait(stream, bytes, flags, undefined, done));
  }

  /**
   * Sends END: a status, and a message behind it. True when all of it is on its way; otherwise the stream's `onEndSent` is
   * called once it is, or nothing more will be.
   */
  sendEnd(stream: SendingStream, encoded: Uint8Array | string, status: Status): boolean {
    const writer = this.#outbox.data;
    const frameAt = writer.beginFrame(Kind.end, 0, stream.id);
    const statusAt = writer.length;
    writeStatus(writer, status);
    const bodyAt = writer.length;
    const body = this.#write(writer, encoded, stream);
    const size = writer.length - bodyAt;
    if (body === undefined && (size === 0 || this.#fits(stream, writer.length - statusAt, size))) {
      this.#spend(stream, size);
      writer.endFrame(frameAt);
      this.#outbox.schedule();
      return true;
    }
    const head = writer.bytes.slice(statusAt, bodyAt);
    const bytes = body ?? writer.bytes.slice(bodyAt, writer.length);
    writer.length = frameAt;
    this.#wait(stream, bytes, 0, head, () => stream.onEndSent?.());
    return false;
  }

  /** Takes credit from the peer. @throws {ProtocolViolation} when it adds up to more than 2^31 − 1 */
  credit(stream: SendingStream | undefined, bytes: number): void {
    const holder = stream ?? this;
    holder.creditBytes += bytes;
    if (holder.creditBytes > MAX_CREDIT) {
      throw new ProtocolViolation(
        GoAwayCode.flowControl,
        `Cannot take credit: it adds up to ${holder.creditBytes} bytes`,
      );
    }
    if (stream !== undefined && this.#blocked.delete(stream)) this.#ready.add(stream);
    if (this.#ready.size > 0) this.#outbox.schedule();
  }

  /** Puts fragments into the outbox as long as there are room and credit: one for each stream in turn. */
  pump(): void {
    if (this.#ready.size === 0) return;
    // A stream that is taken out and put back in comes round again in the same loop.
    for (const stream of this.#ready) {
      if (!this.#outbox.hasRoom || this.creditBytes <= DATA_COST_BYTES) break;
      this.#ready.delete(stream);
      if (this.#sendFragment(stream)) {
        if (stream.waiting !== undefined) this.#ready.add(stream);
      } else this.#blocked.add(stream);
    }
  }

  /** Drops what a stream has waiting. */
  forget(stream: SendingStream): void {
    const waiting = stream.waiting;
    if (waiting === undefined) return;
    this.#ready.delete(stream);
    this.#blocked.delete(stream);
    this.#settle(stream, waiting, waiting.bytes.length - waiting.at);
  }

  /** Streams that have waited since before `time` without progress. */
  stalledSince(time: number): SendingStream[] {
    return [...this.#blocked, ...this.#ready].filter(({ waiting }) => waiting!.since < time);
  }

  /** Whether anything waits. */
  get hasWaiting(): boolean {
    return this.#ready.size > 0 || this.#blocked.size > 0;
  }

  /** Lets go of all that waits: nothing more will be sent. */
  close(): void {
    for (const stream of [...this.#ready, ...this.#blocked]) this.forget(stream);
    this.waitingBytes = 0;
    this.#wakeRoom();
  }

  /** Writes a message where the frame stands, or gives its bytes when they are too many for that. */
  #write(writer: ByteWriter, encoded: Uint8Array | string, stream: SendingStream): Uint8Array | undefined {
    if (typeof encoded === "string") {
      const { length } = encoded;
      if (length > LONG_TEXT && !this.#fits(stream, length, length)) return encoder.encode(encoded);
      writer.utf8(encoded);
    } else {
      if (!this.#fits(stream, encoded.length, encoded.length)) return encoded.slice();
      writer.raw(encoded);
    }
    return undefined;
  }

  #fits(stream: SendingStream, payloadBytes: number, costBytes: number): boolean {
    return payloadBytes <= this.frameBytes && costBytes <= stream.creditBytes && costBytes <= this.creditBytes &&
      stream.waiting === undefined && this.#outbox.hasRoom;
  }

  #spend(stream: SendingStream, costBytes: number): void {
    this.sentFrames++;
    stream.creditBytes -= costBytes;
    this.creditBytes -= costBytes;
  }

  #wait(
    stream: SendingStream,
    bytes: Uint8Array,
    flags: number,
    status: Uint8Array | undefined,
    done: (() => void) | undefined,
  ): void {
    stream.waiting = { bytes, at: 0, since: this.#now(), flags, status, done };
    this.waitingBytes += bytes.length;
    if (this.#ready === NOBODY) {
      this.#ready = new Set();
      this.#blocked = new Set();
    }
    this.#ready.add(stream);
    this.#outbox.schedule();
  }

  /** Sends one fragment of what a stream has waiting; false when its credit does not suffice. */
  #sendFragment(stream: SendingStream): boolean {
    const waiting = stream.waiting!;
    const { bytes, at, status } = waiting;
    const left = bytes.length - at;
    const credit = Math.min(stream.creditBytes, this.creditBytes);
    const writer = this.#outbox.data;
    // A status is never cut: once nothing else is left, it goes whatever its size.
    if (status !== undefined && left <= credit && (left === 0 || left + status.length <= this.frameBytes)) {
      const frameAt = writer.beginFrame(Kind.end, 0, stream.id);
      writer.raw(status);
      writer.raw(at === 0 ? bytes : bytes.subarray(at));
      writer.endFrame(frameAt);
      this.#spend(stream, left);
      this.#settle(stream, waiting, left);
      return true;
    }
    const count = Math.min(left, this.frameBytes, credit - DATA_COST_BYTES);
    if (count <= 0 && (left > 0 || count < 0)) return false;
    // More is about to be given: crumbs would cost both sides more than waiting for it.
    if (count < left && count < this.frameBytes && this.#isScant(stream)) return false;
    const whole = count === left && status === undefined;
    const frameAt = writer.beginFrame(Kind.data, whole ? waiting.flags : Flag.more, stream.id);
    writer.raw(bytes.subarray(at, at + count));
    writer.endFrame(frameAt);
    this.#spend(stream, count + DATA_COST_BYTES);
    waiting.since = this.#now();
    if (whole) this.#settle(stream, waiting, count);
    else {
      waiting.at += count;
      this.waitingBytes -= count;
    }
    return true;
  }

  /** Whether the stream's own credit is what lacks, and less than half a window is left of it: then the peer gives more. */
  #isScant(stream: SendingStream): boolean {
    return stream.creditBytes <= this.creditBytes && stream.creditBytes * 2 < this.#streamWindowBytes;
  }

  #settle(stream: SendingStream, waiting: Waiting, bytes: number): void {
    stream.waiting = undefined;
    this.waitingBytes -= bytes;
    waiting.done?.();
    if (this.waitingBytes < this.#crowdedBytes) this.#wakeRoom();
  }

  #wakeRoom(): void {
    if (this.#room.length === 0) return;
    const room = this.#room;
    this.#room = [];
    for (const wake of room) wake();
  }
}
