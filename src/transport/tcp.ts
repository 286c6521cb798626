import type { ByteConnection, ByteListener } from "./byte_connection.ts";
import { type Endpoint, formatEndpoint } from "./endpoint.ts";
import { SocketConnection } from "./socket_connection.ts";

type TcpEndpoint = Extract<Endpoint, { host: string }>;

/** Dials over TCP; a name that has IPv4 and IPv6 addresses is dialled at both. */
export async function connectTcp(
  { host, port }: TcpEndpoint,
  signal: AbortSignal | undefined,
): Promise<ByteConnection> {
  const conn = await Deno.connect({ hostname: host, port, signal });
  return tcpConnection(conn);
}

/** Listens on TCP. */
export function listenTcp({ host, port }: TcpEndpoint): ByteListener {
  const listener = Deno.listen({ hostname: host, port });
  const endpoint = urlOf(listener.addr);
  return {
    endpoint,
    accept: () => acceptNext(listener),
    close() {
      try {
        listener.close();
      } catch (error) {
        if (!(error instanceof Deno.errors.BadResource)) throw error;
      }
    },
  };
}

/** A connection that was given up before it was taken is nobody's failure: the next one is. */
async function acceptNext(listener: Deno.Listener): Promise<ByteConnection> {
  for (;;) {
    try {
      return tcpConnection(await listener.accept() as Deno.TcpConn);
    } catch (error) {
      const gone = error instanceof Deno.errors.ConnectionAborted || error instanceof Deno.errors.ConnectionReset ||
        error instanceof Deno.errors.NotConnected;
      if (!gone) throw error;
    }
  }
}

function tcpConnection(conn: Deno.TcpConn): ByteConnection {
  try {
    conn.setNoDelay(); // small frames must not wait for the answer to the one before
  } catch {
    // The other side has gone already: reading says so.
  }
  return new SocketConnection(conn, urlOf);
}

function urlOf(addr: Deno.Addr): string {
  const { hostname, port } = addr as Deno.NetAddr;
  return formatEndpoint({ scheme: "tcp", host: hostname, port });
}
