/** What was refused, dropped, cut or sent, counted since the owner was made. Plain numbers that only grow. */
export class Counters {
  /** Connections that were opened and said hello. */
  connectionsOpened = 0;
  /** Connections that ended, however. */
  connectionsClosed = 0;
  /** Connections that ended before both had said hello. */
  handshakesFailed = 0;
  /** Connections that were not taken because there were too many. */
  connectionsRefused = 0;
  /** Calls sent. */
  callsSent = 0;
  /** Calls sent once more, elsewhere or later. */
  callsRetried = 0;
  /** Calls not sent once more because the budget of their service did not allow it. */
  retriesThrottled = 0;
  /** Calls sent once more while the first was still under way. */
  callsHedged = 0;
  /** Calls that a hedge answered. */
  hedgesWon = 0;
  /** Calls that failed, and were answered by what the client falls back on. */
  callsFallenBack = 0;
  /** Calls refused here because their circuit breaker was open. */
  callsBroken = 0;
  /** How often a circuit breaker has opened. */
  breakersOpened = 0;
  /** What handlers, interceptors, loggers and callbacks of calls threw, and is no `RpcError`. */
  uncaughtErrors = 0;
  /** Calls received. */
  callsReceived = 0;
  /** Calls received and not taken. */
  callsRefused = 0;
  /** Calls received more than once and answered with the one result. */
  callsRepeated = 0;
  /** Calls whose deadline had passed before their handler ran. */
  callsExpired = 0;
  /** Calls that the other side cancelled. */
  callsCancelled = 0;
  /** Calls that were cut because their connection was lost. */
  callsLost = 0;
  /** One-way calls that were dropped. */
  onewaysDropped = 0;
  /** Connections that were closed because the peer broke the protocol. */
  violations = 0;
  /** Frames of a kind that nobody knows, passed over. */
  framesSkipped = 0;
  /** Connections that were closed because the peer was silent, or did not read. */
  timeouts = 0;
  /** Pings sent. */
  pingsSent = 0;
  /** Writes to sockets. */
  writes = 0;
  /** Bytes written to sockets. */
  bytesWritten = 0;
  /** Bytes read from sockets. */
  bytesRead = 0;
}
