/** Connections that are reset as soon as they are there, or a little later, thousands of them. */
import { connect } from "node:net";
import { assert, assertEquals } from "@std/assert";
import { Client } from "@erpc/erpc";
import { Interop } from "../support/interop.ts";
import { PREFACE } from "../../src/protocol/frame.ts";
import { within } from "../../src/testing/contract.ts";
import { until } from "../support/until.ts";
import { ServerProcess } from "./processes.ts";

/** Dials, sends something, and resets. */
async function dialAndReset(port: number, bytes: Uint8Array): Promise<void> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {}); // of what use is it to say so
  await new Promise<void>((resolve) => {
    socket.once("close", resolve);
    socket.once("connect", () => {
      if (bytes.length > 0) socket.write(bytes);
      socket.resetAndDestroy();
    });
  });
}

Deno.test("H27 2 000 connections that are reset at once, the server goes on accepting, keeps none, and others don't notice", async () => {
  await using server = await ServerProcess.start();
  await using client = new Client({ endpoints: [server.endpoint] });
  const interop = client.service(Interop);
  await interop.empty(new Uint8Array(0));
  const port = Number(server.endpoint.slice(server.endpoint.lastIndexOf(":") + 1));
  const before = await server.openFiles();
  const beginnings = [new Uint8Array(0), PREFACE.subarray(0, 3), PREFACE, new Uint8Array([1, 2, 3])];
  let left = 2_000;
  const lane = async () => {
    for (let n; (n = left--) > 0;) await dialAndReset(port, beginnings[n % beginnings.length]);
  };
  let churning = true;
  const churn = Promise.all(Array.from({ length: 8 }, lane)).finally(() => churning = false);
  let newcomers = 0;
  while (churning) {
    assertEquals((await interop.empty(new Uint8Array(1))).length, 1);
    await using newcomer = new Client({ endpoints: [server.endpoint] });
    assertEquals((await newcomer.service(Interop).empty(new Uint8Array(2))).length, 2);
    newcomers++;
  }
  await churn;
  assert(newcomers > 0);
  // The runtime opens some of its own when it is busy.
  await until(async () => await server.openFiles() <= before + 8);
  await using last = new Client({ endpoints: [server.endpoint] });
  assertEquals((await within(last.service(Interop).empty(new Uint8Array(3)), "a call after it")).length, 3);
});
