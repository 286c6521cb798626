import type { ByteConnection } from "../../src/transport/byte_connection.ts";
import { memoryPair } from "../../src/transport/memory.ts";
import { systemTransport } from "../../src/transport/transport.ts";
import { authority, pair } from "./certs.ts";

/** Opens both ends of a connection. */
export type OpenPair = () => Promise<[near: ByteConnection, far: ByteConnection]>;

async function through(endpoint: string): Promise<[ByteConnection, ByteConnection]> {
  const listener = await systemTransport.listen(endpoint, { tls: pair("server") });
  const accepted = listener.accept();
  const near = await systemTransport.connect(listener.endpoint, { tls: { ca: [authority("ca")] } });
  const far = await accepted;
  listener.close();
  return [near, far];
}

/** Reads at most one byte at a time, and writes at most three: what a socket may do at any time. */
export function sliced(conn: ByteConnection): ByteConnection {
  return {
    remote: conn.remote,
    local: conn.local,
    read: (target) => conn.read(target.subarray(0, 1)),
    write: (source) => conn.write(source.subarray(0, 3)),
    closeWrite: () => conn.closeWrite(),
    close: () => conn.close(),
  };
}

/** Every way to connect, by name: what holds for one holds for all. */
export const pairs: ReadonlyMap<string, OpenPair> = new Map<string, OpenPair>([
  ["memory", () => Promise.resolve(memoryPair("memory://near", "memory://far"))],
  ["tcp", () => through("tcp://127.0.0.1:0")],
  ["unix", () => through(`unix://${Deno.makeTempDirSync()}/s`)],
  ["tls", () => through("tls://127.0.0.1:0")],
  ["memory, sliced", () => {
    const [near, far] = memoryPair("memory://near", "memory://far");
    return Promise.resolve([sliced(near), sliced(far)]);
  }],
  ["tls, sliced", async () => {
    const [near, far] = await through("tls://127.0.0.1:0");
    return [sliced(near), sliced(far)];
  }],
]);
