/**
 * One socket between two sides that have said hello.
 *
 * One loop reads and takes each frame to its stream; one outbox writes. Either side may make calls: the side that dialled
 * has the odd stream numbers, the other one the even ones. What this side calls is in `CallerSide`, what it answers in
 * `AnswerSide`; here is what both need: frames, credit, pings, leaving, and the end.
 *
 * Invariants: whatever ends the connection goes through `#end`, which settles every call on it exactly once; a violation by the
 * peer ends the connection and nothing else.
 */
import type { Call, Peer } from "../core/call.ts";
import type { Code } from "../core/code.ts";
import { RpcError, textOf } from "../core/error.ts";
import type { LoadReport } from "../core/load.ts";
import type { CallObserver } from "../core/observer.ts";
import type { Receiver } from "../core/receiver.ts";
import { ByteReader } from "../protocol/byte_reader.ts";
import {
  readCredit,
  readGoAway,
  readPing,
  readReset,
  writeCredit,
  writeGoAway,
  writePing,
  writeReset,
} from "../protocol/control.ts";
import { ALLOWED_FLAGS, DATA_COST_BYTES, Flag, Kind, MAX_STREAM_ID } from "../protocol/frame.ts";
import type { FrameReader } from "../protocol/frame_reader.ts";
import { Feature, type Hello } from "../protocol/hello.ts";
import { readMetadata } from "../protocol/metadata_block.ts";
import { readStatus, Status } from "../protocol/status.ts";
import { GoAwayCode, goAwayName, ProtocolViolation, violation } from "../protocol/violation.ts";
import type { ByteConnection } from "../transport/byte_connection.ts";
import { Abuse } from "./abuse.ts";
import { AnswerSide, type AnswerSideHost } from "./answer_side.ts";
import { CallerSide, type CallerSideHost } from "./caller_side.ts";
import { Deadlines } from "./deadlines.ts";
import { IncomingCall } from "./incoming_call.ts";
import { Intake } from "./intake.ts";
import { OutgoingCall } from "./outgoing_call.ts";
import { Outbox } from "./outbox.ts";
import { Pings } from "./pings.ts";
import { Sender } from "./sender.ts";
import type { Settings } from "./settings.ts";
import type { Stream } from "./stream.ts";
import { StreamTable } from "./stream_table.ts";
import { Watchdog, type Watched } from "./watchdog.ts";

/** How many calls one connection may start in one turn of the event loop, before others get theirs. */
const CALLS_PER_TURN = 32;
/** How long a side that has answered calls waits for the other to close the connection, once nothing runs on it any more. */
const LINGER_MS = 1_000;
/** How many frames that cost no credit may wait for a peer that does not read. */
const MAX_CONTROL_FRAMES = 1_000;
/** How long what is said in parting may take to leave, in milliseconds. */
const PARTING_MS = 200;

/** What a handshake leaves behind. */
export interface Greeted {
  /** The socket. */
  readonly socket: ByteConnection;
  /** What came in and was not read yet. */
  readonly reader: FrameReader;
  /** What the other side said of itself. */
  readonly hello: Hello;
  /** Who the other side is, as handlers see it. */
  readonly peer: Peer;
  /** Whether this side dialled. */
  readonly dialled: boolean;
}

// One for all connections: a status is read in one go.
const ended = new Status();

/** One socket between two sides, carrying calls both ways. */
export class Connection implements CallerSideHost, AnswerSideHost, Watched {
  readonly settings: Settings;
  readonly hello: Hello;
  readonly peer: Peer;
  readonly outbox: Outbox;
  readonly sender: Sender;
  readonly intake: Intake;
  readonly streams = new StreamTable();
  readonly abuse: Abuse;
  /** What came and was not taken yet. */
  readonly frames: FrameReader;
  /** The calls that this side makes. */
  readonly calls: CallerSide;
  /** When the last bytes came, on the platform's clock. */
  heardAt: number;
  /** Told what the other side says about its load. */
  onLoad: ((load: LoadReport) => void) | undefined = undefined;
  /** Told once the peer announces that it goes away. */
  onGoAway: (() => void) | undefined = undefined;
  /** Resolves, and never rejects, when it is over. */
  readonly closed: Promise<void>;
  readonly #socket: ByteConnection;
  readonly #payload = new ByteReader();
  readonly #answers: AnswerSide;
  readonly #deadlines: Deadlines;
  readonly #pings: Pings;
  readonly #watchdog: Watchdog;
  /** What the stream numbers of this side's calls are odd by. */
  readonly #parity: number;
  #callFrames = 0;
  /** Once no more bytes than these are left of what was read, the answers so far leave. */
  #answerAt = 0;
  #peerGone: { lastStream: number; reason: string } | undefined;
  #goneLast: number | undefined;
  #over: string | undefined;
  #linger: Disposable | undefined;
  #late = false;
  #gaveBack = false;
  #resolveClosed!: () => void;

