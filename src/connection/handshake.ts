/** How a connection begins: the preface, and one HELLO from each side (PROTOCOL §2). */
import type { Peer } from "../core/call.ts";
import { RpcError, textOf } from "../core/error.ts";
import { ByteReader } from "../protocol/byte_reader.ts";
import { ByteWriter } from "../protocol/byte_writer.ts";
import { readGoAway, writeGoAway } from "../protocol/control.ts";
import { Kind, MAX_HELLO_BYTES, PREFACE, VERSION } from "../protocol/frame.ts";
import { FrameReader } from "../protocol/frame_reader.ts";
import { Feature, type Hello, readHello, writeHello } from "../protocol/hello.ts";
import { GoAwayCode, goAwayName, ProtocolViolation } from "../protocol/violation.ts";
import type { ByteConnection, PeerCertificate } from "../transport/byte_connection.ts";
import type { Greeted } from "./connection.ts";
import type { Settings } from "./settings.ts";

/** What the side that dials says of itself. */
export interface Claim {
  /** Its token, or an empty text. */
  readonly token: string;
  /** Its instance id, or an empty text. */
  readonly instance: string;
  /** Its zone, or an empty text. */
  readonly zone: string;
  /** Where it dials from, as an endpoint URL. */
  readonly endpoint: string;
  /** The certificate that it showed on a `tls://` endpoint which asks for one. */
  readonly certificate: PeerCertificate | undefined;
}

/** Decides who the other side is. What it returns is `peer.identity`; what it throws ends the connection. */
export type Authenticate = (claim: Claim) => unknown;

/** Says hello as the side that dialled. @throws {RpcError} when the other side does not answer as it should */
export async function greetAsClient(socket: ByteConnection, settings: Settings): Promise<Greeted> {
  return await withinTime(socket, settings, undefined, async () => {
    const writer = new ByteWriter(1024);
    writer.raw(PREFACE);
    const asked = settings.checksums === true ? Feature.checksums : 0;
    writeHello(writer, makeHello("client", settings, { observed: "", features: asked }));
    await writeAll(socket, writer.view());
    const reader = new FrameReader(MAX_HELLO_BYTES);
    const hello = await readFirstFrame(socket, reader);
    if ((hello.features & Feature.checksums) !== asked) {
      throw new ProtocolViolation(GoAwayCode.protocol, "it did not agree about checksums");
    }
    const peer = { endpoint: socket.remote, instance: hello.instance, zone: hello.zone, identity: undefined };
    return { socket, reader, hello, peer, dialled: true };
  });
}

/** Says hello as the side that was dialled. @throws {RpcError} when the other side is none of ours, or is not let in */
export async function greetAsServer(
  socket: ByteConnection,
  settings: Settings,
  authenticate: Authenticate | undefined,
  signal?: AbortSignal,
): Promise<Greeted> {
  return await withinTime(socket, settings, signal, async () => {
    const reader = new FrameReader(MAX_HELLO_BYTES);
    const writer = new ByteWriter(1024);
    try {
      await readPreface(socket, reader);
      const hello = await readFirstFrame(socket, reader);
      const peer: Peer = {
        endpoint: socket.remote,
        instance: hello.instance,
        zone: hello.zone,
        identity: authenticate === undefined ? undefined : await identify(authenticate, hello, socket),
      };
      const features = hello.features & Feature.checksums;
      writeHello(writer, makeHello("server", settings, { observed: socket.remote, features }));
      await writeAll(socket, writer.view());
      return { socket, reader, hello, peer, dialled: false };
    } catch (error) {
      if (error instanceof ProtocolViolation) {
        writer.length = 0;
        // So that the other side learns which versions would have been understood.
        if (error.goAwayCode === GoAwayCode.version) {
          writeHello(writer, makeHello("server", settings, { observed: socket.remote, features: 0 }));
        }
        writeGoAway(writer, { lastStream: 0, code: error.goAwayCode, message: error.message });
        await writeAll(socket, writer.view());
      }
      throw error;
    }
  });
}

async function identify(authenticate: Authenticate, hello: Hello, socket: ByteConnection): Promise<unknown> {
  const { token, instance, zone } = hello;
  try {
    return await authenticate({ token, instance, zone, endpoint: socket.remote, certificate: socket.peerCertificate });
  } catch (error) {
    const why = error instanceof RpcError ? error.message : "the token was not accepted";
    throw new ProtocolViolation(
      GoAwayCode.unauthenticated,
      `Cannot let ${instance === "" ? "it" : `"${instance}"`} in: ${why}`,
    );
  }
}

