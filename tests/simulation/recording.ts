import type { SimulatedNode } from "../../src/testing/simulated.ts";
import type { Simulation } from "../../src/testing/simulation.ts";
import { type Happening, type HistoryRecord, lineOf, type Recorder } from "./history.ts";

/** Puts down what happens in a simulated run, and in its log. */
export class History {
  readonly records: HistoryRecord[] = [];
  readonly #world: Simulation;
  /** Calls that have begun and not ended, with the life of their callers. */
  readonly #open = new Map<string, string>();

  constructor(world: Simulation) {
    this.#world = world;
  }

  /** Puts down what happens to the run as a whole. */
  readonly world: Recorder = (happening) => this.#add({ at: this.#world.now, node: "", life: 0, ...happening });

  /** Puts down what happens on a node, in the life that it is in when it happens. */
  of(node: SimulatedNode): Recorder {
    return (happening) =>
      this.#add({ at: this.#world.now, node: node.name, life: node.incarnation, ...happening as Happening });
  }

  /** A life of a node is over, and what was running in it is lost. */
  lost(node: SimulatedNode, life: number): void {
    this.#add({ at: this.#world.now, node: node.name, life, what: "crash" });
    for (const [id, of] of this.#open) if (of === `${node.name}/${life}`) this.#open.delete(id);
  }

  /** How many calls wait for their end. */
  get openCalls(): number {
    return this.#open.size;
  }

  #add(record: HistoryRecord): void {
    if (record.what === "call") this.#open.set(record.id, `${record.node}/${record.life}`);
    else if (record.what === "settled") this.#open.delete(record.id);
    this.records.push(record);
    this.#world.note(`${record.node} ${lineOf(record)}`);
  }
}
