/**
 * One socket between two sides that have said hello.
 *
 * One loop reads and takes each frame to its stream; one outbox writes. Either side may make calls: the side that dialled
 * has the odd stream numbers, the other one the even ones, and each counts up by two without a gap.
 *
 * Invariants: a stream number is never used twice; whatever ends the connection goes through `#end`, which settles
 * every call on it exactly once; a violation by the peer ends the connection and nothing else.
 */
import type { Refusal } from "../admission/refusal.ts";
import type { Caller } from "../admission/wait_queue.ts";
import type { Call, Peer, Reply } from "../core/call.ts";
import type { Code } from "../core/code.ts";
import { RpcError, textOf } from "../core/error.ts";
import type { LoadReport } from "../core/load.ts";
import type { CallObserver } from "../core/observer.ts";
import { ByteReader } from "../protocol/byte_reader.ts";
import type { ByteWriter } from "../protocol/byte_writer.ts";
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
import { checkMetadata, readMetadata } from "../protocol/metadata_block.ts";
import { OpenHeader, readOpen, writeOpen } from "../protocol/open.ts";
import { encodeRefusal, readStatus, Status, writeRefusal } from "../protocol/status.ts";
import { GoAwayCode, goAwayName, ProtocolViolation } from "../protocol/violation.ts";
import type { ByteConnection } from "../transport/byte_connection.ts";
import { Abuse } from "./abuse.ts";
import { CallQueue } from "./call_queue.ts";
import { type AnswerHost, IncomingCall } from "./incoming_call.ts";
import { type CallHost, checkSize, OutgoingCall } from "./outgoing_call.ts";
import { Outbox } from "./outbox.ts";
import { Intake } from "./intake.ts";
import { ProcedureNames } from "./procedure_names.ts";
import { Watchdog, type Watched } from "./watchdog.ts";
import { Sender } from "./sender.ts";
import type { Settings } from "./settings.ts";
import type { Stream } from "./stream.ts";
import { StreamTable } from "./stream_table.ts";

/** How many calls one connection may start in one turn of the event loop, before others get theirs. */
const CALLS_PER_TURN = 32;
/** For how long a peer that refused a call is taken to be full, in milliseconds (PROTOCOL §10). */
const FULL_MS = 100;
/** Beyond this share of the stream numbers, no new call begins: the connection is replaced. */
const LAST_OWN_STREAM = Math.floor(MAX_STREAM_ID * 0.75);
/** How long a side that has answered calls waits for the other to close the connection, once nothing runs on it any more. */
const LINGER_MS = 1_000;
/** How many frames that cost no credit may wait for a peer that does not read. */
const MAX_CONTROL_FRAMES = 1_000;
/** How long the other side is not told of the load again. */
const LOAD_EVERY_MS = 100;

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

// One of each for all connections: a frame is read, or written, in one go.
const opened = new OpenHeader();
const written = new OpenHeader();
const ended = new Status();

/** One socket between two sides, carrying calls both ways. */
export class Connection implements CallHost, AnswerHost, Watched {
  readonly settings: Settings;
  readonly hello: Hello;
  readonly peer: Peer;
  readonly outbox: Outbox;
  readonly sender: Sender;
  /** When the last bytes came, on the platform's clock. */
  heardAt: number;
  /** Told what the other side says about its load. */
  onLoad: ((load: LoadReport) => void) | undefined = undefined;
  /** Who calls here, as far as admission tells callers apart. */
  readonly caller: Caller | undefined;
  /** Resolves, and never rejects, when it is over. */
  readonly closed: Promise<void>;
  readonly #socket: ByteConnection;
  /** What came and was not taken yet. */
  readonly frames: FrameReader;
  readonly #payload = new ByteReader();
  readonly #streams = new StreamTable();
  readonly intake: Intake;
  readonly #names = new ProcedureNames();
  readonly #abuse: Abuse;
  readonly #watchdog: Watchdog;
  readonly #parity: number;
  readonly #queue = new CallQueue<OutgoingCall>();
  #nextStream: number;
  #lastPeerStream: number;
  #callFrames = 0;
  /** Once no more bytes than these are left of what was read, the answers so far leave. */
  #answerAt = 0;
  #loadToldAt = -Infinity;
  #outgoing = 0;
  /** How many calls of this side may run at once. */
  #places: number;
  #fullUntil: Disposable | undefined;
  #handlers = 0;
  #peerGone: { lastStream: number; reason: string } | undefined;
  #goneLast: number | undefined;
  #over: string | undefined;
  #linger: Disposable | undefined;
  #late = false;
  #resolveClosed!: () => void;
  #pingNumber = 0;
  /** Where the last ping ends in the outbox. */
  #pingEnd = 0;
  #pings: Map<number, () => void> | undefined;

