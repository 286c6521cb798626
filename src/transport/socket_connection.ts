import type { ByteConnection } from "./byte_connection.ts";

/** A connection of the runtime, with the names of both ends. */
export class SocketConnection implements ByteConnection {
  readonly remote: string;
  readonly #conn: Deno.Conn;
  readonly #endpointOf: (addr: Deno.Addr) => string;
  #closed = false;

  constructor(conn: Deno.Conn, endpointOf: (addr: Deno.Addr) => string) {
    this.#conn = conn;
    this.#endpointOf = endpointOf;
    this.remote = endpointOf(conn.remoteAddr);
  }

  /** Hardly anybody asks: put together when somebody does. */
  get local(): string {
    return this.#endpointOf(this.#conn.localAddr);
  }

  read(target: Uint8Array): Promise<number | null> {
    return this.#conn.read(target);
  }

  write(source: Uint8Array): Promise<number> {
    return this.#conn.write(source);
  }

  closeWrite(): Promise<void> {
    return this.#conn.closeWrite();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      this.#conn.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }
}
