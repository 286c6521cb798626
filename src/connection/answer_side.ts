/**
 * The calls that the other side makes on one connection: takes them, asks the gate about them, and counts their handlers.
 *
 * Invariants: stream numbers count up by two without a gap; no more handlers run than the limit says, and a handler counts until
 * it has settled, whatever became of its stream.
 */
import type { Refusal } from "../admission/refusal.ts";
import type { Caller } from "../admission/wait_queue.ts";
import type { Peer } from "../core/call.ts";
import { RpcError } from "../core/error.ts";
import type { LoadReport } from "../core/load.ts";
import type { ByteReader } from "../protocol/byte_reader.ts";
import { writeReset } from "../protocol/control.ts";
import { Flag, Kind } from "../protocol/frame.ts";
import { OpenHeader, readOpen } from "../protocol/open.ts";
import { encodeRefusal, writeRefusal } from "../protocol/status.ts";
import { violation } from "../protocol/violation.ts";
import type { Abuse } from "./abuse.ts";
import { type AnswerOwner, IncomingCall } from "./incoming_call.ts";
import { PeersProcedures } from "./procedure_names.ts";
import type { StreamHost } from "./stream.ts";
import type { StreamTable } from "./stream_table.ts";

/** How long the other side is not told of the load again. */
const LOAD_EVERY_MS = 100;

/** What it needs of the connection beyond what every stream does. */
export interface AnswerSideHost extends StreamHost {
  /** Who is on the other side. */
  readonly peer: Peer;
  /** All streams of the connection. */
  readonly streams: StreamTable;
  /** What the other side has done that costs it nothing. */
  readonly abuse: Abuse;
  /** Whether this side takes no more calls. */
  readonly hasLeft: boolean;
  /** Whether the connection is over. */
  readonly isOver: boolean;
  /** There is something to watch from now on. */
  watch(now: number): void;
  /** A handler has ended, and perhaps it was the last thing to wait for. */
  rest(): void;
  /** An answer that costs the other side nothing was written. @throws {ProtocolViolation} when too many wait */
  answered(): void;
}

// One for all connections: a header is read in one go.
const header = new OpenHeader();

/** The calls that the other side makes. */
export class AnswerSide implements AnswerOwner {
  /** Who calls here, as far as admission tells callers apart. */
  readonly caller: Caller | undefined;
  /** How many handlers run. */
  handlers = 0;
  /** The number of the last call that came; not above 0 when none has. */
  lastStream: number;
  readonly #host: AnswerSideHost;
  readonly #procedures = new PeersProcedures();
  #loadToldAt = -Infinity;

  /** @param before two below the number of the first call that may come */
  constructor(host: AnswerSideHost, before: number) {
    this.#host = host;
    this.lastStream = before;
    this.caller = host.settings.gate?.connected(host.peer);
  }

  get peer(): Peer {
    return this.#host.peer;
  }

  /** Takes a call, or refuses it. */
  take(payload: ByteReader, flags: number, id: number): void {
    const host = this.#host;
    if (id !== this.lastStream + 2) throw violation(`OPEN of stream ${id} where ${this.lastStream + 2} is next`);
    this.lastStream = id;
    const { limits, counters, codecs, codec, gate } = host.settings;
    readOpen(payload, header, limits);
    const procedure = this.#procedures.read(header);
    const more = (flags & Flag.more) !== 0;
    counters.callsReceived++;
    if (host.hasLeft || this.handlers >= limits.maxStreams) return this.#refuse(id, payload);
    // A call that comes in several frames, or whose answer could not leave, passes the gate when that is over.
    const verdict = header.timeoutMs === 0
      ? "pass"
      : more || host.sender.isCrowded
      ? "later"
      : gate === undefined
      ? "pass"
      : gate.decide(this.caller!, procedure, header.criticality, timeLeft(header), payload.left, host.heardAt);
    if (typeof verdict === "object") return this.#shed(id, verdict, payload);
    const name = header.codec ?? host.hello.codecs[0];
    const known = name === undefined ? codec : codecs.get(name);
    const terms = this.#procedures.terms(procedure, header, known ?? codec);
    const call = new IncomingCall(host, this, id, terms, header);
    this.handlers++;
    if (header.hop > limits.maxHops) counters.callsRefused++;
    const problem = known === undefined ? unknownCodec(name, [...codecs.keys()]) : problemOf(header, limits.maxHops);
    if (problem === undefined) call.onOpen(payload.bytes, payload.at, payload.end, more, verdict);
    else call.refuse(problem, payload.left);
    // Most handlers of small calls have ended by now, and nothing is left that frames could be for.
    if (call.isOver || host.isOver) return;
    host.streams.set(id, call);
    host.watch(host.heardAt);
  }

