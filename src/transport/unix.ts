import type { ByteConnection, ByteListener } from "./byte_connection.ts";
import { type Endpoint, formatEndpoint } from "./endpoint.ts";
import { SocketConnection } from "./socket_connection.ts";

type UnixEndpoint = Extract<Endpoint, { path: string }>;

/** Dials a unix socket. */
export async function connectUnix(endpoint: UnixEndpoint, signal: AbortSignal | undefined): Promise<ByteConnection> {
  const conn = await Deno.connect({ transport: "unix", path: endpoint.path });
  if (signal?.aborted) {
    conn.close();
    throw signal.reason;
  }
  return new SocketConnection(conn, () => formatEndpoint(endpoint));
}

/** Listens on a unix socket. A socket file that nobody listens on any more is replaced, and removed on close. */
export async function listenUnix(endpoint: UnixEndpoint): Promise<ByteListener> {
  const url = formatEndpoint(endpoint);
  await removeAbandoned(endpoint.path);
  const listener = Deno.listen({ transport: "unix", path: endpoint.path });
  let closed = false;
  return {
    endpoint: url,
    accept: async () => new SocketConnection(await listener.accept(), () => url),
    close() {
      if (closed) return;
      closed = true;
      listener.close();
      try {
        Deno.removeSync(endpoint.path);
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    },
  };
}

/** The system leaves the file of a socket behind; only a connection shows whether somebody still listens there. */
async function removeAbandoned(path: string): Promise<void> {
  let info: Deno.FileInfo;
  try {
    info = await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  if (!info.isSocket) throw new Deno.errors.AlreadyExists(`"${path}" is there and is no socket`);
  try {
    (await Deno.connect({ transport: "unix", path })).close();
  } catch {
    await Deno.remove(path);
    return;
  }
  throw new Deno.errors.AddrInUse(`somebody listens on "${path}"`);
}
