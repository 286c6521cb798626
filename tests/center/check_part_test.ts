import { assertEquals, assertThrows } from "@std/assert";
import { Client, RpcError, Server } from "@erpc/erpc";
import { Simulation } from "@erpc/erpc/testing";
import { checkSnapshotPart, checkWatchPart } from "../../src/center/check_part.ts";
import { CenterContract } from "../../src/center/contract.ts";
import { instanceOf } from "../registry/instances.ts";

const snapshot = { kind: "snapshot", epoch: "e", revision: 3, instances: [instanceOf("a")], warming: false } as const;
const changes = {
  kind: "changes",
  epoch: "e",
  revision: 4,
  changes: [
    { kind: "put", instance: instanceOf("a"), suspect: true },
    { kind: "removed", instanceId: "a", cause: "expired" },
  ],
} as const;

Deno.test("checkWatchPart, what centers say, as it is", () => {
  for (
    const part of [
      snapshot,
      changes,
      { ...snapshot, suspects: ["a"], more: true },
      { ...changes, changes: [], warmed: true },
    ]
  ) assertEquals(checkWatchPart(JSON.parse(JSON.stringify(part))), part);
  const { kind: _, ...looked } = snapshot;
  assertEquals(checkSnapshotPart(looked), looked);
  assertEquals(checkWatchPart({ ...snapshot, fromALaterVersion: 1 }), snapshot);
});

Deno.test("checkWatchPart, what nobody can act on, an error for the call and nothing else", () => {
  const { metadata: _, ...bare } = instanceOf("a");
  for (
    const part of [
      undefined,
      null,
      7,
      "snapshot",
      {},
      { ...snapshot, kind: "snapshut" },
      { ...snapshot, epoch: 1 },
      { ...snapshot, revision: "3" },
      { ...snapshot, revision: -1 },
      { ...snapshot, instances: undefined },
      { ...snapshot, instances: [null] },
      { ...snapshot, instances: [bare] },
      { ...snapshot, suspects: [1] },
      { ...snapshot, suspects: "a" },
      { ...changes, changes: {} },
      { ...changes, changes: [null] },
      { ...changes, changes: [{ kind: "put" }] },
      { ...changes, changes: [{ kind: "patched", instanceId: "a" }] },
      { ...changes, changes: [{ kind: "removed", instanceId: {} }] },
    ]
  ) {
    const error = assertThrows(() => checkWatchPart(part), RpcError, "Cannot understand what the center tells");
    assertEquals(error.code, "internal", JSON.stringify(part));
  }
});

Deno.test("a client goes on with what it knows when a center tells what nobody understands, and asks again", async () => {
  const world = new Simulation();
  await world.run(async () => {
    await world.node("server").start(async ({ platform, transport }) => {
      const server = new Server({ platform, transport });
      server.handle("t/t", () => "here");
      await server.listen("tcp://server:1");
      return server;
    });
    const listed = instanceOf("a", { endpoints: ["tcp://server:1"], services: ["t"] });
    let watches = 0;
    await world.node("center").start(async ({ platform, transport }) => {
      const center = new Server({ platform, transport });
      const never = () => {
        throw new RpcError("unimplemented", "Not here");
      };
      center.handle(CenterContract, {
        register: never,
        renew: never,
        deregister: never,
        settled: never,
        lookup: never,
        observe: () => ({ endpoint: "tcp://client:1", clients: 1 }),
        async *watch(requests) {
          const broken = watches++ % 2 === 1;
          for await (const _ of requests) {
            yield { ...snapshot, instances: broken ? [{ ...listed, metadata: null } as never] : [listed] };
          }
        },
      });
      await center.listen("tcp://center:7700");
      return center;
    });
    const client = await world.node("client").start(({ platform, transport }) =>
      new Client({ center: "tcp://center:7700", platform, transport })
    );
    assertEquals(await client.call("t/t"), "here");
    for (let n = 0; n < 20; n++) {
      world.network.reset("client", "center");
      await world.sleep(5_000);
      assertEquals(await client.call("t/t"), "here");
    }
    if (watches < 5) throw new Error(`${watches} watches`);
    await world.stop();
  });
});
