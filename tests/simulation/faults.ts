/** What is done to a run while faults are on. Each class draws from dice of its own, and takes back what it did at the end. */
import type { SimulatedNode } from "../../src/testing/simulated.ts";
import type { Simulation } from "../../src/testing/simulation.ts";
import { type Config, type Fault, linkOf } from "./config.ts";
import { Dice } from "./dice.ts";
import type { History } from "./recording.ts";
import type { ServerNode } from "./programs.ts";

/** The world of a run, as faults see it. */
export interface Field {
  readonly world: Simulation;
  readonly config: Config;
  readonly history: History;
  readonly servers: readonly SimulatedNode[];
  readonly clients: readonly SimulatedNode[];
  readonly centers: readonly SimulatedNode[];
  /** What runs on a server's node now. */
  serverOn(node: SimulatedNode): ServerNode | undefined;
  /** Brings a node up again that is down. */
  revive(node: SimulatedNode): void;
}

/** Does something to a run once, and takes it back after a while. */
type Blow = (field: Field, dice: Dice) => void;

/** How often each class strikes, on average. */
const EVERY_MS = 6_000;

const BLOWS: Partial<Record<Fault, Blow>> = {
  partition({ world }, dice) {
    const names = dice.shuffled(world.nodes.map((node) => node.name));
    const left = names.splice(0, dice.between(1, Math.max(1, names.length >> 1)));
    const links = left.flatMap((one) => names.flatMap((other) => [[one, other], [other, one]] as const));
    blockFor(world, links, dice.around(6_000));
  },
  oneWay({ world }, dice) {
    const [one, other] = dice.shuffled(world.nodes.map((node) => node.name));
    blockFor(world, [[one, other]], dice.around(6_000));
  },
  swizzle({ world }, dice) {
    // Links stop one by one, and come back in another order.
    const one = dice.pick(world.nodes).name;
    const links = world.nodes.filter((node) => node.name !== one)
      .flatMap(({ name }) => [[one, name], [name, one]] as const);
    const lastMs = dice.around(3_000);
    for (const link of links) {
      world.after(dice.around(1_000), () => blockFor(world, [link], lastMs + dice.around(1_000)));
    }
  },
  cut({ world }, dice) {
    const [one, other] = dice.shuffled(world.nodes.map((node) => node.name));
    if (other !== undefined) world.network.reset(one, other);
  },
  crash(field, dice) {
    crash(field, dice, false);
  },
  vanish(field, dice) {
    crash(field, dice, true);
  },
  pause({ world, history }, dice) {
    const node = dice.pick(world.nodes);
    if (!node.isUp || node.isPaused) return;
    node.pause();
    history.of(node)({ what: "pause" });
    world.after(dice.around(dice.pick([50, 2_000, 10_000])), () => resume(history, node));
  },
  absent({ world, history, centers }, dice) {
    // A center stands still, and once it goes on nobody reaches it for a little longer.
    if (centers.length === 0) return;
    const node = dice.pick(centers);
    if (!node.isUp || node.isPaused) return;
    const ms = dice.around(dice.pick([1_000, 5_000]));
    const others = world.nodes.filter((other) => other !== node);
    const links = others.flatMap(({ name }) => [[node.name, name], [name, node.name]] as const);
    blockFor(world, links, ms + dice.around(1_000));
    node.pause();
    history.of(node)({ what: "pause" });
    world.after(ms, () => resume(history, node));
  },
  wall({ world }, dice) {
    const sizes = [4, 1_000, 262_000, 3_600_000, 315_360_000_000];
    dice.pick(world.nodes).jumpWallClock(dice.pick([-1, 1]) * dice.pick(sizes));
  },
  slow({ world, history }, dice) {
    const node = dice.pick(world.nodes);
    if (!node.isUp) return;
    node.slowDown(dice.pick([0.5, 3, 20]));
    history.of(node)({ what: "slow" });
    world.after(dice.around(2_000), () => quicken(history, node));
  },
  drain(field, dice) {
    const node = dice.pick(field.servers);
    const made = field.serverOn(node);
    if (made === undefined || node.isPaused) return;
    const life = node.incarnation;
    const graceMs = dice.around(2_000);
    field.history.of(node)({ what: "drain", graceMs });
    void made.server.drain({ graceMs }).then(async () => {
      if (!node.isUp || node.incarnation !== life) return;
      await node.stop();
      field.history.lost(node, life);
      field.revive(node);
    });
  },
};

/** Lets faults happen until the safety phase is over. */
export function strike(field: Field): void {
  const { config, world } = field;
  world.network.set(linkOf(config));
  for (const fault of config.faults) {
    const blow = BLOWS[fault];
    if (blow === undefined) continue;
    const dice = Dice.for(config.seed, "fault", fault);
    const next = (at: number) => {
      if (at >= config.safetyMs) return;
      world.after(at - world.now, () => {
        blow(field, dice);
        next(world.now + dice.around(EVERY_MS));
      });
    };
    next(dice.around(EVERY_MS));
  }
}

/** Takes everything back: from now on nothing is in anybody's way. */
export function calmDown(field: Field): void {
  const { world, config, history } = field;
  world.network.heal();
  world.network.set({
    ...config.link,
    segmentBytes: [65_536, 65_536],
    coalesce: 1,
    partialWrites: 0,
    capacityBytes: 256 * 1024,
    jitterMs: 0,
    stalls: 0,
    resets: 0,
    refusals: 0,
    lostDials: 0,
    acceptErrors: 0,
    bitFlips: 0,
  });
  for (const node of world.nodes) {
    resume(history, node);
    quicken(history, node);
    field.revive(node);
  }
}

function blockFor(world: Simulation, links: readonly (readonly [string, string])[], ms: number): void {
  for (const [from, to] of links) world.network.block(from, to);
  world.after(ms, () => {
    for (const [from, to] of links) world.network.unblock(from, to);
  });
}

function crash(field: Field, dice: Dice, silent: boolean): void {
  const { world, history } = field;
  const node = dice.pick(world.nodes);
  if (!node.isUp) return;
  history.lost(node, node.incarnation);
  node.crash({ silent });
  world.after(dice.around(dice.pick([10, 3_000, 15_000])), () => field.revive(node));
}

function resume(history: History, node: SimulatedNode): void {
  if (!node.isPaused) return;
  node.resume();
  history.of(node)({ what: "resume" });
}

function quicken(history: History, node: SimulatedNode): void {
  node.slowDown(0);
  history.of(node)({ what: "fast" });
}
