/** What those get to read who have mixed something up. */
import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { Center, Client, RpcError, Server } from "../../mod.ts";

async function messageOf(call: Promise<unknown>): Promise<string> {
  return (await assertRejects(() => call, RpcError)).message;
}

Deno.test("mistakes: a server's address is given as the center's, and the error says so to clients and servers", async () => {
  await using server = new Server();
  server.handle("demo.hello", () => "hi");
  await server.listen();
  const why = `Cannot use ${server.endpoint} as a center: There is no service "erpc.Center" on this server`;

  await using client = new Client({ center: server.endpoint });
  assertStringIncludes(await messageOf(client.call("demo.hello")), why);

  await using other = new Server({ center: server.endpoint });
  other.handle("demo.hello", () => "hi");
  await other.listen();
  const { state, centers } = other.registration;
  assertEquals([state, centers[0].error], ["refused", why]);
  assertEquals(Number.isInteger(centers[0].nextAttemptMs), true);
});

Deno.test("mistakes: two servers of one service with different methods, and the error says which of them has none", async () => {
  await using center = new Center();
  await center.listen("memory://mistakes-center");
  await using server = new Server({ center: center.endpoint });
  server.handle("demo.hello", () => "hi");
  await server.listen("memory://mistakes-server");
  await using client = new Client({ center: center.endpoint });
  assertEquals(await messageOf(client.call("demo.bye")), 'There is no method "bye" in service "demo" on this server');
});

Deno.test("mistakes: a call that waits until its deadline says why it had to", async () => {
  await using client = new Client({ center: "memory://nobody-is-here" });
  const why = "the registry can't be reached: ";
  assertStringIncludes(await messageOf(client.call("demo.hello")), why);
  const message = await messageOf(client.call("demo.hello", {}, { waitForReady: true, timeoutMs: 50 }));
  assertStringIncludes(
    message,
    `passed while looking for instances of service "demo": ${why}`,
  );
});

Deno.test("mistakes: something else answers at the address, and the error says that rather than a limit alone", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const served = (async () => {
    using socket = await listener.accept();
    await socket.read(new Uint8Array(1024));
    await socket.write(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n"));
    while (await socket.read(new Uint8Array(1024)) !== null);
  })().catch(() => {});
  await using client = new Client({ endpoints: [`tcp://127.0.0.1:${listener.addr.port}`], retry: false });
  assertStringIncludes(await messageOf(client.call("demo.hello")), "it does not speak this protocol: ");
  await served;
});

Deno.test("mistakes: a client without an id brings the wrong token, and the error leaves no empty name", async () => {
  await using server = new Server({
    authenticate: () => {
      throw new Error("no");
    },
  });
  await server.listen("memory://mistakes-guarded");
  await using client = new Client({ endpoints: [server.endpoint], token: "please" });
  assertStringIncludes(await messageOf(client.call("demo.hello")), "Cannot let it in: the token was not accepted");
});

Deno.test("mistakes: a hash key that can't travel is refused, and the connection carries on with other calls", async () => {
  await using server = new Server();
  server.handle("demo.hello", () => "hi");
  await server.listen("memory://mistakes-keys");
  await using client = new Client({ endpoints: [server.endpoint] });
  const call = (hashKey: unknown) => client.call("demo.hello", {}, { hashKey: hashKey as string });
  assertEquals(await call("€".repeat(20_000)), "hi");
  assertThrows(() => call(5), TypeError, "Cannot use hashKey 5: it must be a text");
  assertThrows(() => call("x".repeat(70_000)), RangeError, "Cannot use hashKey of 70000 characters");
  assertEquals(await call(undefined), "hi");
  const { connectionsOpened, connectionsClosed } = client.stats().counters;
  assertEquals([connectionsOpened, connectionsClosed], [1, 0]);
});
