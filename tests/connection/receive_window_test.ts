import { assertEquals } from "@std/assert";
import { ReceiveWindow } from "../../src/connection/receive_window.ts";

/** Lets a reader take all that comes, 50 bytes at a time, and gives how far ahead the peer may then be. */
function readAll(window: ReceiveWindow, bytes: number, msEach: number): number {
  let granted = window.sizeBytes;
  for (let read = 0; read < bytes; read += 50) {
    window.receive(50);
    window.consume(50);
    granted += window.dueAt(read / 50 * msEach);
  }
  return granted - bytes;
}

Deno.test("ReceiveWindow: of a fast reader it grows up to its limit, and not beyond", () => {
  const window = new ReceiveWindow(1_000, 4_000);
  assertEquals(readAll(window, 100_000, 1) > 2_000, true);
  assertEquals(window.sizeBytes, 4_000);
  const other = new ReceiveWindow(1_000, 1_500);
  readAll(other, 100_000, 1);
  assertEquals(other.sizeBytes, 1_500);
});

Deno.test("ReceiveWindow: of a slow reader it stays as it is", () => {
  const window = new ReceiveWindow(1_000, 4_000);
  assertEquals(readAll(window, 100_000, 20) <= 1_000, true);
  assertEquals(window.sizeBytes, 1_000);
});

Deno.test("ReceiveWindow: a reader that does not keep up gets no larger one", () => {
  const window = new ReceiveWindow(1_000, 4_000);
  for (let n = 0; n < 1_000; n++) {
    // Half of the window always waits to be read.
    while (window.heldBytes < 500 && window.leftBytes >= 50) window.receive(50);
    window.consume(50);
    window.dueAt(n);
  }
  assertEquals(window.sizeBytes, 1_000);
});
