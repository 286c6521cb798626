/**
 * Dials the addresses of one instance, best first: each has a head start over the next, which it loses when it fails. The first
 * that says hello is taken.
 */
import { asRpcError, RpcError } from "../core/error.ts";
import type { Greeted } from "../connection/connection.ts";
import { greetAsClient } from "../connection/handshake.ts";
import type { Settings } from "../connection/settings.ts";
import type { ByteConnection } from "../transport/byte_connection.ts";
import type { Transport } from "../transport/transport.ts";

/** RFC 8305, section 5: the delay between attempts. */
const HEAD_START_MS = 250;

/**
 * Connects to one of several endpoints, and shakes hands. Gives up when the signal aborts.
 * @throws {RpcError} `unavailable`, or what the last of them answered
 */
export function dial(
  endpoints: readonly string[],
  settings: Settings,
  transport: Transport,
  signal: AbortSignal,
): Promise<Greeted> {
  if (endpoints.length === 1) return dialOne(endpoints[0], settings, transport, signal);
  const { promise, resolve, reject } = Promise.withResolvers<Greeted>();
  const attempts: AbortController[] = [];
  const failures: RpcError[] = [];
  let headStart: Disposable | undefined;
  let over = false;
  const end = () => {
    over = true;
    headStart?.[Symbol.dispose]();
    signal.removeEventListener("abort", giveUp);
  };
  const giveUp = () => {
    end();
    for (const attempt of attempts) attempt.abort(signal.reason);
    reject(signal.reason);
  };
  const next = () => {
    headStart?.[Symbol.dispose]();
    const endpoint = endpoints[attempts.length];
    if (over || endpoint === undefined) return;
    const attempt = new AbortController();
    attempts.push(attempt);
    headStart = settings.timers.after(HEAD_START_MS, next);
    dialOne(endpoint, settings, transport, attempt.signal).then((greeted) => {
      if (over) return greeted.socket.close();
      end();
      for (const other of attempts) if (other !== attempt) other.abort(new Error(`${endpoint} answered first`));
      resolve(greeted);
    }, (error) => {
      if (over) return;
      failures.push(error);
      if (failures.length < endpoints.length) return next();
      end();
      const { code } = failures[failures.length - 1];
      reject(new RpcError(code, failures.map(({ message }) => message).join("; "), { executed: "no", cause: error }));
    });
  };
  signal.addEventListener("abort", giveUp);
  next();
  return promise;
}

async function dialOne(
  endpoint: string,
  settings: Settings,
  transport: Transport,
  signal: AbortSignal,
): Promise<Greeted> {
  try {
    const greeted = await greetAsClient(await reach(endpoint, transport, signal), settings);
    if (!signal.aborted) return greeted;
    greeted.socket.close();
    throw signal.reason;
  } catch (error) {
    throw asRpcError(error, "unavailable", `Cannot connect to ${endpoint}`, { executed: "no" });
  }
}

/** Dials, and gives up when the signal aborts even where dialling itself can't be aborted. */
function reach(endpoint: string, transport: Transport, signal: AbortSignal): Promise<ByteConnection> {
  const { promise, resolve, reject } = Promise.withResolvers<ByteConnection>();
  signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  transport.connect(endpoint, { signal }).then((socket) => {
    signal.addEventListener("abort", () => socket.close(), { once: true });
    if (signal.aborted) socket.close();
    resolve(socket);
  }, reject);
  return promise;
}
