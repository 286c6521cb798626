import { assertEquals, assertLess, assertMatch } from "@std/assert";
import { Center, Client, consistentHash, RpcError, Server, serverStream, service } from "@erpc/erpc";
import { DEFAULT_LIMITS } from "../../src/core/limits.ts";
import { runtimePlatform } from "../../src/core/platform.ts";
import { Words, words } from "../support/words.ts";
import { erpc, FakeIo, start } from "./fake_io.ts";

const Slow = service("demo.Slow", { follow: serverStream<unknown, unknown>() });

/** A server with everything that these tests call; `center` is where it registers. */
async function startServer(center?: string, id?: string): Promise<Server & { readonly aborted: Promise<void> }> {
  const server = new Server({ center, id });
  const { promise: aborted, resolve } = Promise.withResolvers<void>();
  server.handle(Words, words);
  server.handle("demo.echo", (request) => ({ type: typeof request, request }));
  server.handle("demo.nothing", () => {});
  server.handle("demo.who", () => server.id);
  server.handle("demo.metadata", (_, ctx) => [...ctx.metadata]);
  server.handle("demo.wait", (_, ctx) => new Promise((_, reject) => ctx.signal.addEventListener("abort", reject)));
  server.handle("demo.escape", () => "\x1b[31m\u009b");
  server.handle("demo.fail", () => {
    throw new RpcError("not_found", "No line\n\x1b[31m7", { details: { line: 7 } });
  });
  server.handle(Slow, {
    async *follow(_, ctx) {
      yield 1;
      yield undefined;
      yield "three";
      await new Promise<void>((done) => ctx.signal.addEventListener("abort", () => done()));
      resolve();
    },
  });
  await server.listen();
  return Object.assign(server, { aborted });
}

Deno.test("erpc call, direct, prints the reply as one line of JSON", async () => {
  await using server = await startServer();
  const rows: [string[], string][] = [
    [["demo.Words/count", '{"text":"one two"}'], '{"words":2}\n'],
    [["demo.echo", "[1, 2]"], '{"type":"object","request":[1,2]}\n'],
    [["demo.echo", "7"], '{"type":"number","request":7}\n'],
    [["demo.echo", "--", "-5"], '{"type":"number","request":-5}\n'],
    [["demo.echo", "true"], '{"type":"boolean","request":true}\n'],
    [["demo.echo", "null"], '{"type":"object","request":null}\n'],
    [["demo.echo"], '{"type":"undefined"}\n'],
    [["demo.nothing"], ""],
    [["demo.escape"], '"\\u001b[31m\\u009b"\n'],
    [["demo.metadata", "-m", "a=b", "-m", "c=d=e", "--metadata", "A="], '[["a","b"],["c","d=e"],["a",""]]\n'],
  ];
  for (const [args, reply] of rows) {
    const { code, out, err } = await erpc(["call", "--to", server.endpoint, ...args]);
    assertEquals([code, out, err], [0, reply, ""], args.join(" "));
  }
});

Deno.test("erpc call, through a center, finds the service", async () => {
  await using center = new Center();
  await center.listen("tcp://127.0.0.1:0");
  await using _server = await startServer(center.endpoint);
  const { code, out } = await erpc(["call", "demo.Words/count", '{"text":"a b c"}', "--center", center.endpoint]);
  assertEquals([code, out], [0, '{"words":3}\n']);
});

Deno.test("erpc call, request from stdin, like one on the command line", async () => {
  await using server = await startServer();
  const io = new FakeIo({ stdin: '\ufeff{"text":\n"één twee"}\n' });
  const { code, out } = await erpc(["call", "demo.Words/count", "-", "--to", server.endpoint], io);
  assertEquals([code, out], [0, '{"words":2}\n']);
});

Deno.test("erpc call, a request that is no JSON, says where, exit code 2, nothing is called", async () => {
  const from = async (request: string, stdin?: string | Uint8Array) => {
    // Nobody listens there, so whoever called would fail otherwise.
    const io = new FakeIo({ stdin });
    const { code, out, err } = await erpc(["call", "demo.echo", request, "--to", "tcp://127.0.0.1:1"], io);
    assertEquals([code, out], [2, ""]);
    return err;
  };
  assertMatch(await from("{x"), /^Cannot read the request as JSON: Expected property name .*position 1.*\nRun /);
  assertMatch(await from("{}{}"), /^Cannot read the request as JSON: /);
  assertMatch(await from("-", ""), /^Cannot read the request from stdin as JSON: Unexpected end/);
  assertMatch(await from("-", "[1,"), /^Cannot read the request from stdin as JSON: /);
  assertMatch(await from("-", new Uint8Array([0x22, 0xff, 0x22])), /^Cannot read the request from stdin as JSON: /);
  assertMatch(await from("007"), /^Cannot read the request as JSON: /);
});

Deno.test("erpc call, interrupted while it reads stdin, exit code 130, nothing printed", async () => {
  const { promise: reading, resolve } = Promise.withResolvers<void>();
  const io = new FakeIo({
    stdin: () => {
      resolve();
      return new Promise(() => {});
    },
  });
  const ended = erpc(["call", "demo.echo", "-", "--to", "tcp://127.0.0.1:1"], io);
  await reading;
  io.stop();
  assertEquals(await ended, { code: 130, out: "", err: "" });
});

