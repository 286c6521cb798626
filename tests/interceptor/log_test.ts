import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Client, log, RpcError, Server } from "@erpc/erpc";
import { Call, Reply } from "../../src/core/call.ts";
import type { CallLine } from "../../src/interceptor/log.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { silent } from "../../src/core/logger.ts";

function lines() {
  const written: [level: string, text: string, line: CallLine][] = [];
  const logger = {
    ...silent,
    info: (text: string, line: unknown) => written.push(["info", text, line as CallLine]),
    warn: (text: string, line: unknown) => written.push(["warn", text, line as CallLine]),
  };
  return { written, logger };
}

Deno.test("log writes one line for each call, on both sides", async () => {
  const { written, logger } = lines();
  await using server = new Server({ interceptors: [log({ logger })] });
  server.handle("t.ok", () => "");
  server.handle("t.bad", () => {
    throw new RpcError("not_found", "no such thing");
  });
  await server.listen("memory://log");
  await using client = new Client({ endpoints: ["memory://log"], interceptors: [log({ logger })] });
  await client.call("t.ok");
  await assertRejects(() => client.call("t.bad"), RpcError);
  const seen = written.map(([level, text, { procedure, side, code, message, skipped }]) => [
    level,
    text.replace(/\d+ ms/, "N ms"),
    procedure,
    side,
    code,
    message,
    skipped,
  ]);
  assertEquals(seen, [
    ["info", "t/ok: ok in N ms", "t/ok", "server", "ok", undefined, 0],
    ["info", "t/ok: ok in N ms", "t/ok", "client", "ok", undefined, 0],
    ["warn", "t/bad: not_found in N ms", "t/bad", "server", "not_found", "no such thing", 0],
    ["warn", "t/bad: not_found in N ms", "t/bad", "client", "not_found", "no such thing", 0],
  ]);
  assertEquals(written[1][2].peer, "memory://log");
});

Deno.test("log leaves lines out beyond maxPerSecond, and says how many", async () => {
  const { written, logger } = lines();
  const platform = virtualPlatform(1);
  const invoke = log({ logger, maxPerSecond: 10, platform })(() => Promise.resolve(new Reply({})));
  const call = new Call({ procedure: "t/t", kind: "unary" });
  for (let i = 0; i < 100; i++) await invoke(call);
  assertEquals(written.length, 20);
  await platform.clock.advance(100);
  await invoke(call);
  await invoke(call);
  assertEquals([written.length, written[20][2].skipped], [21, 80]);
});

Deno.test("log takes the time to the end of a stream", async () => {
  const { written, logger } = lines();
  const platform = virtualPlatform(1);
  async function* messages() {
    await platform.clock.advance(500);
    yield 1;
  }
  const invoke = log({ logger, platform })(() => Promise.resolve(new Reply({ messages: messages() })));
  const reply = await invoke(new Call({ procedure: "t/t", kind: "serverStream" }));
  assertEquals(written.length, 0);
  for await (const _ of reply.messages!);
  assertEquals(written.map(([, text]) => text), ["t/t: ok in 500 ms"]);
});

Deno.test("log keeps what a handler threw out of its line, and refuses what is no logger", async () => {
  const { written, logger } = lines();
  const invoke = log({ logger })(() => Promise.reject(new Error("a secret")));
  await assertRejects(() => invoke(new Call({ procedure: "t/t", kind: "unary" })));
  assertEquals([written[0][2].code, written[0][2].message], ["internal", undefined]);
  assertThrows(() => log({} as never), TypeError, "logger");
  assertThrows(() => log({ logger, maxPerSecond: 0 }), RangeError, "maxPerSecond");
});
