/** Which address a server registers, seen from centers on this machine and on others. */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { Center, type CenterOptions, MemoryRegistry, Server, type ServerOptions } from "@erpc/erpc";
import { isLoopbackHost } from "../../src/transport/endpoint.ts";
import { firstOutsideHost } from "../../src/transport/interfaces.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";
import type { ByteConnection } from "../../src/transport/byte_connection.ts";
import { systemTransport, type Transport } from "../../src/transport/transport.ts";
import { ANYBODY } from "../support/anybody.ts";

let scenes = 0;

/** Centers by address, each of which sees servers at a host, and servers that listen on any address without a socket. */
async function scene(centers: Record<string, string | undefined>, options: CenterOptions = {}) {
  const platform = virtualPlatform(1);
  const number = ++scenes;
  const memoryOf = (endpoint: string) => `memory://advertise-${number}-${endpoint.replaceAll(/[^\w]/g, "_")}`;
  const transport: Transport = {
    ...systemTransport,
    connect: (endpoint, options) => systemTransport.connect(memoryOf(endpoint), options),
    async listen(endpoint, options) {
      const listener = await systemTransport.listen(memoryOf(endpoint), options);
      const seen = centers[endpoint];
      return {
        // A server that asks for any port gets 4000.
        endpoint: endpoint.replace(/:0$/, ":4000"),
        close: () => listener.close(),
        async accept() {
          const connection = await listener.accept();
          return seen === undefined ? connection : seenAt(connection, `tcp://${seen}:55555`);
        },
      };
    },
  };
  const stack = new AsyncDisposableStack();
  const open = new Map<string, Center>();
  for (const address of Object.keys(centers)) {
    const center = stack.use(new Center({ platform, transport: transport, tokens: ANYBODY, ...options }));
    await center.listen(address);
    open.set(address, center);
  }
  return {
    clock: platform.clock,
    open,
    async server(listen: string | string[], options: ServerOptions = {}): Promise<Server> {
      const server = stack.use(
        new Server({ platform, transport: transport, id: "a", center: Object.keys(centers), ...options }),
      );
      server.handle("who.am", () => "a");
      for (const endpoint of [listen].flat()) await server.listen(endpoint);
      await platform.clock.advance(0);
      return server;
    },
    async listed(address: string): Promise<readonly string[] | undefined> {
      return (await open.get(address)!.registry.lookup("who")).instances[0]?.endpoints;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** A connection that says that it comes from somewhere else. */
function seenAt(connection: ByteConnection, remote: string): ByteConnection {
  return {
    remote,
    local: connection.local,
    read: (target) => connection.read(target),
    write: (source) => connection.write(source),
    closeWrite: () => connection.closeWrite(),
    close: () => connection.close(),
  };
}

const HERE = "tcp://127.0.0.1:7700";
const ELSEWHERE = "tcp://10.0.0.1:7700";

const registered: [string, Record<string, string | undefined>, string | string[], Record<string, string[]>][] = [
  ["an address of the network, as it is", { [ELSEWHERE]: "10.0.0.7" }, "tcp://10.0.0.7:0", {
    [ELSEWHERE]: ["tcp://10.0.0.7:4000"],
  }],
  ["0.0.0.0, the host that the center sees", { [ELSEWHERE]: "10.0.0.7" }, "tcp://0.0.0.0:0", {
    [ELSEWHERE]: ["tcp://10.0.0.7:4000"],
  }],
  ["[::], the host that the center sees, over IPv6", { [ELSEWHERE]: "[2001:db8::7]" }, "tls://[::]:0", {
    [ELSEWHERE]: ["tls://[2001:db8::7]:4000"],
  }],
  ["[::], the host that the center sees, over IPv4 in IPv6", { [ELSEWHERE]: "[::ffff:10.0.0.7]" }, "tcp://[::]:0", {
    [ELSEWHERE]: ["tcp://10.0.0.7:4000"],
  }],
  ["127.0.0.1, with a center here", { [HERE]: "127.0.0.1" }, "tcp://127.0.0.1:0", { [HERE]: ["tcp://127.0.0.1:4000"] }],
  [
    "127.0.0.1, with a center by name that turns out to be here",
    { "tcp://center:7700": "127.0.0.1" },
    "tcp://127.0.0.1:0",
    {
      "tcp://center:7700": ["tcp://127.0.0.1:4000"],
    },
  ],
  ["127.0.0.1 and another, with a center elsewhere, only the other", { [ELSEWHERE]: "10.0.0.7" }, [
    "tcp://127.0.0.1:0",
    "unix:///run/a.sock",
    "tcp://10.0.0.7:4001",
  ], { [ELSEWHERE]: ["tcp://10.0.0.7:4001"] }],
  ["a unix socket and another, with a center here, both in their order", { [HERE]: "127.0.0.1" }, [
    "unix:///run/a.sock",
    "tcp://127.0.0.1:0",
  ], { [HERE]: ["unix:///run/a.sock", "tcp://127.0.0.1:4000"] }],
  [
    "0.0.0.0, with centers here and elsewhere, both are told what others see",
    {
      [HERE]: "127.0.0.1",
      [ELSEWHERE]: "10.0.0.7",
    },
    "tcp://0.0.0.0:0",
    { [HERE]: ["tcp://10.0.0.7:4000"], [ELSEWHERE]: ["tcp://10.0.0.7:4000"] },
  ],
];
for (const [what, centers, listen, expected] of registered) {
  Deno.test(`a server registers ${what}`, async () => {
    await using s = await scene(centers);
    const server = await s.server(listen);
    for (const [address, endpoints] of Object.entries(expected)) assertEquals(await s.listed(address), endpoints);
    assertEquals(server.registration.centers.map(({ state, error }) => [state, error]), [
      ...Object.keys(centers).map(() => ["registered", undefined]),
    ]);
  });
}

const refused: [string, string | string[], ServerOptions["advertise"], RegExp][] = [
  [
    "127.0.0.1",
    "tcp://127.0.0.1:0",
    undefined,
    /tcp:\/\/127\.0\.0\.1:4000 can be dialled on this machine alone, and tcp:\/\/10\.0\.0\.1:7700 is on another.*advertise/,
  ],
  ["[::1]", "tcp://[::1]:0", undefined, /\[::1\]:4000 can be dialled on this machine alone/],
  ["a unix socket", "unix:///run/a.sock", undefined, /unix:\/\/\/run\/a\.sock can be dialled on this machine alone/],
  ["0.0.0.0 from a function", "tcp://10.0.0.7:0", () => "tcp://0.0.0.0:4000", /host 0\.0\.0\.0 means every address/],
  ["port 0 from a function", "tcp://10.0.0.7:0", () => ["tcp://10.0.0.7:0"], /port 0 is none that can be dialled/],
  ["nothing from a function", "tcp://10.0.0.7:0", () => [], /must give an endpoint/],
  [
    "what a function throws",
    "tcp://10.0.0.7:0",
    () => Promise.reject(new Error("no metadata service")),
    /no metadata service/,
  ],
];
for (const [what, listen, advertise, why] of refused) {
  Deno.test(`seed defect: registers an unroutable address: ${what} with a center elsewhere is refused, and the server says why`, async () => {
    await using s = await scene({ [ELSEWHERE]: "10.0.0.7" });
    const warnings: string[] = [];
    const nothing = () => {};
    const logger = {
      debug: nothing,
      info: nothing,
      error: nothing,
      warn: (text: string, error?: unknown) => warnings.push(`${text}: ${error}`),
    };
    const server = await s.server(listen, { advertise, logger });
    const { state, centers } = server.registration;
    assertEquals([state, await s.listed(ELSEWHERE)], ["refused", undefined]);
    assert(why.test(centers[0].error!), centers[0].error);
    assert(warnings.some((text) => why.test(text)), warnings.join());
    assert(centers[0].nextAttemptMs! > 0);
  });
}

Deno.test("a server that was refused is tried again, and registers when what its function gives can be reached", async () => {
  await using s = await scene({ [ELSEWHERE]: "10.0.0.7" });
  let port = 0;
  const server = await s.server("tcp://127.0.0.1:0", { advertise: () => `tcp://gateway:${port}` });
  assertEquals(server.registration.state, "refused");
  port = 80;
  await s.clock.advance(60_000);
  assertEquals(server.registration.state, "registered");
  assertEquals(await s.listed(ELSEWHERE), ["tcp://gateway:80"]);
});

Deno.test("a server is told what it listens on, where its function makes an address of it", async () => {
  await using s = await scene({ [ELSEWHERE]: "10.0.0.7" });
  await s.server("tcp://127.0.0.1:0", {
    advertise: (listening) => listening.map((endpoint) => endpoint.replace("127.0.0.1", "gateway.example")),
  });
  assertEquals(await s.listed(ELSEWHERE), ["tcp://gateway.example:4000"]);
});

Deno.test("a server registers 127.0.0.1 with a center elsewhere, when it is advertised so and the center allows it", async () => {
  for (const allowEndpoint of [undefined, () => true]) {
    await using s = await scene({ [ELSEWHERE]: "10.0.0.7" }, { allowEndpoint });
    const server = await s.server("tcp://127.0.0.1:0", { advertise: "tcp://127.0.0.1:4000" });
    assertEquals(await s.listed(ELSEWHERE), allowEndpoint && ["tcp://127.0.0.1:4000"]);
    const [{ error }] = server.registration.centers;
    if (allowEndpoint === undefined) assertMatch(error ?? "", /only its own machine can reach that/);
  }
});

Deno.test("an address from the environment is advertised, by name or as a text", async () => {
  Deno.env.set("ERPC_TEST_ENDPOINT", "tcp://outside.example:900");
  try {
    for (const advertise of [{ env: "ERPC_TEST_ENDPOINT" }, "$ERPC_TEST_ENDPOINT"]) {
      await using s = await scene({ [ELSEWHERE]: "10.0.0.7" });
      await s.server("tcp://127.0.0.1:0", { advertise });
      assertEquals(await s.listed(ELSEWHERE), ["tcp://outside.example:900"]);
    }
  } finally {
    Deno.env.delete("ERPC_TEST_ENDPOINT");
  }
});

Deno.test("an address that nobody can dial can't be advertised, and a variable that is not set is misuse", () => {
  Deno.env.delete("ERPC_TEST_UNSET");
  const wrong: [ServerOptions["advertise"], string][] = [
    ["tcp://0.0.0.0:4000", "every address"],
    ["tcp://0:4000", "every address"],
    ["tls://[::]:4000", "every address"],
    ["tcp://[0::0]:4000", "every address"],
    ["tcp://10.0.0.7:0", "port 0"],
    ["10.0.0.7:4000", "as a URL"],
    ["$ERPC_TEST_UNSET", "$ERPC_TEST_UNSET"],
    [{ env: "ERPC_TEST_UNSET" }, "no such variable"],
    [{ env: "" }, "must name a variable"],
  ];
  for (const [advertise, why] of wrong) assertThrows(() => new Server({ advertise }), TypeError, why);
});

Deno.test("0.0.0.0 with a registry that can't tell becomes the first address of this machine that others may reach", async () => {
  const registry = new MemoryRegistry();
  await using server = new Server({ registry });
  server.handle("who.am", () => "a");
  await server.listen("tcp://0.0.0.0:0");
  const [endpoint] = (await registry.lookup("who")).instances[0].endpoints;
  assertEquals(new URL(endpoint).host.replace(/:\d+$/, ""), firstOutsideHost(true));
  await registry.close();
});

Deno.test("isLoopbackHost knows every spelling", () => {
  for (
    const host of [
      "localhost",
      "a.localhost",
      "127.0.0.1",
      "127.1",
      "127.8.9.10",
      "0x7f.1",
      "::1",
      "0:0::1",
      "::ffff:127.0.0.1",
    ]
  ) {
    assert(isLoopbackHost(host), host);
  }
  for (const host of ["10.0.0.1", "example.com", "localhost.example", "::", "::2", "128.0.0.1", "::ffff:10.0.0.1"]) {
    assert(!isLoopbackHost(host), host);
  }
});
