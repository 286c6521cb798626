/** Who is let in: tokens that are wrong, late, used again, or another's, and peers that do not wait for the answer. */
import { assertEquals, assertRejects } from "@std/assert";
import { Client, RpcError, sameSecret } from "@erpc/erpc";
import type { Authenticate } from "../../src/connection/handshake.ts";
import { Host } from "../../src/host/host.ts";
import { Kind, PREFACE } from "../../src/protocol/frame.ts";
import { readGoAway } from "../../src/protocol/control.ts";
import { GoAwayCode } from "../../src/protocol/violation.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { processMemory } from "../../src/transport/memory.ts";
import { helloFrame, openFrame, readerOf, ScriptedPeer } from "../support/scripted_peer.ts";

let hosts = 0;

type Stage = Awaited<ReturnType<typeof open>>;

async function open(authenticate: Authenticate) {
  const platform = virtualPlatform(1);
  const name = `authenticate-${++hosts}`;
  const ran: unknown[] = [];
  const host = new Host({ authenticate, platform });
  host.handle("t.run", (_, ctx) => {
    ran.push(ctx.peer.identity);
    return "ran";
  });
  host.handle("t.tenant", (tenant, ctx) => {
    if (tenant !== ctx.peer.identity) throw new RpcError("permission_denied", `Not yours: "${tenant}"`);
    return `what ${tenant} has`;
  });
  await host.listen(`memory://${name}`);
  return {
    host,
    clock: platform.clock,
    ran,
    dial: () => new ScriptedPeer(processMemory.connect(name)),
    client: (token: string) => new Client({ endpoints: [`memory://${name}`], token, platform, retry: false }),
    [Symbol.asyncDispose]: () => host.close(),
  };
}

const refuse = () => {
  throw new RpcError("unauthenticated", "no");
};

Deno.test("H49 a call right behind a HELLO that is refused never runs", async () => {
  await using stage = await open(refuse);
  const peer = stage.dial();
  await peer.send(PREFACE, helloFrame({ token: "wrong" }), openFrame(1, "t/run", "1"), openFrame(3, "t/run", "1"));
  assertEquals(await peer.closed(), GoAwayCode.unauthenticated);
  assertEquals(stage.ran, []);
  peer.close();
});

Deno.test("H49 a call right behind a HELLO waits until it is known who calls", async () => {
  const { promise, resolve } = Promise.withResolvers<string>();
  await using stage = await open(() => promise);
  const peer = stage.dial();
  await peer.send(PREFACE, helloFrame({ token: "slow" }), openFrame(1, "t/run", "1"));
  await stage.clock.advance(1_000);
  assertEquals(stage.ran, []);
  resolve("somebody");
  await peer.expect(Kind.end);
  assertEquals(stage.ran, ["somebody"]);
  peer.close();
});

Deno.test("H49 deciding for ever who somebody is ends with the handshake's time", async () => {
  await using stage = await open(() => new Promise(() => {}));
  const peer = stage.dial();
  await peer.send(PREFACE, helloFrame());
  const end = peer.closed();
  await stage.clock.advance(6_000);
  await end;
  assertEquals(stage.host.settings.counters.handshakesFailed, 1);
  peer.close();
});

Deno.test("H49 closing does not wait for a hook that decides for ever", async () => {
  const stage = await open(() => new Promise(() => {}));
  const peer = stage.dial();
  await peer.send(PREFACE, helloFrame());
  const end = peer.closed();
  await stage.host.close();
  await end;
  peer.close();
});

Deno.test("H49 a second HELLO is a violation, whoever it says it is", async () => {
  await using stage = await open(({ token }) => token);
  const peer = await stage.dial().greet({ token: "first" });
  await peer.send(helloFrame({ token: "second" }), openFrame(1, "t/run", "1"));
  const goAway = await peer.expect(Kind.goAway);
  assertEquals(readGoAway(readerOf(goAway)).code, GoAwayCode.protocol);
  assertEquals(stage.ran, []);
  peer.close();
});

Deno.test("H49 a token is asked about with every connection, so that it ends when it ends", async () => {
  const tokens = new Map([["key-1", Infinity], ["key-2", 60_000]]);
  await using stage: Stage = await open(({ token }) => {
    for (const [known, until] of tokens) {
      if (sameSecret(known, token) && stage.clock.now() < until) return known;
    }
    throw new RpcError("unauthenticated", "the token is not valid");
  });
  for (const [token, when, works] of [["key-2", 0, true], ["key-2", 60_000, false], ["key-1", 0, true]] as const) {
    await stage.clock.advance(when);
    const client = stage.client(token);
    if (works) assertEquals(await client.call("t.run"), "ran");
    else {
      const error = await assertRejects(() => client.call("t.run"), RpcError, "the token is not valid");
      assertEquals([error.code, error.executed], ["unauthenticated", "no"]);
    }
    await client.close();
  }
});

Deno.test("H49 who is let in has no right to what is another's, and stays connected", async () => {
  await using stage = await open(({ token }) => token);
  const client = stage.client("north");
  const error = await assertRejects(() => client.call("t.tenant", "south"), RpcError);
  assertEquals(error.code, "permission_denied");
  assertEquals(await client.call("t.tenant", "north"), "what north has");
  assertEquals(client.stats().counters.connectionsOpened, 1);
  await client.close();
});

Deno.test("H49 what a hook throws by mistake is not told to strangers", async () => {
  await using stage = await open(() => {
    throw new TypeError("database password is hunter2");
  });
  const peer = stage.dial();
  await peer.send(PREFACE, helloFrame());
  const { code, message } = readGoAway(readerOf(await peer.expect(Kind.goAway)));
  assertEquals(code, GoAwayCode.unauthenticated);
  assertEquals(message.includes("hunter2"), false);
  peer.close();
});
