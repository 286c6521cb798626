/** Many large calls between two processes of their own, since memory and open files belong to a process. */
import { assert, assertEquals } from "@std/assert";
import { ClientProcess, ServerProcess } from "./processes.ts";

const MIB = 1024 * 1024;

Deno.test("I35 1 000 large_unary at once, memory is bounded by windows and not by the number of calls", async () => {
  // On a machine that is busy with much else, calls at the end of the queue would be told to come back later.
  await using server = await ServerProcess.start({ admission: false });
  const before = await server.held();
  await using client = new ClientProcess("flood", server.endpoint, "1000");
  const { whole, grownBytes } = JSON.parse(await client.line(/^flooded (.*)$/));
  const after = await server.held();
  assertEquals(whole, 1_000);
  // All requests and replies together are 559 MiB. On one connection a client holds 16 MiB of replies that are put together and
  // 4 MiB to send, a server what 256 handlers have been given and give, 143 MiB, and 16 MiB of requests.
  assert(grownBytes < 48 * MIB, `the client held ${grownBytes / MIB} MiB more`);
  const serverBytes = after.mostBytes - before.bytes;
  assert(serverBytes < 176 * MIB, `the server held ${serverBytes / MIB} MiB more`);
  assert(after.bytes < before.bytes + 8 * MIB, `the server still holds ${(after.bytes - before.bytes) / MIB} MiB more`);
});

for (const connection of ["same", "anew"]) {
  Deno.test(`I39 ${connection === "same" ? "rpc_soak" : "channel_soak"}, 300 calls, none fails and nothing grows`, async () => {
    await using server = await ServerProcess.start();
    const before = await server.openFiles();
    await using client = new ClientProcess("soak", server.endpoint, "300", connection);
    const [middle, end]: { bytes: number; files: number }[] = JSON.parse(await client.line(/^soaked (.*)$/));
    // Each of the 150 calls between would leave a file, or 586 KB.
    assert(end.files <= middle.files + 8, `${end.files - middle.files} more files are open`);
    assert(end.bytes <= middle.bytes + 8 * MIB, `it holds ${(end.bytes - middle.bytes) / MIB} MiB more`);
    assertEquals((await client.ended()).code, 0);
    const after = await server.openFiles();
    assert(after <= before + 8, `the server has ${after - before} more files open`);
  });
}
