import type { Buffer } from "node:buffer";
import zookeeper from "node-zookeeper-client";
import type { ZooKeeperClient } from "../../src/zookeeper/zookeeper.ts";

/** What the tests use of `node-zookeeper-client` beyond what the registry does; it brings no types. */
export interface TestClient extends ZooKeeperClient {
  getSessionId(): Buffer;
  getSessionPassword(): Buffer;
  addAuthInfo(scheme: string, auth: Buffer): void;
  once(event: string, listener: () => void): void;
}

/** Makes a client that is not connected, for a new session or for one that is known. */
export function createClient(port: number, session: { sessionId?: Buffer; sessionPassword?: Buffer } = {}): TestClient {
  // What the server makes of it: at least two of its ticks of half a second.
  return zookeeper.createClient(`127.0.0.1:${port}`, { sessionTimeout: 2_000, spinDelay: 100, ...session });
}

/** The rights that only somebody with a password has. */
export function aclOf(user: string, digest: string): unknown[] {
  return [new zookeeper.ACL(zookeeper.Permission.ALL, new zookeeper.Id("digest", `${user}:${digest}`))];
}

/**
 * Ends the session of a client without its knowledge, as the server does when it has heard nothing for too long. Resolves when the
 * server knows it no longer, with whether it did before: on a busy machine a session may be over before somebody wants it to be,
 * and its client says so only once.
 */
export async function expire(client: TestClient, port: number): Promise<boolean> {
  for (let wasThere = false;; wasThere = true) {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port });
    // Taken over and ended in one write: the client takes it back as soon as it notices.
    await connection.write(new Uint8Array([...connectRequest(client), ...CLOSE_REQUEST]));
    if (!await isTaken(connection)) return wasThere;
  }
}

/** Number 1 and kind −11, behind their length: ends the session. */
const CLOSE_REQUEST = [0, 0, 0, 8, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xf5];
const CONNECT_LENGTH = 44;

/** Protocol 0, nothing seen yet, a timeout, the session and its password: takes the session over. */
function connectRequest(client: TestClient): Uint8Array {
  const bytes = new Uint8Array(4 + CONNECT_LENGTH);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, CONNECT_LENGTH);
  view.setInt32(16, client.getSessionTimeout());
  bytes.set(client.getSessionId(), 20);
  view.setInt32(28, 16);
  bytes.set(client.getSessionPassword(), 32);
  return bytes;
}

/** Reads what comes until the connection ends: whether it begins with a session's timeout, which is 0 for one that is over. */
async function isTaken(connection: Deno.Conn): Promise<boolean> {
  const said = new Uint8Array(1_000);
  let length = 0;
  for (;;) {
    const count = await connection.read(said.subarray(length)).catch(() => null);
    if (count === null) break;
    length += count;
  }
  // Behind the length of the answer and the protocol. Without an answer nothing is known, and it is asked again.
  return length < 12 || new DataView(said.buffer).getInt32(8) > 0;
}