Deno.test("erpc call --stream, one line for each message", async () => {
  await using server = await startServer();
  const to = ["--stream", "--to", server.endpoint];
  const { code, out, err } = await erpc(["call", "demo.Words/search", '{"pattern":"be"}', ...to]);
  assertEquals([code, out, err], [0, '{"line":0,"text":"to be"}\n{"line":2,"text":"to be"}\n', ""]);
  assertEquals((await erpc(["call", "demo.Words/search", '{"pattern":"x"}', ...to])).out, "");
});

Deno.test("erpc call --stream, interrupted, cancels the call, exit code 130", async () => {
  await using server = await startServer();
  await using running = start(["call", "demo.Slow/follow", "--stream", "--to", server.endpoint]);
  await running.io.until(/"three"\n/);
  running.io.stop();
  assertEquals(await running.ended, 130);
  await server.aborted;
  assertEquals([running.io.out, running.io.err], ['1\nnull\n"three"\n', ""]);
});

Deno.test("erpc call, the handler fails, code and message and details on stderr, exit code 1", async () => {
  await using server = await startServer();
  const { code, out, err } = await erpc(["call", "demo.fail", "--to", server.endpoint]);
  assertEquals([code, out], [1, ""]);
  assertEquals(err, 'not_found: No line\\u000a\\u001b[31m7\ndetails: {"line":7}\n');
});

Deno.test("erpc call, unknown procedure or wrong kind, unimplemented, exit code 1", async () => {
  await using server = await startServer();
  const rows: [string[], string][] = [
    [["demo.Words/nope"], 'unimplemented: There is no method "nope" in service "demo.Words" on this server\n'],
    [["nope.hello"], 'unimplemented: There is no service "nope" on this server\n'],
    [["demo.Words/search"], 'unimplemented: "demo.Words/search" is serverStream, and was called as unary\n'],
    [["demo.echo", "--stream"], 'unimplemented: "demo/echo" is unary, and was called as serverStream\n'],
  ];
  for (const [args, message] of rows) {
    const { code, out, err } = await erpc(["call", ...args, "--to", server.endpoint]);
    assertEquals([code, out, err], [1, "", message]);
  }
});

Deno.test("erpc call, a service that nobody offers, says so, exit code 1", async () => {
  await using center = new Center();
  await center.listen("tcp://127.0.0.1:0");
  const { code, err } = await erpc(["call", "demo.hello", "--center", center.endpoint]);
  assertEquals([code, err], [
    1,
    'unavailable: Cannot call service "demo": no instance of it is registered yet, and the registry has only just started\n',
  ]);
});

Deno.test("erpc call, no center or no server there, says what could not be reached, exit code 1", async () => {
  const reason = "Cannot connect to tcp://127.0.0.1:1: Connection refused";
  const rows: [string, string][] = [
    ["--center", `unavailable: Cannot call service "demo": the registry can't be reached: ${reason}`],
    ["--to", `unavailable: ${reason}`],
  ];
  for (const [flag, message] of rows) {
    const { code, out, err } = await erpc(["call", "demo.hello", flag, "tcp://127.0.0.1:1"]);
    assertEquals([code, out, err.slice(0, message.length)], [1, "", message]);
  }
});

Deno.test("erpc call --timeout, the handler is slow, deadline_exceeded, exit code 1", async () => {
  await using server = await startServer();
  const { code, err } = await erpc(["call", "demo.wait", "--timeout", "50", "--to", server.endpoint]);
  assertEquals([code, err.split(":")[0]], [1, "deadline_exceeded"]);
});

Deno.test("erpc call --timeout, who listens never answers, deadline_exceeded, exit code 1", async () => {
  using mute = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepted: Deno.Conn[] = [];
  const accepting = (async () => {
    for await (const conn of mute) accepted.push(conn);
  })();
  const endpoint = `tcp://127.0.0.1:${mute.addr.port}`;
  for (const flag of ["--center", "--to"]) {
    const { now } = runtimePlatform.clock;
    const started = now();
    const { code, err } = await erpc(["call", "demo.hello", "--timeout", "50", flag, endpoint]);
    assertEquals([code, err.split(":")[0]], [1, "deadline_exceeded"]);
    assertLess(now() - started, DEFAULT_LIMITS.handshakeMs, "it waited for the handshake");
  }
  mute.close();
  await accepting;
  for (const conn of accepted) conn.close();
});

Deno.test("erpc call --key, calls whom consistent hashing gives it to", async () => {
  await using center = new Center();
  await center.listen("tcp://127.0.0.1:0");
  await using _one = await startServer(center.endpoint, "one");
  await using _two = await startServer(center.endpoint, "two");
  await using client = new Client({ center: center.endpoint, balancer: consistentHash() });
  const seen = new Set<string>();
  for (let key = 0; key < 8; key++) {
    const hashKey = `user-${key}`;
    const expected = await client.call("demo.who", undefined, { hashKey });
    const { out } = await erpc(["call", "demo.who", "--key", hashKey, "--center", center.endpoint]);
    assertEquals(out, `${JSON.stringify(expected)}\n`);
    seen.add(expected);
  }
  assertEquals(seen.size, 2, "all keys went to one instance, so nothing was tested");
});
