/**
 * Turns messages into bytes and back.
 *
 * A codec is a stateless value that many calls use at once. Its name goes on the wire, so both sides must mean the same
 * by it. `codecContract` of `@erpc/erpc/testing` checks one.
 */
export interface Codec {
  /** The name on the wire: 1 to 32 characters of `a-z 0-9 . + -`. */
  readonly name: string;
  /**
   * Gives the form that travels; text is sent as UTF-8. The kit copies the bytes before `encode` is called again.
   * Whatever it throws reaches the caller as `invalid_argument`, and from a handler's reply as `internal`.
   */
  encode(value: unknown): Uint8Array | string;
  /**
   * Gives the message back. `bytes` is valid only until it returns: what is kept must be copied.
   * Whatever it throws ends that one call with `invalid_argument`.
   */
  decode(bytes: Uint8Array): unknown;
  /**
   * The same for a message that stands among others, from `at` up to but not including `end`. Without it the kit makes a
   * view and calls `decode`; a view costs more than a small message does.
   */
  decodeAt?(bytes: Uint8Array, at: number, end: number): unknown;
}

const NAME = /^[a-z0-9.+-]{1,32}$/;

/** Checks the shape of a codec that a user handed in. @throws {TypeError} */
export function checkCodec(codec: Codec): Codec {
  if (typeof codec?.encode !== "function" || typeof codec.decode !== "function" || !NAME.test(codec.name)) {
    throw new TypeError(
      `Cannot use codec ${
        JSON.stringify(typeof codec === "string" ? codec : codec?.name)
      }: it needs encode, decode, and a name that matches ${NAME.source}`,
    );
  }
  return codec;
}
