/** The same small calls by other systems. Those whose tools are not on this machine are named and left out. */
import { callAway, columnsOf, type Contender, contest, serveAway } from "./contest.ts";
import { Child } from "./child.ts";
import { assertGreeting, callGreeter, REQUEST, serveGreeter } from "./greeter.ts";
import type { Section } from "./section.ts";

const FOLDER = new URL("peers/", import.meta.url);

/** Programs on Node, by what they are called. */
const ON_NODE: readonly [string, string][] = [
  ["capnweb, WebSocket", "capnweb.mjs"],
  ["@grpc/grpc-js", "grpc_js.mjs"],
  ["connect-es, HTTP/2", "connect_es.mjs"],
  ["tRPC, batching link", "trpc.mjs"],
];

/** Programs in Go: a folder each. */
const IN_GO: readonly [string, string][] = [
  ["Go net/rpc, gob", "go_netrpc"],
  ["grpc-go, protobuf", "go_grpc"],
];

async function serveFetch(): Promise<void> {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const { name } = await request.json();
    return Response.json({ msg: `hello ${name}` });
  });
  await serveAway(`http://127.0.0.1:${server.addr.port}`, () => 0);
  await server.shutdown();
}

async function callFetch(url: string): Promise<void> {
  const call = async () => {
    const response = await fetch(url, { method: "POST", body: JSON.stringify(REQUEST) });
    return await response.json();
  };
  assertGreeting(await call());
  await callAway(call, () => 0);
}

/** Whether a program runs here. */
async function runs(program: string, ...args: string[]): Promise<boolean> {
  try {
    const command = new Deno.Command(program, { args, cwd: FOLDER.pathname, stdout: "null", stderr: "null" });
    return (await command.output()).success;
  } catch {
    return false;
  }
}

/** Builds a program in Go. Gives where it is, or nothing. */
async function built(name: string, into: string): Promise<string | undefined> {
  const path = `${into}/${name}`;
  const command = new Deno.Command("go", {
    args: ["build", "-o", path, "main.go"],
    cwd: new URL(`${name}/`, FOLDER).pathname,
    env: { GO111MODULE: "off", GOPATH: "/usr/share/gocode", GOCACHE: `${into}/cache`, GOFLAGS: "" },
    stdout: "null",
    stderr: "null",
  });
  try {
    return (await command.output()).success ? path : undefined;
  } catch {
    return undefined;
  }
}

/** Other systems. */
export const peersSection: Section = {
  name: "peers",
  roles: {
    "serve erpc": () => serveGreeter(),
    "call erpc": (endpoint) => callGreeter({ endpoints: [endpoint] }),
    "serve fetch": serveFetch,
    "call fetch": callFetch,
  },
  async run(options, start) {
    await using stack = new AsyncDisposableStack();
    const contenders: Contender[] = [];
    const skipped: string[] = [];
    const enter = async (system: string, begin: (role: string, ...args: string[]) => Promise<Child>) => {
      const server = stack.use(await begin("serve"));
      const client = stack.use(await begin("call", server.hello as string));
      contenders.push({ system, client, servers: [server] });
    };
    await enter("erpc", (role, ...args) => start(`${role} erpc`, ...args));
    await enter("Deno.serve and fetch", (role, ...args) => start(`${role} fetch`, ...args));
    const node = await runs("node", "--version");
    const installed = node && await runs("node", "--input-type=module", "--eval", 'import "capnweb"');
    for (const [system, file] of ON_NODE) {
      if (installed) {
        await enter(system, (role, ...args) => Child.start("node", [`${FOLDER.pathname}${file}`, role, ...args]));
      } else skipped.push(`${system} (${node ? "npm ci in tests/bench/peers" : "no Node"})`);
    }
    const into = await Deno.makeTempDir({ prefix: "erpc-peers-" });
    stack.defer(() => Deno.remove(into, { recursive: true }));
    for (const [system, name] of IN_GO) {
      const program = await built(name, into);
      if (program !== undefined) await enter(system, (role, ...args) => Child.start(program, [role, ...args]));
      else skipped.push(`${system} (no Go that can build it: apt-get install golang-go golang-google-grpc-dev)`);
    }
    const rows = await contest(contenders, { inFlight: [1, 64, 256], yardstick: "erpc" }, options);
    const columns = columnsOf("calls", "erpc").filter(({ key }) => !key.endsWith("Writes"))
      .map((column) => column.digits === undefined ? column : { ...column, digits: 3 });
    return { title: "Other systems, the same call on one connection", columns, rows, skipped };
  },
};