  constructor(greeted: Greeted, settings: Settings) {
    const { limits, platform } = settings;
    this.settings = settings;
    this.hello = greeted.hello;
    this.peer = greeted.peer;
    this.heardAt = platform.clock.now();
    this.closed = new Promise((resolve) => this.#resolveClosed = resolve);
    this.#socket = greeted.socket;
    this.frames = greeted.reader;
    this.frames.maxPayloadBytes = limits.maxFrameBytes;
    const checksums = (greeted.hello.features & Feature.checksums) !== 0;
    this.frames.checksums = checksums;
    this.#parity = greeted.dialled ? 1 : 0;
    this.intake = new Intake(
      limits.connectionWindowBytes,
      limits.maxAssemblyBytes,
      (bytes) => this.#giveCredit(0, bytes),
    );
    const { keepaliveMs } = greeted.hello;
    this.abuse = new Abuse(limits, Math.min(limits.keepaliveMs, keepaliveMs || Infinity));
    this.outbox = new Outbox(
      greeted.socket,
      settings.counters,
      () => this.sender.pump(),
      (cause) => this.#end(`writing failed: ${textOf(cause)}`),
      platform.turn,
      checksums,
    );
    this.sender = new Sender(
      this.outbox,
      {
        frameBytes: Math.min(limits.sendFrameBytes, greeted.hello.maxFrameBytes),
        creditBytes: greeted.hello.connectionWindowBytes,
        streamWindowBytes: greeted.hello.streamWindowBytes,
        crowdedBytes: limits.sendBufferBytes,
      },
      () => platform.clock.now(),
    );
    this.calls = new CallerSide(this, greeted.dialled ? 1 : 2);
    this.#answers = new AnswerSide(this, greeted.dialled ? 0 : -1);
    this.#deadlines = new Deadlines(settings.timers, () => [...this.streams.values(), ...this.calls.waiting()]);
    this.#pings = new Pings(this.outbox);
    this.#watchdog = new Watchdog(this, limits, settings.timers, this.heardAt);
    settings.counters.connectionsOpened++;
    void this.#read();
  }

  /** How many handlers run for the other side. */
  get handlers(): number {
    return this.#answers.handlers;
  }

  /** Whether new calls may begin on it. */
  get isOpen(): boolean {
    return this.#over === undefined && this.#peerGone === undefined && this.#goneLast === undefined &&
      this.calls.hasNumbers;
  }

  /** Whether it was given up because the other side gave no sign of life. */
  get isLate(): boolean {
    return this.#late;
  }

  /** Whether a call that comes now begins at once, as far as the server's limit and what waits to be sent go. */
  get hasRoom(): boolean {
    return this.calls.hasPlace && this.isOpen;
  }

  /** Why it is over, or `undefined`. */
  get reason(): string | undefined {
    return this.#over;
  }

  /** Carries a call to the other side, and tells an observer how it ended. */
  carry(call: Call, receiver: Receiver, observer?: CallObserver): void {
    this.calls.carry(call, receiver, observer);
  }

  /** Asks for a sign of life. Resolves with how long it took, in milliseconds; rejects when the connection ends first. */
  ping(): Promise<number> {
    if (this.#over !== undefined) return Promise.reject(new RpcError("unavailable", `Cannot ping: ${this.#over}`));
    const { clock } = this.settings.platform;
    const from = clock.now();
    return new Promise((resolve, reject) => {
      this.#sendPing(() => {
        if (this.#over === undefined) resolve(clock.now() - from);
        else reject(new RpcError("unavailable", `Lost the connection during a ping: ${this.#over}`));
      });
      this.#watchdog.asked(from);
    });
  }

  /** Says that no new calls are taken soon; a second `goAway` says which was the last. */
  announceGoAway(message: string): void {
    if (this.#over !== undefined || this.#goneLast !== undefined) return;
    writeGoAway(this.outbox.data, { lastStream: MAX_STREAM_ID, code: GoAwayCode.none, message });
    this.outbox.schedule();
  }

  /** Takes no new calls from the peer, and tells it which was the last. The connection ends when those have. */
  goAway(message: string, code: number = GoAwayCode.none): void {
    if (this.#over !== undefined || this.#goneLast !== undefined) return;
    this.#goneLast = Math.max(0, this.#answers.lastStream);
    writeGoAway(this.outbox.data, { lastStream: this.#goneLast, code, message });
    this.outbox.schedule();
    this.#endWhenDone();
  }

  /** Gives back the other side's calls that have not begun to run: they may go elsewhere. */
  giveBack(): void {
    if (this.#over === undefined && this.#answers.giveBack() > 0) this.#gaveBack = true;
  }

  /** Ends it now. Calls that this side made are settled; of the other side's, those that run are aborted, the rest given back. */
  async close(reason = "the connection was closed"): Promise<void> {
    if (this.#over === undefined) {
      this.giveBack();
      this.goAway(reason);
      // Closing takes back what the other side has not read, if anything of it is on its way here: the rest of a call that was
      // given back may be.
      const left = this.#gaveBack ? this.ping().catch(() => {}) : this.outbox.flushed();
      await Promise.race([left, this.#partingWhile()]);
      this.#end(reason);
    }
    await this.closed;
  }

  // What the watchdog needs.

  get hasCalls(): boolean {
    return this.streams.size > 0 || this.handlers > 0;
  }

  get hasPingLeft(): boolean {
    return this.#pings.haveLeft;
  }

  askForLife(): void {
    // The answer to an earlier ping will do: where writing is slow, pings behind each other would arrive all at once.
    if (this.#pings.size === 0) this.#sendPing(() => {});
  }

  onLate(reason: string): void {
    this.#late = true;
    this.settings.counters.timeouts++;
    this.#end(reason);
  }

  /** Only the side that dialled gives an idle connection up: it alone can dial again. */
  onIdle(): void {
    if (this.#parity === 1) this.goAway("it was idle");
  }

  // What streams and those who keep them need.

  get unusable(): string | undefined {
    return this.isOpen ? undefined : this.#over ?? this.#peerGone?.reason ?? "the connection is closing";
  }

  get hasLeft(): boolean {
    return this.#goneLast !== undefined;
  }

  get isOver(): boolean {
    return this.#over !== undefined;
  }

  watch(now: number): void {
    this.#watchdog.wake(now);
  }

  expect(dueAt: number): void {
    this.#deadlines.expect(dueAt);
  }

  giveCredit(stream: Stream, bytes: number): void {
    this.#giveCredit(stream.id, bytes);
  }

  reset(stream: Stream, code: Code | undefined): void {
    this.sender.forget(stream);
    if (this.#over !== undefined) return;
    writeReset(this.outbox.data, stream.id, code);
    this.outbox.schedule();
  }

  forget(stream: Stream): void {
    if (!this.streams.delete(stream.id)) return;
    this.sender.forget(stream);
    if ((stream.id & 1) === this.#parity) this.calls.ended();
    this.rest();
  }

  rest(): void {
    if (this.hasCalls) return;
    if (this.#goneLast !== undefined || this.#peerGone !== undefined) this.#endWhenDone();
  }

  answered(): void {
    if (++this.outbox.controlFrames > MAX_CONTROL_FRAMES) {
      throw new ProtocolViolation(
        GoAwayCode.calm,
        `Cannot answer: ${MAX_CONTROL_FRAMES} answers wait, and the other side does not read`,
      );
    }
    this.outbox.schedule();
  }

  /** The reader loop. */
  async #read(): Promise<void> {
    const { platform, counters } = this.settings;
    const frames = this.frames;
    try {
      // The handshake may have read further than the HELLO.
      await this.#takeFrames();
      while (this.#over === undefined) {
        const count = await this.#socket.read(frames.space());
        if (count === null) break;
        frames.received(count);
        counters.bytesRead += count;
        this.#answerAt = frames.partialBytes >> 1;
        this.heardAt = platform.clock.now();
        this.#watchdog.heard();
        // Also where it gives no promise: the write of what was answered begins in that moment, before the next read does.
        await this.#takeFrames();
      }
      this.#end(this.#peerGone?.reason ?? "the other side closed it");
    } catch (error) {
      if (this.#over !== undefined) return;
      if (error instanceof ProtocolViolation) this.#violated(error);
      else this.#end(`reading failed: ${textOf(error)}`);
    }
  }

  #takeFrames(): Promise<void> | undefined {
    const frames = this.frames;
    let calls = 0;
    while (this.#over === undefined && frames.next()) {
      this.#onFrame(frames.kind, frames.flags, frames.stream);
      if (frames.kind === Kind.open && ++calls === CALLS_PER_TURN) {
        // Others have their turn. The answers so far wait for the rest of a half: the other side has something to do while this
        // one does the other half, and gets no more writes than that takes.
        if (frames.partialBytes > this.#answerAt) this.outbox.hold();
        else {
          this.#answerAt = 0;
          this.outbox.release();
        }
        return this.settings.platform.turn().then(() => this.#takeFrames());
      }
    }
    this.outbox.release();
    this.#watchdog.framesTaken(frames.partialBytes, this.heardAt);
    return undefined;
  }

  #onFrame(kind: number, flags: number, id: number): void {
    const payload = this.#payload.reset(this.frames.bytes, this.frames.payloadAt, this.frames.payloadEnd);
    const allowed = ALLOWED_FLAGS[kind];
    if (allowed === undefined || kind === 0) return this.#onUnknown(kind, flags);
    if ((flags & ~(allowed | Flag.skippable)) !== 0) throw violation(`flags ${flags} on a frame of kind ${kind}`);
    if (kind <= Kind.end) this.#callFrames++;
    switch (kind) {
      case Kind.open:
        return this.#answers.take(payload, flags, id);
      case Kind.data:
        return this.#onData(payload, flags, id);
      case Kind.end:
        return this.#onEnd(payload, id);
      case Kind.reset:
        return this.#onReset(payload, id);
      case Kind.credit:
        return this.#onCredit(payload, id);
      case Kind.ping:
        if (id !== 0) throw violation("PING on a stream");
        return this.#onPing(readPing(payload), flags);
      case Kind.goAway:
        if (id !== 0) throw violation("GOAWAY on a stream");
        return this.#onGoAway(payload);
      default:
        throw violation("a second HELLO");
    }
  }

  #onUnknown(kind: number, flags: number): void {
    if ((flags & Flag.skippable) === 0) throw violation(`a frame of unknown kind ${kind} that may not be skipped`);
    this.settings.counters.framesSkipped++;
    this.abuse.skipped(this.heardAt);
  }

  #onData(payload: ByteReader, flags: number, id: number): void {
    const { at, end } = payload;
    const more = (flags & Flag.more) !== 0;
    const last = (flags & Flag.last) !== 0;
    const cost = end - at + DATA_COST_BYTES;
    if (more && at === end) this.abuse.emptyFragment();
    else this.abuse.usefulFragment();
    const stream = this.#streamOf(id);
    if ((flags & Flag.head) !== 0) {
      if (flags !== Flag.head || (id & 1) !== this.#parity) {
        throw violation("metadata in a DATA frame that can't have any");
      }
      return this.#onHead(payload, stream);
    }
    if (stream === undefined || stream.settled) {
      // Sent before the other side knew that the stream is over.
      return this.intake.discard(cost);
    }
    if (stream instanceof IncomingCall) stream.onData(payload.bytes, at, end, cost, more, last && !more);
    else if (last) throw violation("DATA from a responder that ends a stream");
    else (stream as OutgoingCall).onData(payload.bytes, at, end, cost, more);
  }

  #onHead(payload: ByteReader, stream: Stream | undefined): void {
    const metadata = readMetadata(payload, this.settings.limits);
    payload.finish();
    if (stream instanceof OutgoingCall && !stream.settled) stream.onHead(metadata);
  }

  #onEnd(payload: ByteReader, id: number): void {
    const stream = this.#streamOf(id);
    if ((id & 1) !== this.#parity) {
      payload.finish();
      if (stream instanceof IncomingCall) stream.onLast();
      return;
    }
    readStatus(payload, ended, this.settings.limits);
    if (ended.load !== undefined) this.onLoad?.(ended.load);
    if (stream instanceof OutgoingCall) stream.onEnd(ended, payload.bytes, payload.at, payload.end);
    else if (payload.left > 0) {
      this.intake.discard(payload.left);
    }
  }

  #onReset(payload: ByteReader, id: number): void {
    const code = readReset(payload);
    const stream = this.#streamOf(id);
    if (stream instanceof IncomingCall) {
      if (!stream.settled) this.abuse.reset(this.heardAt);
      stream.onReset();
    } else if (stream instanceof OutgoingCall) {
      if (code === undefined) {
        this.calls.full();
        stream.onRefused("it takes no more calls on this connection");
      } else stream.onLost(`the server reset the call with ${code}`, undefined);
    }
  }

  #onCredit(payload: ByteReader, id: number): void {
    const bytes = readCredit(payload);
    this.abuse.credit(this.heardAt, this.outbox.handedBytes);
    if (id === 0) return this.sender.credit(undefined, bytes);
    const stream = this.#streamOf(id);
    if (stream !== undefined) this.sender.credit(stream, bytes);
  }

  #onPing(number: number, flags: number): void {
    if ((flags & Flag.ack) !== 0) {
      if (!this.#pings.answered(number)) this.abuse.skipped(this.heardAt);
      return;
    }
    this.abuse.ping(this.heardAt, this.#callFrames + this.sender.sentFrames);
    writePing(this.outbox.data, number, true);
    this.answered();
  }

  #onGoAway(payload: ByteReader): void {
    const { lastStream, code, message } = readGoAway(payload);
    if (this.#peerGone !== undefined && lastStream > this.#peerGone.lastStream) {
      throw violation(`GOAWAY with stream ${lastStream} after one with ${this.#peerGone.lastStream}`);
    }
    const why = code === GoAwayCode.none
      ? "the other side is going away"
      : `the other side closed it (${goAwayName(code)})`;
    this.#peerGone = { lastStream, reason: message === "" ? why : `${why}: ${message}` };
    for (const stream of this.streams.values()) {
      if (stream.id > lastStream && stream instanceof OutgoingCall) stream.onRefused(this.#peerGone.reason);
    }
    this.calls.refuseQueued(this.#peerGone.reason);
    this.onGoAway?.();
    this.#endWhenDone();
  }

  /** The stream of a frame, `undefined` when it is over. @throws {ProtocolViolation} when it never was */
  #streamOf(id: number): Stream | undefined {
    const stream = this.streams.get(id);
    if (stream === undefined) {
      const last = (id & 1) === this.#parity ? this.calls.lastStream : this.#answers.lastStream;
      if (id === 0 || id > last) throw violation(`a frame on stream ${id}, which is not open`);
    }
    return stream;
  }

  #violated(error: ProtocolViolation): void {
    const { counters, logger } = this.settings;
    counters.violations++;
    logger.warn(`Closed the connection with ${this.peer.endpoint}: ${error.message}`);
    this.outbox.release();
    writeGoAway(this.outbox.data, {
      lastStream: Math.max(0, this.#answers.lastStream),
      code: error.goAwayCode,
      message: error.message,
    });
    this.outbox.schedule();
    void Promise.race([this.outbox.flushed(), this.#partingWhile()]).then(() => this.#end(error.message));
  }

  /** Settles everything. Nothing happens on the connection afterwards. */
  #end(reason: string): void {
    if (this.#over !== undefined) return;
    this.#over = reason;
    const { counters, logger } = this.settings;
    this.#watchdog.stop();
    this.#deadlines.stop();
    this.calls.stop();
    this.#linger?.[Symbol.dispose]();
    counters.connectionsClosed++;
    counters.callsLost += this.streams.size;
    logger.debug(`The connection with ${this.peer.endpoint} is over: ${reason}`);
    this.calls.refuseQueued(reason);
    // One cause for all: whoever counts failures can tell that this was one.
    const cause = new Error(reason);
    for (const stream of this.streams.values()) stream.onLost(reason, cause);
    this.#answers.stop();
    this.sender.close();
    this.outbox.close();
    this.#pings.close();
    this.#socket.close();
    this.#resolveClosed();
  }

  /** Ends it in good order once one side goes away and nothing is left to do. */
  #endWhenDone(): void {
    if (this.#over !== undefined || this.hasCalls) return;
    if (this.#goneLast === undefined && (this.#peerGone === undefined || this.#peerGone.lastStream === MAX_STREAM_ID)) {
      return;
    }
    void this.outbox.flushed().then(() => {
      if (this.hasCalls) return;
      const end = () => this.#end(this.#peerGone?.reason ?? "it is going away");
      // Closing takes back what the other side has not read, if anything of it is on its way here: whoever has answered calls
      // leaves it to the other, who ends the connection when it has read the last answer.
      if (this.#answers.lastStream <= 0) end();
      else this.#linger ??= this.settings.timers.after(LINGER_MS, end);
    });
  }

  #sendPing(done: () => void): void {
    this.settings.counters.pingsSent++;
    this.#pings.send(done);
  }

  #giveCredit(stream: number, bytes: number): void {
    if (this.#over !== undefined) return;
    writeCredit(this.outbox.data, stream, bytes);
    this.outbox.schedule();
  }

  #partingWhile(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.settings.platform.clock.timer(PARTING_MS, resolve);
      void this.closed.then(() => timer[Symbol.dispose]());
    });
  }
}
