/** A connection that carries bytes: what a `Deno.Conn` is, as far as the kit uses it. */
export interface ByteConnection {
  /** Where the other side is, as an endpoint URL. */
  readonly remote: string;
  /** Where this side is, as an endpoint URL. */
  readonly local: string;
  /** Reads what has come into `target`: how many bytes, or `null` at the end. */
  read(target: Uint8Array): Promise<number | null>;
  /** Writes some of `source`: how many bytes. One caller at a time. */
  write(source: Uint8Array): Promise<number>;
  /** Says that no more will be written. */
  closeWrite(): Promise<void>;
  /** Ends reads and writes that are under way. Harmless the second time. */
  close(): void;
}

/** Takes connections. */
export interface ByteListener {
  /** Where others can dial it, as an endpoint URL; the port is the real one. */
  readonly endpoint: string;
  /** Waits for the next connection. Rejects once it is closed. */
  accept(): Promise<ByteConnection>;
  /** Takes no more. Harmless the second time. */
  close(): void;
}
