/** Many large calls between two processes of their own, since memory and open files belong to a process. */
import { assert, assertEquals } from "@std/assert";
import type { Usage } from "../support/child.ts";
import { ClientProcess, ServerProcess } from "./processes.ts";

const MIB = 1024 * 1024;

Deno.test("I35 1 000 large_unary at once, memory is bounded by windows and not by the number of calls", async () => {
  await using server = await ServerProcess.start();
  const before = await server.usage();
  await using client = new ClientProcess("flood", server.endpoint, "1000");
  const { whole, grownBytes } = JSON.parse(await client.line(/^flooded (.*)$/));
  const after = await server.usage();
  assertEquals(whole, 1_000);
  // All requests and replies together are 559 MiB. Of these a server holds the replies of 256 handlers, some 80 MiB, and 16 MiB
  // of requests that wait; the rest is garbage that nobody has collected yet.
  assert(grownBytes < 192 * MIB, `the client grew by ${grownBytes / MIB} MiB`);
  const serverBytes = after.peakRssBytes - before.rssBytes;
  assert(serverBytes < 384 * MIB, `the server grew by ${serverBytes / MIB} MiB`);
});

for (const connection of ["same", "anew"]) {
  Deno.test(`I39 ${connection === "same" ? "rpc_soak" : "channel_soak"}, 300 calls, none fails and nothing grows`, async () => {
    await using server = await ServerProcess.start();
    const before = await server.usage();
    await using client = new ClientProcess("soak", server.endpoint, "300", connection);
    const [middle, end]: Usage[] = JSON.parse(await client.line(/^soaked (.*)$/));
    // Each of the 150 calls between would leave a file, or 586 KB.
    assert(end.files <= middle.files + 8, `${end.files - middle.files} more files are open`);
    assert(end.rssBytes <= middle.rssBytes + 32 * MIB, `it grew by ${(end.rssBytes - middle.rssBytes) / MIB} MiB`);
    assertEquals((await client.ended()).code, 0);
    const after = await server.usage();
    assert(after.files <= before.files + 8, `the server has ${after.files - before.files} more files open`);
  });
}
