import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { below } from "../../src/core/platform.ts";
import { redisClient } from "../../src/redis/redis.ts";
import { RedisError, ReplyReader } from "../../src/redis/reply_reader.ts";
import { seededRandom } from "../../src/testing/seeded_random.ts";
import { VirtualClock } from "../../src/testing/virtual_clock.ts";
import { authority } from "../support/certs.ts";
import { startRedis, storeTest } from "../support/stores.ts";

const encoder = new TextEncoder();

function readAll(parts: readonly Uint8Array[]): unknown[] {
  const reader = new ReplyReader();
  const replies = parts.flatMap((part) => [...reader.take(part)]);
  return replies.map((reply) => reply instanceof RedisError ? String(reply) : reply);
}

Deno.test("ReplyReader reads every kind of reply, however it is cut", () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  console.log(`seed ${seed}`);
  const random = seededRandom(seed);
  const long = "漢字 🍺\r\n".repeat(2_000);
  const replies: [string, unknown][] = [
    ["+OK\r\n", "OK"],
    ["-ERR no\r\n", "RedisError: ERR no"],
    [":-42\r\n", -42],
    ["$0\r\n\r\n", ""],
    ["$-1\r\n", null],
    ["*-1\r\n", null],
    ["*0\r\n", []],
    [`$${encoder.encode(long).length}\r\n${long}\r\n`, long],
    ["*3\r\n:1\r\n*2\r\n$1\r\na\r\n$-1\r\n+last\r\n", [1, ["a", null], "last"]],
  ];
  const bytes = encoder.encode(replies.map(([text]) => text).join(""));
  for (let round = 0; round < 100; round++) {
    const most = [3, 100, 5_000][round % 3];
    const parts: Uint8Array[] = [];
    for (let at = 0; at < bytes.length;) {
      const end = at + 1 + below(random, most);
      parts.push(bytes.slice(at, end));
      at = end;
    }
    assertEquals(readAll(parts), replies.map(([, reply]) => reply), `seed ${seed}, round ${round}`);
  }
});

Deno.test("ReplyReader refuses what Redis does not say, and what is too large or too deep", () => {
  for (
    const [text, why] of [
      ["HTTP/1.1 200 OK\r\n", "begins with"],
      ["$x\r\n", "length"],
      ["*-2\r\n", "length"],
      ["$99999999999\r\n", "over"],
      ["*1\r\n".repeat(20), "lists in lists"],
    ]
  ) {
    assertThrows(() => readAll([encoder.encode(text)]), Error, why);
  }
});

storeTest(
  "Redis",
  "redisClient sends commands in their order, also many at once, and tells what Redis refuses",
  async () => {
    await using redis = await startRedis();
    const client = redisClient(`redis://127.0.0.1:${redis.port}/3`);
    const other = client.open();
    const all = Array.from({ length: 1_000 }, (_, n) => client.send(["RPUSH", "list", `${n} ä`]));
    assertEquals(await Promise.all(all), Array.from({ length: 1_000 }, (_, n) => n + 1));
    assertEquals(await other.send(["LINDEX", "list", "999"]), "999 ä");
    await assertRejects(() => client.send(["NOSUCH"]), RedisError, "unknown command");
    assertEquals(await client.send(["PING"]), "PONG");
    // A connection that was lost fails what waits for it, and the next command makes another.
    const waiting = assertRejects(() => other.send(["BLPOP", "never", "0"]), Error, "can't be reached");
    await client.send(["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    await waiting;
    assertEquals(await other.send(["LLEN", "list"]), 1_000);
    other.close();
    await assertRejects(() => other.send(["PING"]), Error, "closed");
    client.close();
  },
);

storeTest("Redis", "redisClient logs in, and fails everything when it may not", async () => {
  await using redis = await startRedis(["--requirepass", "open sesame"]);
  const at = `127.0.0.1:${redis.port}`;
  for (const user of ["", "default"]) {
    const client = redisClient(`redis://${user}:open%20sesame@${at}`);
    assertEquals(await client.send(["PING"]), "PONG");
    client.close();
  }
  const stranger = redisClient(`redis://:wrong@${at}`);
  await assertRejects(() => stranger.send(["PING"]), Error, "WRONGPASS");
  stranger.close();
});

storeTest("Redis", "redisClient speaks TLS to those whom it trusts", async () => {
  const certificate = new URL("../support/certs/server.pem", import.meta.url).pathname;
  const trusted = new URL("../support/certs/ca.pem", import.meta.url).pathname;
  await using redis = await startRedis([
    ...["--tls-port", "PORT", "--port", "0", "--tls-auth-clients", "no"],
    ...["--tls-cert-file", certificate, "--tls-key-file", certificate, "--tls-ca-cert-file", trusted],
  ]);
  const url = `rediss://127.0.0.1:${redis.port}`;
  const client = redisClient(url, { tls: { ca: [authority("ca")] } });
  assertEquals(await client.send(["PING"]), "PONG");
  client.close();
  const stranger = redisClient(url, { tls: { ca: [authority("other_ca")] } });
  await assertRejects(() => stranger.send(["PING"]), Error, "can't be reached");
  stranger.close();
});

Deno.test("redisClient, a Redis that accepts and says nothing, is lost after ten seconds", async () => {
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const clock = new VirtualClock();
  const client = redisClient(`redis://127.0.0.1:${silent.addr.port}`, { clock });
  const accepted = silent.accept();
  const answer = assertRejects(() => client.send(["PING"]), Error, "no answer in 10000 ms");
  using _connection = await accepted;
  await clock.advance(10_000);
  await answer;
  client.close();
  assertEquals(clock.timerCount, 0);
});

Deno.test("redisClient refuses what is no address, and shows no password", () => {
  for (const url of ["127.0.0.1:6379", "http://127.0.0.1", "redis://", "redis://:secret@host/one"]) {
    const error = assertThrows(() => redisClient(url), TypeError);
    assertEquals(error.message.includes("secret"), false);
  }
});
