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

/** Ends the session of a client without its knowledge, as the server does when it has heard nothing for too long. */
export async function expire(client: TestClient, port: number): Promise<void> {
  const session = { sessionId: client.getSessionId(), sessionPassword: client.getSessionPassword() };
  let isExpired = false;
  client.once("expired", () => isExpired = true);
  while (!isExpired) {
    // It takes the session from the client, which takes it back at once, unless it was ended in that moment.
    const other = createClient(port, session);
    const ended = new Promise<void>((resolve) => {
      other.once("disconnected", resolve);
      other.once("expired", resolve);
    });
    other.once("connected", () => other.close());
    other.connect();
    await ended;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
