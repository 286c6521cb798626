import type { ByteConnection } from "../../src/transport/byte_connection.ts";
import { systemTransport, type Transport } from "../../src/transport/transport.ts";

/** The system's transport, except that whoever connects to its listeners seems to come from another machine. */
export function elsewhere(host: string): Transport {
  return {
    connect: systemTransport.connect,
    async listen(endpoint, options) {
      const listener = await systemTransport.listen(endpoint, options);
      return {
        endpoint: listener.endpoint,
        close: () => listener.close(),
        accept: async () => seenAt(await listener.accept(), `tcp://${host}:55555`),
      };
    },
  };
}

/** A connection that says that it comes from somewhere else. */
function seenAt(connection: ByteConnection, remote: string): ByteConnection {
  return {
    remote,
    local: connection.local,
    read: (target) => connection.read(target),
    write: (source) => connection.write(source),
    closeWrite: () => connection.closeWrite(),
    close: () => connection.close(),
  };
}