  /** Tells the other side that a call may go elsewhere. */
  #refuse(id: number, payload: ByteReader): void {
    const { settings: { counters }, abuse, intake, outbox, heardAt } = this.#host;
    counters.callsRefused++;
    abuse.refused(this.handlers, heardAt);
    intake.discard(payload.left);
    if (header.kind === "oneway") {
      counters.onewaysDropped++;
      return;
    }
    writeReset(outbox.data, id, undefined);
    outbox.schedule();
  }

  /** Ends a call that the gate does not let in, and as cheaply as can be: there may be many. */
  #shed(id: number, why: Refusal, payload: ByteReader): void {
    const { settings: { counters, gate }, intake, outbox } = this.#host;
    counters.callsRefused++;
    intake.discard(payload.left);
    if (header.kind === "oneway") {
      counters.onewaysDropped++;
      return;
    }
    const at = outbox.data.beginFrame(Kind.end, 0, id);
    const encoded = why.encoded ??= encodeRefusal(why.message);
    writeRefusal(outbox.data, encoded, gate!.retryAfterMs(), this.loadToTell());
    outbox.data.endFrame(at);
    this.#host.answered();
  }

  /** Tells the other side of all calls that have not begun to run that they may go elsewhere. Gives how many there were. */
  giveBack(): number {
    const before = this.handlers;
    for (const stream of this.#host.streams.values()) if (stream instanceof IncomingCall) stream.giveBack();
    return before - this.handlers;
  }

  /** Nobody calls here any more. */
  stop(): void {
    if (this.caller !== undefined) this.#host.settings.gate?.disconnected(this.caller);
  }

  // What calls need.

  loadToTell(): LoadReport | undefined {
    const { settings: { gate }, heardAt } = this.#host;
    if (gate === undefined || heardAt - this.#loadToldAt < LOAD_EVERY_MS) return undefined;
    this.#loadToldAt = heardAt;
    return gate.load();
  }

  handlerEnded(): void {
    this.handlers--;
    this.#host.rest();
  }
}

function timeLeft({ timeoutMs }: OpenHeader): number {
  return timeoutMs < 0 ? Infinity : timeoutMs;
}

function unknownCodec(name: string | undefined, known: readonly string[]): RpcError {
  const text = `Cannot take codec "${name}": the server has ${known.join(", ")} (its option "codecs")`;
  return new RpcError("unimplemented", text, { executed: "no" });
}

/** Why a call can't be run, whatever is called, or `undefined`. */
function problemOf({ compression, hop, problem }: OpenHeader, maxHops: number): RpcError | undefined {
  if (compression !== undefined) {
    const text = `Cannot take compression "${compression}": the server has none`;
    return new RpcError("unimplemented", text, { executed: "no" });
  }
  if (hop > maxHops) {
    const text =
      `Cannot take a call that ${hop} calls led to: services may be calling each other in a circle (the server's limits.maxHops is ${maxHops})`;
    return new RpcError("resource_exhausted", text, { executed: "no", retryAfterMs: -1 });
  }
  return problem === undefined ? undefined : new RpcError(problem.code, problem.message, { executed: "no" });
}
