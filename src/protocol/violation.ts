/** Why a connection is closed, as GOAWAY says it (PROTOCOL §9). */
export const GoAwayCode = {
  /** The sender shuts down in good order. */
  none: 0,
  /** A frame that its state or its form forbids. */
  protocol: 1,
  /** A frame over the limit that its receiver announced. */
  frameTooLarge: 2,
  /** More bytes than there was credit for, or credit beyond 2^31 − 1. */
  flowControl: 3,
  /** Too much of what costs the receiver more than the sender. */
  calm: 4,
  /** Pings faster than the receiver allows. */
  tooManyPings: 5,
  /** No version that both sides speak. */
  version: 6,
  /** The token of the HELLO was not accepted. */
  unauthenticated: 7,
  /** The peer took too long. */
  timeout: 8,
  /** The sender is full. */
  overloaded: 9,
  /** The sender failed. */
  internal: 10,
} as const;

/** What the peer did that ends the connection, and the code that it is told. */
export class ProtocolViolation extends Error {
  /** One of {@link GoAwayCode}. */
  readonly goAwayCode: number;

  /** Makes a violation; the message is for the log and, shortened, for the peer. */
  constructor(goAwayCode: number, message: string) {
    super(message);
    this.name = "ProtocolViolation";
    this.goAwayCode = goAwayCode;
  }
}

/** What the peer did that the protocol forbids. */
export function violation(what: string): ProtocolViolation {
  return new ProtocolViolation(GoAwayCode.protocol, `Cannot go on: the other side sent ${what}`);
}

/** The name of a GOAWAY code, for messages. */
export function goAwayName(code: number): string {
  return Object.entries(GoAwayCode).find((entry) => entry[1] === code)?.[0] ?? `code ${code}`;
}
