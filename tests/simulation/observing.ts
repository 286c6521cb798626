/** Puts down what clients know and what centers list, without taking part: it asks nobody over the network. */
import type { Simulation } from "../../src/testing/simulation.ts";
import type { SimulatedNode } from "../../src/testing/simulated.ts";
import { Center } from "../../mod.ts";
import type { Happening } from "./history.ts";
import type { ClientNode } from "./programs.ts";
import type { History } from "./recording.ts";
import { Work } from "./workload/service.ts";

/** How often it looks at clients. */
const EVERY_MS = 500;

/** Looks at nodes until it is disposed, and puts down what has changed. */
export function observe(
  world: Simulation,
  history: History,
  nodes: readonly SimulatedNode[],
  made: ReadonlyMap<SimulatedNode, unknown>,
): Disposable {
  const last = new Map<string, string>();
  const followed = new Set<Center>();
  let over = false;
  const put = (node: SimulatedNode, seen: Happening) => {
    const life = `${node.name}/${node.incarnation}`;
    if (over || last.get(life) === JSON.stringify(seen)) return;
    last.set(life, JSON.stringify(seen));
    history.of(node)(seen);
  };
  const look = () => {
    next = world.after(EVERY_MS, look);
    for (const node of nodes) {
      // What stands still can't act on what it knows either.
      if (!node.isUp || node.isPaused) continue;
      const program = made.get(node);
      if (!(program instanceof Center)) {
        const seen = knownTo(program as ClientNode | undefined);
        if (seen !== undefined) put(node, seen);
      } else if (!followed.has(program)) {
        followed.add(program);
        const life = node.incarnation;
        void follow(program, (seen) => {
          if (node.isUp && node.incarnation === life) put(node, seen);
        });
      }
    }
  };
  let next = world.after(EVERY_MS, look);
  return {
    [Symbol.dispose]() {
      over = true;
      next[Symbol.dispose]();
    },
  };
}

function knownTo(client: ClientNode | undefined): Happening | undefined {
  const service = client?.host.client.stats().services.find(({ name }) => name === Work.name);
  // Before it has heard anybody it knows nothing, which is something else than nobody.
  if (service === undefined || service.staleMs === Infinity) return undefined;
  return { what: "knows", ids: service.instances.map(({ id }) => id) };
}

/** Every change in what a center lists, however soon it is undone; until the center is closed. */
async function follow({ registry }: Center, put: (seen: Happening) => void): Promise<void> {
  for await (const _event of registry.watch(Work.name)) {
    const { instances, warming } = await registry.lookup(Work.name);
    put({ what: "lists", ids: instances.map(({ id }) => id), warming });
  }
}