  constructor(greeted: Greeted, settings: Settings) {
    const { limits, platform } = settings;
    this.settings = settings;
    this.hello = greeted.hello;
    this.#places = greeted.hello.maxStreams;
    this.peer = greeted.peer;
    this.heardAt = platform.clock.now();
    this.caller = settings.gate?.connected(greeted.peer);
    this.closed = new Promise((resolve) => this.#resolveClosed = resolve);
    this.#socket = greeted.socket;
    this.frames = greeted.reader;
    this.frames.maxPayloadBytes = limits.maxFrameBytes;
    const checksums = (greeted.hello.features & Feature.checksums) !== 0;
    this.frames.checksums = checksums;
    this.#parity = greeted.dialled ? 1 : 0;
    this.#nextStream = greeted.dialled ? 1 : 2;
    this.#lastPeerStream = greeted.dialled ? 0 : -1;
    this.intake = new Intake(
      limits.connectionWindowBytes,
      limits.maxAssemblyBytes,
      (bytes) => this.#giveCredit(0, bytes),
    );
    const { keepaliveMs } = greeted.hello;
    this.#abuse = new Abuse(limits, Math.min(limits.keepaliveMs, keepaliveMs || Infinity), this.heardAt);
    this.outbox = new Outbox(
      greeted.socket,
      settings.counters,
      () => this.sender.pump(),
      (cause) => this.#end(`writing failed: ${textOf(cause)}`),
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
    this.#watchdog = new Watchdog(this, limits, settings.timers, this.heardAt);
    settings.counters.connectionsOpened++;
    void this.#read();
  }

  /** How many calls this side has running on it, and waiting for it. */
  get inFlight(): number {
    return this.#outgoing + this.#queue.size;
  }

  /** How many of them wait for it. */
  get queued(): number {
    return this.#queue.size;
  }

  /** How many handlers run for the other side. */
  get handlers(): number {
    return this.#handlers;
  }

  /** Whether new calls may begin on it. */
  get isOpen(): boolean {
    return this.#over === undefined && this.#peerGone === undefined && this.#goneLast === undefined &&
      this.#nextStream < LAST_OWN_STREAM;
  }

  /** Whether it was given up because the other side gave no sign of life. */
  get isLate(): boolean {
    return this.#late;
  }

  /** Whether a call that comes now begins at once, as far as the server's limit and what waits to be sent go. */
  get hasRoom(): boolean {
    return this.#outgoing < this.#places && !this.sender.isCrowded && this.isOpen;
  }

  /** Whether this side said that it goes away. */
  get hasLeft(): boolean {
    return this.#goneLast !== undefined;
  }

  /** Why it is over, or `undefined`. */
  get reason(): string | undefined {
    return this.#over;
  }

  /** Carries a call, and tells an observer how it ended. */
  readonly invoke = (call: Call, observer?: CallObserver): Promise<Reply> =>
    new Promise((resolve, reject) => this.#carry(new OutgoingCall(this, call, observer, resolve, reject)));

  /** Gives another connection as many of the calls that wait here as it has places for, in their order. */
  giveQueued(to: Connection): void {
    while (this.#queue.size > 0 && to.hasRoom) to.#carry(this.#queue.shift()!.movedTo(to));
  }

  #carry(outgoing: OutgoingCall): void {
    const { call } = outgoing;
    if (!this.isOpen) return outgoing.onRefused(this.#over ?? this.#peerGone?.reason ?? "the connection is closing");
    // Whoever asked for a time-out had the clock read for this call alone.
    const now = Math.max(this.settings.timers.turnNow(), call.startedAt);
    if (!outgoing.arm(now)) return;
    if (this.#outgoing < this.#places && !this.sender.isCrowded) return outgoing.start(now);
    if (this.#queue.size >= this.settings.limits.maxQueuedCalls) {
      return outgoing.onQueueFull(this.settings.limits.maxQueuedCalls);
    }
    this.#queue.push(outgoing);
    if (this.sender.isCrowded) void this.sender.room().then(() => this.#startQueued());
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
    this.#goneLast = Math.max(0, this.#lastPeerStream);
    writeGoAway(this.outbox.data, { lastStream: this.#goneLast, code, message });
    this.outbox.schedule();
    this.#endWhenDone();
  }

  /** Ends it now. Calls that this side made are settled, handlers of the other side's are aborted. */
  async close(reason = "the connection was closed"): Promise<void> {
    if (this.#over === undefined) {
      this.goAway(reason);
      await Promise.race([this.outbox.flushed(), this.#shortWhile()]);
      this.#end(reason);
    }
    await this.closed;
  }

  // What the watchdog needs.

  get hasCalls(): boolean {
    return this.#streams.size > 0 || this.#handlers > 0;
  }

  get hasPingLeft(): boolean {
    return this.outbox.handedBytes >= this.#pingEnd;
  }

  askForLife(): void {
    // The answer to an earlier ping will do: where writing is slow, pings behind each other would arrive all at once.
    if ((this.#pings?.size ?? 0) === 0) this.#sendPing(() => {});
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

  // What streams need.

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
    if (!this.#streams.delete(stream.id)) return;
    this.sender.forget(stream);
    if ((stream.id & 1) === this.#parity) this.#outgoing--;
    if (this.#queue.size > 0) this.#startQueued();
    else if (this.onRoom !== undefined && (stream.id & 1) === this.#parity) this.onRoom();
    this.#rest();
  }

  loadToTell(): LoadReport | undefined {
    const { gate } = this.settings;
    if (gate === undefined || this.heardAt - this.#loadToldAt < LOAD_EVERY_MS) return undefined;
    this.#loadToldAt = this.heardAt;
    return gate.load();
  }

  handlerEnded(): void {
    this.#handlers--;
    this.#rest();
  }

  wasHanded(position: number): boolean {
    return this.outbox.handedBytes > position;
  }

  dequeue(call: OutgoingCall): void {
    this.#queue.delete(call);
  }

  halfClose(call: OutgoingCall): void {
    const writer = this.outbox.data;
    writer.endFrame(writer.beginFrame(Kind.end, 0, call.id));
    this.outbox.schedule();
  }

  open(outgoing: OutgoingCall, now: number): void {
    const { call, codec } = outgoing;
    if (call.dedupe !== undefined) this.#bind(call);
    const streaming = call.kind === "clientStream" || call.kind === "bidi";
    const encoded = streaming ? "" : codec.encode(call.message);
    checkSize(encoded, this.hello.maxMessageBytes, call.procedure);
    if (call.hasMetadata) checkMetadata(call.metadata, this.hello);
    const writer = this.outbox.data;
    outgoing.id = this.#nextStream;
    outgoing.openedAt = this.outbox.position;
    const frameAt = writer.beginFrame(Kind.open, 0, outgoing.id);
    this.#writeHeader(writer, call, codec.name, now);
    this.#nextStream += 2;
    const oneway = call.kind === "oneway";
    const whole = this.sender.endOpen(outgoing, writer, frameAt, encoded, oneway ? () => outgoing.onSent() : undefined);
    this.settings.counters.callsSent++;
    call.sentAt = now;
    if (oneway && whole) return;
    outgoing.listed = true;
    this.#streams.set(outgoing.id, outgoing);
    if (this.#outgoing++ === 0) this.#watchdog.wake(now);
  }

  /** A call that may have run must not reach a server that does not remember it. */
  #bind(call: Call): void {
    const { instance, incarnation } = this.hello;
    const { bound, endpoint = "" } = call;
    if (bound !== undefined && (bound.instance !== instance || bound.incarnation !== incarnation)) {
      throw new RpcError(
        "unavailable",
        `Cannot repeat "${call.procedure}": ${endpoint} has started anew, and does not remember it`,
        { executed: "no", retryAfterMs: -1 },
      );
    }
    call.servedBy = { endpoint, instance, incarnation };
  }

  #writeHeader(writer: ByteWriter, call: Call, codec: string, now: number): void {
    const header = written.reset();
    this.#names.write(call.procedure, header);
    header.kind = call.kind;
    header.idempotent = call.idempotent;
    if (call.deadline !== Infinity) header.timeoutMs = Math.max(1, Math.round(call.deadline - now));
    header.codec = codec === this.settings.codec.name ? undefined : codec;
    header.attempt = call.attempt;
    header.hop = call.hop;
    header.criticality = call.criticality;
    header.dedupe = call.dedupe?.bytes;
    header.trace = call.trace;
    header.routing = call.hashKey;
    header.metadata = call.hasMetadata ? call.metadata : undefined;
    writeOpen(writer, header);
  }

  /**
   * A call was refused: the places of calls that were taken back are not free before their handlers have ended. For a moment no
   * more calls run at once than do now, so that the peer need not take the next ones for a flood.
   */
  #full(): void {
    this.#places = Math.min(this.#places, this.#outgoing - 1);
    this.#fullUntil ??= this.settings.timers.after(FULL_MS, () => {
      this.#fullUntil = undefined;
      this.#places = this.hello.maxStreams;
      if (this.#queue.size > 0) this.#startQueued();
      else this.onRoom?.();
    });
  }

  #startQueued(): void {
    while (this.#queue.size > 0 && this.#outgoing < this.#places && !this.sender.isCrowded) {
      const outgoing = this.#queue.shift()!;
      if (this.isOpen) outgoing.start(this.settings.platform.clock.now());
      else outgoing.onRefused(this.#over ?? this.#peerGone?.reason ?? "the connection is closing");
    }
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
        return this.#onOpen(payload, flags, id);
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
    this.#abuse.skipped(this.heardAt);
  }

  #onOpen(payload: ByteReader, flags: number, id: number): void {
    if (id !== this.#lastPeerStream + 2) {
      throw violation(`OPEN of stream ${id} where ${this.#lastPeerStream + 2} is next`);
    }
    this.#lastPeerStream = id;
    const { limits, counters, codecs, codec } = this.settings;
    const header = opened;
    readOpen(payload, header, limits);
    const procedure = this.#names.read(header);
    const more = (flags & Flag.more) !== 0;
    counters.callsReceived++;
    if (this.#goneLast !== undefined || this.#handlers >= limits.maxStreams) {
      counters.callsRefused++;
      this.#abuse.refused(this.#handlers, this.heardAt);
      this.intake.discard(payload.left);
      if (header.kind === "oneway") counters.onewaysDropped++;
      else {
        writeReset(this.outbox.data, id, undefined);
        this.outbox.schedule();
      }
      return;
    }
    const { gate } = this.settings;
    // A call that comes in several frames passes the gate when it is complete.
    const verdict = gate === undefined || header.timeoutMs === 0
      ? "pass"
      : more
      ? "later"
      : gate.decide(this.caller!, procedure, header.criticality, timeLeft(header), payload.left, this.heardAt);
    if (typeof verdict === "object") return this.#refuse(id, header, verdict, payload);
    const name = header.codec ?? this.hello.codecs[0];
    const known = name === undefined ? codec : codecs.get(name);
    const call = new IncomingCall(this, id, procedure, header, known ?? codec);
    if (this.#handlers++ === 0) this.#watchdog.wake(this.heardAt);
    if (known === undefined) {
      call.refuse(
        new RpcError(
          "unimplemented",
          `Cannot take codec "${name}": the server has ${[...codecs.keys()].join(", ")} (its option "codecs")`,
          {
            executed: "no",
          },
        ),
        payload.left,
      );
    } else if (header.compression !== undefined) {
      call.refuse(
        new RpcError("unimplemented", `Cannot take compression "${header.compression}": the server has none`, {
          executed: "no",
        }),
        payload.left,
      );
    } else if (header.hop > limits.maxHops) {
      counters.callsRefused++;
      call.refuse(
        new RpcError(
          "resource_exhausted",
          `Cannot take a call that ${header.hop} calls led to: services may be calling each other in a circle (the server's limits.maxHops is ${limits.maxHops})`,
          { executed: "no", retryAfterMs: -1 },
        ),
        payload.left,
      );
    } else if (header.problem !== undefined) {
      call.refuse(new RpcError(header.problem.code, header.problem.message, { executed: "no" }), payload.left);
    } else call.onOpen(payload.bytes, payload.at, payload.end, more, verdict);
    // Most handlers of small calls have ended by now, and nothing is left that frames could be for.
    if (!call.isOver && this.#over === undefined) this.#streams.set(id, call);
  }

  /** Ends a call unrun, and as cheaply as can be: there may be many. */
  #refuse(id: number, { kind }: OpenHeader, why: Refusal, payload: ByteReader): void {
    const { counters, gate } = this.settings;
    counters.callsRefused++;
    this.intake.discard(payload.left);
    if (kind === "oneway") {
      counters.onewaysDropped++;
      return;
    }
    const writer = this.outbox.data;
    const at = writer.beginFrame(Kind.end, 0, id);
    writeRefusal(writer, why.encoded ??= encodeRefusal(why.message), gate!.retryAfterMs(), this.loadToTell());
    writer.endFrame(at);
    this.#control();
  }

  #onData(payload: ByteReader, flags: number, id: number): void {
    const { at, end } = payload;
    const more = (flags & Flag.more) !== 0;
    const last = (flags & Flag.last) !== 0;
    const cost = end - at + DATA_COST_BYTES;
    if (more && at === end) this.#abuse.emptyFragment();
    else this.#abuse.usefulFragment();
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
      if (!stream.settled) this.#abuse.reset(this.heardAt);
      stream.onReset();
    } else if (stream instanceof OutgoingCall) {
      if (code === undefined) {
        this.#full();
        stream.onRefused("it takes no more calls on this connection");
      } else stream.onLost(`the server reset the call with ${code}`, undefined);
    }
  }

  #onCredit(payload: ByteReader, id: number): void {
    const bytes = readCredit(payload);
    this.#abuse.credit(this.heardAt, this.outbox.handedBytes);
    if (id === 0) return this.sender.credit(undefined, bytes);
    const stream = this.#streamOf(id);
    if (stream !== undefined) this.sender.credit(stream, bytes);
  }

  #onPing(number: number, flags: number): void {
    if ((flags & Flag.ack) !== 0) {
      const answered = this.#pings?.get(number);
      if (answered === undefined) return this.#abuse.skipped(this.heardAt);
      this.#pings?.delete(number);
      return answered();
    }
    this.#abuse.ping(this.heardAt, this.#callFrames + this.sender.sentFrames);
    writePing(this.outbox.data, number, true);
    this.#control();
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
    for (const stream of this.#streams.values()) {
      if (stream.id > lastStream && stream instanceof OutgoingCall) stream.onRefused(this.#peerGone.reason);
    }
    for (const queued of this.#queue.takeAll()) queued.onRefused(this.#peerGone.reason);
    this.onGoAway?.();
    this.#endWhenDone();
  }

  /** Told when a place becomes free for which no call waits here. */
  onRoom: (() => void) | undefined = undefined;

  /** Told once the peer announces that it goes away. */
  onGoAway: (() => void) | undefined = undefined;

  /** The stream of a frame, `undefined` when it is over. @throws {ProtocolViolation} when it never was */
  #streamOf(id: number): Stream | undefined {
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      const last = (id & 1) === this.#parity ? this.#nextStream - 2 : this.#lastPeerStream;
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
      lastStream: Math.max(0, this.#lastPeerStream),
      code: error.goAwayCode,
      message: error.message,
    });
    this.outbox.schedule();
    void Promise.race([this.outbox.flushed(), this.#shortWhile()]).then(() => this.#end(error.message));
  }

  /** Settles everything. Nothing happens on the connection afterwards. */
  #end(reason: string): void {
    if (this.#over !== undefined) return;
    this.#over = reason;
    const { counters, logger } = this.settings;
    this.#watchdog.stop();
    this.#fullUntil?.[Symbol.dispose]();
    this.#linger?.[Symbol.dispose]();
    counters.connectionsClosed++;
    counters.callsLost += this.#streams.size;
    logger.debug(`The connection with ${this.peer.endpoint} is over: ${reason}`);
    for (const queued of this.#queue.takeAll()) queued.onRefused(reason);
    // One cause for all: whoever counts failures can tell that this was one.
    const cause = new Error(reason);
    for (const stream of this.#streams.values()) stream.onLost(reason, cause);
    if (this.caller !== undefined) this.settings.gate?.disconnected(this.caller);
    this.sender.close();
    this.outbox.close();
    for (const wake of this.#pings?.values() ?? []) wake();
    this.#pings = undefined;
    this.#socket.close();
    this.#resolveClosed();
  }

  /** Ends it in good order once one side goes away and nothing is left to do. */
  #endWhenDone(): void {
    if (this.#over !== undefined || this.#streams.size > 0 || this.#handlers > 0) return;
    if (this.#goneLast === undefined && (this.#peerGone === undefined || this.#peerGone.lastStream === MAX_STREAM_ID)) {
      return;
    }
    void this.outbox.flushed().then(() => {
      if (this.#streams.size > 0 || this.#handlers > 0) return;
      const end = () => this.#end(this.#peerGone?.reason ?? "it is going away");
      // Closing takes back what the other side has not read, if anything of it is on its way here: whoever has answered calls
      // leaves it to the other, who ends the connection when it has read the last answer.
      if (this.#lastPeerStream <= 0) end();
      else this.#linger ??= this.settings.timers.after(LINGER_MS, end);
    });
  }

  #rest(): void {
    if (this.#streams.size > 0 || this.#handlers > 0) return;
    if (this.#goneLast !== undefined || this.#peerGone !== undefined) this.#endWhenDone();
  }

  /** A frame that costs the peer nothing and waits for it to read. */
  #control(): void {
    if (++this.outbox.controlFrames > MAX_CONTROL_FRAMES) {
      throw new ProtocolViolation(
        GoAwayCode.calm,
        `Cannot answer: ${MAX_CONTROL_FRAMES} answers wait, and the other side does not read`,
      );
    }
    this.outbox.schedule();
  }

  #sendPing(answered: () => void): void {
    const number = ++this.#pingNumber;
    this.#pings ??= new Map();
    this.#pings.set(number, answered);
    this.settings.counters.pingsSent++;
    writePing(this.outbox.data, number, false);
    this.#pingEnd = this.outbox.position;
    this.outbox.schedule();
  }

  #giveCredit(stream: number, bytes: number): void {
    if (this.#over !== undefined) return;
    writeCredit(this.outbox.data, stream, bytes);
    this.outbox.schedule();
  }

  #shortWhile(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.settings.platform.clock.timer(200, resolve);
      void this.closed.then(() => timer[Symbol.dispose]());
    });
  }
}

function timeLeft({ timeoutMs }: OpenHeader): number {
  return timeoutMs < 0 ? Infinity : timeoutMs;
}

function violation(what: string): ProtocolViolation {
  return new ProtocolViolation(GoAwayCode.protocol, `Cannot go on: the other side sent ${what}`);
}
