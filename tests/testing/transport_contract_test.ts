/** The contract of transports, for every transport of ours and for the network of a simulation with all its faults. */
import { type LinkOptions, Simulation, transportContract, type TransportSubject } from "@erpc/erpc/testing";
import { assertRejects } from "@std/assert";
import { systemTransport } from "../../src/transport/transport.ts";
import { sliced } from "../support/pairs.ts";
import { authority, pair } from "../support/certs.ts";

let sockets = 0;

const subjects: TransportSubject[] = [
  { name: "tcp", transport: systemTransport, endpoint: () => "tcp://127.0.0.1:0" },
  { name: "unix", transport: systemTransport, endpoint: () => `unix://${Deno.makeTempDirSync()}/s` },
  { name: "memory", transport: systemTransport, endpoint: () => `memory://contract-${++sockets}` },
  {
    name: "tls",
    transport: systemTransport,
    endpoint: () => "tls://127.0.0.1:0",
    listenOptions: { tls: pair("server") },
    connectOptions: { tls: { ca: [authority("ca")] } },
  },
];

const LINKS: readonly [name: string, link: LinkOptions][] = [
  ["calm", {}],
  ["crumbs", { segmentBytes: [1, 5_000], coalesce: 0.2, partialWrites: 0.9, jitterMs: 5 }],
  ["tiny buffers", { capacityBytes: 700, segmentBytes: [1, 400], partialWrites: 0.5 }],
  ["stalls", { stalls: 0.3, stallMs: 2_000, latencyMs: 30, jitterMs: 100, segmentBytes: [100, 65_536] }],
];

for (const { name, run } of subjects.flatMap(transportContract)) Deno.test(name, run);

for (const [linkName, link] of LINKS) {
  for (const together of [true, false]) {
    // A simulation for each case: the subject is asked for its parts once the case runs.
    let simulation: Simulation;
    const names = together ? ["one", "one"] : ["one", "other"];
    const transportOf = (name: string) => simulation.node(name).context.transport;
    const subject: TransportSubject = {
      name: `simulation, ${linkName}, ${together ? "one node" : "two nodes"}`,
      transport: {
        connect: (...args) => transportOf(names[0]).connect(...args),
        listen: (...args) => transportOf(names[0]).listen(...args),
      },
      dialling: {
        connect: (...args) => transportOf(names[1]).connect(...args),
        listen: (...args) => transportOf(names[1]).listen(...args),
      },
      endpoint: () => "tcp://one:0",
      sleep: (ms) => simulation.sleep(Math.max(ms, 1) * 100),
      run: async (test) => {
        simulation = new Simulation({ seed: 5, link });
        await simulation.run(async () => {
          for (const node of new Set(names)) await simulation.node(node).start(() => {});
          await test();
        });
      },
    };
    for (const { name, run } of transportContract(subject)) Deno.test(name, run);
  }
}

Deno.test("transportContract finds what is wrong with transports that do not keep it", async () => {
  const broken: Record<string, (connection: ReturnType<typeof sliced>) => Partial<ReturnType<typeof sliced>>> = {
    "carries bytes both ways at once": (conn) => ({
      write: async (source) => (await conn.write(source.subarray(0, 100)), source.length),
    }),
    "leaves what is written to the writer": (conn) => ({
      write: (source) => (setTimeout(() => conn.write(source).catch(() => {}), 1), Promise.resolve(source.length)),
    }),
    "makes writing wait while nobody reads": () => ({ write: (source) => Promise.resolve(source.length) }),
    "reads the end again and again": (conn) => {
      let ended = 0;
      return { read: async (target) => await conn.read(target) ?? (ended++ > 0 ? 1 : null) };
    },
    "is closed twice without harm": (conn) => {
      let closed = 0;
      return {
        close: () => {
          if (closed++ > 0) throw new Error("closed twice");
          conn.close();
        },
      };
    },
  };
  for (const [name, breakIt] of Object.entries(broken)) {
    const subject: TransportSubject = {
      name: "broken",
      transport: {
        listen: (endpoint) => systemTransport.listen(endpoint),
        connect: async (endpoint, options) => {
          const conn = await systemTransport.connect(endpoint, options);
          return { ...sliced(conn), read: conn.read.bind(conn), write: conn.write.bind(conn), ...breakIt(conn) };
        },
      },
      endpoint: () => `memory://contract-${++sockets}`,
    };
    const found = transportContract(subject).find((one) => one.name.includes(name));
    await assertRejects(() => Promise.resolve(found!.run()), Error, undefined, name);
  }
});
