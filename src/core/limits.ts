import { checkInteger, withDefaults } from "./options.ts";

/**
 * The numbers that bound what a peer can cost. Each side tells the other those that concern it in its HELLO, and checks
 * the other's before it sends.
 */
export interface Limits {
  /** The largest payload of a frame that is accepted, in bytes. */
  maxFrameBytes: number;
  /** The largest payload of a frame that is sent, in bytes; the peer's limit may lower it. */
  sendFrameBytes: number;
  /** The largest message, in bytes, once it is put together. */
  maxMessageBytes: number;
  /** The largest block of metadata or trailers, in bytes as encoded. */
  maxMetadataBytes: number;
  /** The most pairs in a block of metadata or trailers. */
  maxMetadataEntries: number;
  /** The most calls that a peer may have running on one connection. */
  maxStreams: number;
  /** How many calls may lead to one that is taken, 1 to 254: services that call each other in a circle end there. */
  maxHops: number;
  /** The most calls of methods with `dedupe` that a server has running or remembers; one more is refused. Nobody has more of them
   * than he leaves to others: a caller who is alone has half, two have a third each. */
  dedupeKeys: number;
  /** How many bytes their results may take in a server, shared likewise; the caller's oldest are given up, and their calls
   * remembered without. */
  dedupeBytes: number;
  /** The most calls that wait in a client because the server's `maxStreams` are taken. */
  maxQueuedCalls: number;
  /** How many bytes of messages a peer may send on one call before some are consumed, at first: up to twice as many, but no more
   * than on the connection, while its reader is fast and keeps up. */
  streamWindowBytes: number;
  /** How many bytes of messages a peer may send on one connection before some are consumed, at first: it grows up to `maxAssemblyBytes`
   * around what slow readers hold. */
  connectionWindowBytes: number;
  /** How many bytes one connection may hold for slow readers, and how many of unfinished messages beyond that. */
  maxAssemblyBytes: number;
  /** How many bytes may wait to be written before senders wait. */
  sendBufferBytes: number;
  /** How many bytes may wait to be written before the connection is closed. */
  maxSendBufferBytes: number;
  /** The most connections that a client opens to one instance, where its calls have no place on fewer. */
  maxConnectionsPerInstance: number;
  /** The most connections that one listener holds. */
  maxConnections: number;
  /** The most connections of one listener that have not said hello yet. */
  maxHandshakes: number;
  /** How long a connection may take to say hello, TLS included, in milliseconds. */
  handshakeMs: number;
  /** How long dialling may take, in milliseconds. */
  connectMs: number;
  /**
   * How long writing may make no progress, in milliseconds. Where no call runs and less than a kilobyte waits, such as a few small
   * answers, that may be noticed up to `idleKeepaliveMs` later.
   */
  writeStallMs: number;
  /** How long a stream may wait for credit, in milliseconds. */
  streamStallMs: number;
  /** How long a frame may take to arrive once its first byte is there, in milliseconds, for each 64 KiB or part of it. */
  frameStallMs: number;
  /** How long a connection without calls is kept, in milliseconds. */
  idleMs: number;
  /** How long a connection with calls may be silent before it is pinged, in milliseconds. */
  keepaliveMs: number;
  /** How long a connection without calls may be silent before it is pinged, in milliseconds; never less than `keepaliveMs` or 10 s,
   * whichever is shorter, since peers take faster pings for abuse. */
  idleKeepaliveMs: number;
  /** How long the answer to a ping may take, in milliseconds. */
  pingTimeoutMs: number;
  /** How many calls a peer may reset early in a burst; 100 a second are forgiven. */
  maxEarlyResets: number;
}

/** The limits that hold where none is given. */
export const DEFAULT_LIMITS: Readonly<Limits> = Object.freeze({
  maxFrameBytes: 1024 * 1024,
  sendFrameBytes: 64 * 1024,
  maxMessageBytes: 4 * 1024 * 1024,
  maxMetadataBytes: 8 * 1024,
  maxMetadataEntries: 128,
  maxStreams: 256,
  maxHops: 32,
  dedupeKeys: 200_000,
  dedupeBytes: 32 * 1024 * 1024,
  maxQueuedCalls: 1024,
  streamWindowBytes: 256 * 1024,
  connectionWindowBytes: 1024 * 1024,
  maxAssemblyBytes: 16 * 1024 * 1024,
  sendBufferBytes: 4 * 1024 * 1024,
  maxSendBufferBytes: 16 * 1024 * 1024,
  maxConnectionsPerInstance: 4,
  maxConnections: 10_000,
  maxHandshakes: 256,
  handshakeMs: 5_000,
  connectMs: 5_000,
  writeStallMs: 10_000,
  streamStallMs: 30_000,
  frameStallMs: 10_000,
  idleMs: 30 * 60_000,
  keepaliveMs: 15_000,
  idleKeepaliveMs: 60_000,
  pingTimeoutMs: 5_000,
  maxEarlyResets: 1_000,
});

/** The smallest and largest value of each limit; what is not named here may be 1 to 2^31 − 1. */
const RANGES: { readonly [Name in keyof Limits]?: readonly [number, number] } = {
  maxFrameBytes: [16 * 1024, 2 ** 24 - 1],
  sendFrameBytes: [1, 2 ** 24 - 1],
  maxMetadataBytes: [0, 2 ** 16 - 1],
  maxMetadataEntries: [0, 2 ** 16 - 1],
  streamWindowBytes: [1024, 2 ** 31 - 1],
  connectionWindowBytes: [1024, 2 ** 31 - 1],
  maxHops: [1, 254],
  maxQueuedCalls: [0, 2 ** 31 - 1],
};

/** The defaults with what is given instead. @throws {RangeError} {TypeError} */
export function checkLimits(given: Partial<Limits> | undefined): Readonly<Limits> {
  const limits = withDefaults(DEFAULT_LIMITS, given);
  for (const name of Object.keys(limits) as (keyof Limits)[]) {
    const [min, max] = RANGES[name] ?? [1, 2 ** 31 - 1];
    checkInteger(`limits.${name}`, limits[name], min, max);
  }
  return Object.freeze(limits);
}
