/** What lets a server see that it has had a call before. */
import type { Random } from "./platform.ts";

/** The key of one call, the same for all times that it is sent. */
export interface DedupeKey {
  /** What travels: 1 to 255 bytes that nobody else comes upon. */
  readonly bytes: Uint8Array;
  /** Until when the server is sure to know it again, on the platform's clock. */
  readonly until: number;
}

/** Which run of which program a call went to: what was kept there is gone when it ends. */
export interface ServedBy {
  /** The endpoint that was dialled. */
  readonly endpoint: string;
  /** What the other side's HELLO said of itself. */
  readonly instance: string;
  /** Likewise. */
  readonly incarnation: number;
}

const WORDS = 4;

/** A new key of 16 bytes. */
export function newDedupeKey(random: Random, until: number): DedupeKey {
  const bytes = new Uint8Array(WORDS * 4);
  for (let at = 0; at < bytes.length; at += 4) {
    const word = random.u32();
    bytes[at] = word >>> 24;
    bytes[at + 1] = word >>> 16;
    bytes[at + 2] = word >>> 8;
    bytes[at + 3] = word;
  }
  return { bytes, until };
}