/** Runs a handshake under its time limit, which holds for the `authenticate` hook too; what ends it early closes the socket. */
async function withinTime(
  socket: ByteConnection,
  settings: Settings,
  signal: AbortSignal | undefined,
  greet: () => Promise<Greeted>,
): Promise<Greeted> {
  const { handshakeMs } = settings.limits;
  const { promise: ended, reject: end } = Promise.withResolvers<never>();
  const abort = () => end(signal?.reason);
  signal?.addEventListener("abort", abort);
  let late = false;
  const spentMs = socket.begunAt === undefined ? 0 : settings.platform.clock.now() - socket.begunAt;
  using _timer = settings.timers.after(Math.max(0, handshakeMs - spentMs), () => {
    late = true;
    end(undefined);
  });
  try {
    return await Promise.race([greet(), ended]);
  } catch (error) {
    socket.close();
    settings.counters.handshakesFailed++;
    if (late) throw failed(socket, `it took over ${handshakeMs} ms (limits.handshakeMs)`, "unavailable");
    if (error instanceof RpcError) throw error;
    const code = error instanceof ProtocolViolation && error.goAwayCode === GoAwayCode.unauthenticated
      ? "unauthenticated"
      : "unavailable";
    throw failed(socket, textOf(error), code, error);
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

/** What a client is sent that is not let in before it could say hello, because of its certificate. */
export function refusal(why: string): Uint8Array {
  const writer = new ByteWriter(256);
  writeGoAway(writer, { lastStream: 0, code: GoAwayCode.unauthenticated, message: `Cannot let it in: ${why}` });
  return writer.view();
}

/** Waits for the preface, and gives up at the first byte that is wrong: no length is believed before. */
async function readPreface(socket: ByteConnection, reader: FrameReader): Promise<void> {
  for (;;) {
    const held = reader.peek();
    const magic = Math.min(held.length, PREFACE.length - 1);
    for (let i = 0; i < magic; i++) {
      if (held[i] !== PREFACE[i]) throw new Error("it does not speak this protocol");
    }
    const preface = reader.take(PREFACE.length);
    if (preface !== undefined) {
      const version = preface[PREFACE.length - 1];
      if (version === VERSION) return;
      throw new ProtocolViolation(GoAwayCode.version, `Cannot speak version ${version}: this side speaks ${VERSION}`);
    }
    await readMore(socket, reader);
  }
}

/** Waits for the first frame, which must be HELLO; a GOAWAY instead says why there is none. */
async function readFirstFrame(socket: ByteConnection, reader: FrameReader): Promise<Hello> {
  try {
    while (!reader.next()) await readMore(socket, reader);
  } catch (error) {
    if (!(error instanceof ProtocolViolation)) throw error;
    // Most likely it is something else altogether, such as a web server; which limit its text went beyond is no help then.
    throw new ProtocolViolation(error.goAwayCode, `it does not speak this protocol: ${error.message}`);
  }
  const payload = new ByteReader().reset(reader.bytes, reader.payloadAt, reader.payloadEnd);
  if (reader.kind === Kind.goAway && reader.stream === 0) {
    const { code, message } = readGoAway(payload);
    throw new ProtocolViolation(code, `the other side refused (${goAwayName(code)}): ${message}`);
  }
  if (reader.kind !== Kind.hello || reader.stream !== 0 || reader.flags !== 0) {
    throw new ProtocolViolation(GoAwayCode.protocol, "its first frame is not HELLO");
  }
  return readHello(payload);
}

async function readMore(socket: ByteConnection, reader: FrameReader): Promise<void> {
  const count = await socket.read(reader.space());
  if (count === null) throw new Error("the other side closed it");
  reader.received(count);
}

async function writeAll(socket: ByteConnection, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await socket.write(bytes.subarray(done));
}

function makeHello(
  role: "client" | "server",
  settings: Settings,
  { observed, features }: { observed: string; features: number },
): Hello {
  const { limits, identity, codec, codecs } = settings;
  return {
    ...limits,
    minVersion: VERSION,
    maxVersion: VERSION,
    role,
    instance: identity.instance,
    incarnation: identity.incarnation,
    features,
    codecs: [codec.name, ...[...codecs.keys()].filter((name) => name !== codec.name)].slice(0, 16),
    compressions: [],
    keepaliveMs: role === "server" ? limits.keepaliveMs : 0,
    token: role === "client" ? identity.token : "",
    zone: identity.zone,
    contracts: identity.contracts,
    observed,
  };
}

function failed(
  socket: ByteConnection,
  why: string,
  code: "unavailable" | "unauthenticated",
  cause?: unknown,
): RpcError {
  return new RpcError(code, `Cannot shake hands with ${socket.remote}: ${why}`, { executed: "no", cause });
}
