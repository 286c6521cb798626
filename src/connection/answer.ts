/** What goes back to whoever called: the metadata before the first message, and how it ended. */
import type { CallTerms } from "../core/call_terms.ts";
import type { RpcError } from "../core/error.ts";
import { isMetadataText, Metadata, REASON_KEY } from "../core/metadata.ts";
import { Flag, Kind } from "../protocol/frame.ts";
import { checkMetadata, writeMetadata } from "../protocol/metadata_block.ts";
import { clipText, Status } from "../protocol/status.ts";
import type { StreamHost } from "./stream.ts";

/** What a status takes at most beside details, metadata and trailers: above all its text. */
const STATUS_BYTES = 2_048;

// One for all connections: a status is written in one go.
const status = new Status();

/** Writes the metadata that goes before the first message. @throws {RpcError} when it is over the receiver's limits */
export function writeHead({ hello, outbox }: StreamHost, id: number, metadata: Metadata): void {
  checkMetadata(metadata, hello);
  const writer = outbox.data;
  const at = writer.beginFrame(Kind.data, Flag.head, id);
  writeMetadata(writer, metadata);
  writer.endFrame(at);
  outbox.schedule();
}

/** The status of a call that is not taken. To be written at once: there is one for all. */
export function refusal(message: string, retryAfterMs: number): Status {
  return status.refuse(message, retryAfterMs);
}

/**
 * The status of a call that ended well, or with an error. To be written at once: there is one for all.
 * @throws {RpcError} when metadata or trailers are over the receiver's limits
 */
export function statusOf(
  host: StreamHost,
  terms: CallTerms,
  error: RpcError | undefined,
  head: Metadata | undefined,
  trailers: Metadata | undefined,
): Status {
  status.reset();
  status.metadata = head;
  status.trailers = trailers;
  if (error !== undefined) {
    status.code = error.code;
    status.message = clipText(error.message);
    status.executed = error.executed;
    status.retryAfterMs = error.retryAfterMs;
    if (error.reason !== undefined && isMetadataText(error.reason)) {
      const named = Metadata.received([[REASON_KEY, error.reason]]);
      status.trailers = merged(status.trailers, named);
    }
    if (error.details !== undefined) status.details = detailsOf(host, terms, error.details);
  }
  if (status.metadata !== undefined) checkMetadata(status.metadata, host.hello);
  if (status.trailers !== undefined) checkMetadata(status.trailers, host.hello);
  return status;
}

/** The pairs of both; what is `undefined` or empty counts for nothing. */
export function merged(first: Metadata | undefined, second: Metadata | undefined): Metadata | undefined {
  if (first === undefined || first.size === 0) return second !== undefined && second.size > 0 ? second : undefined;
  if (second === undefined || second === first) return first;
  const both = new Metadata(first);
  both.absorb(second);
  return both;
}

/**
 * The details of an error as they travel. They are left out where they can't be encoded, or the frame of a status, which is
 * never cut, has no room for them: that the call failed, and how, matters more.
 */
function detailsOf({ settings, hello }: StreamHost, terms: CallTerms, details: unknown): Uint8Array | undefined {
  const { logger } = settings;
  const { procedure } = terms;
  const codec = terms.codec ?? settings.codec;
  let encoded: Uint8Array;
  try {
    encoded = toBytes(codec.encode(details));
  } catch (error) {
    logger.error(`Cannot encode the details of the error of "${procedure}" as ${codec.name}`, error);
    return undefined;
  }
  const { metadata, trailers } = status;
  const room = hello.maxFrameBytes - STATUS_BYTES - (metadata?.mostBytes ?? 0) - (trailers?.mostBytes ?? 0);
  if (encoded.length <= room) return encoded;
  logger.error(
    `Cannot send ${encoded.length} bytes of details with the error of "${procedure}": there is room for ${
      Math.max(0, room)
    } (the receiver's limits.maxFrameBytes)`,
  );
  return undefined;
}

function toBytes(encoded: Uint8Array | string): Uint8Array {
  return typeof encoded === "string" ? new TextEncoder().encode(encoded) : encoded.slice();
}
