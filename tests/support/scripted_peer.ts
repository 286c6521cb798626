/** The scripted peer of `@erpc/erpc/testing`, with what only tests of ours need beside it. */
export { frame, helloFrame, openFrame, readerOf, ScriptedPeer } from "../../src/testing/scripted_peer.ts";
export type { Frame } from "../../src/testing/scripted_peer.ts";
import { ByteWriter } from "../../src/protocol/byte_writer.ts";

/** Four bytes. */
export function u32(value: number): Uint8Array {
  const writer = new ByteWriter();
  writer.u32(value);
  return writer.view();
}
