/** The frame header and its constants (PROTOCOL §3). */

/** What a frame is (PROTOCOL §3.1). */
export const Kind = {
  hello: 1,
  open: 2,
  data: 3,
  end: 4,
  reset: 5,
  credit: 6,
  ping: 7,
  goAway: 8,
} as const;

/** Bits of the flags byte (PROTOCOL §3.2). */
export const Flag = {
  /** The message goes on in the next frame of this stream that carries message bytes. */
  more: 0x01,
  /** The initiator sends no message after this one. */
  last: 0x02,
  /** DATA carries the responder's metadata, not a message. */
  head: 0x04,
  /** PING is an answer. */
  ack: 0x08,
  /** Whoever does not know the kind may skip the frame. */
  skippable: 0x80,
} as const;

/** The flags that each kind may carry; others are a violation. */
export const ALLOWED_FLAGS: readonly number[] = [
  0,
  0,
  Flag.more,
  Flag.more | Flag.last | Flag.head,
  0,
  0,
  0,
  Flag.ack,
  0,
];

/** The size of a frame's header in bytes. */
export const HEADER_BYTES = 9;

/** What the initiator's first bytes are: a magic number and the version of the frames behind it (PROTOCOL §2). */
export const PREFACE: Uint8Array<ArrayBuffer> = new Uint8Array([0xe5, 0x52, 0x50, 0x43, 1]);

/** The lowest and the highest version that this code speaks. */
export const VERSION = 1;

/** The largest payload of a frame before the HELLO was taken, in bytes. */
export const MAX_HELLO_BYTES = 16 * 1024;

/** The highest stream id. */
export const MAX_STREAM_ID = 2 ** 31 - 1;

/** What a frame that carries message bytes costs in credit beside them (PROTOCOL §7). */
export const DATA_COST_BYTES = 16;
