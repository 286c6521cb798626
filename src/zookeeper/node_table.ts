/**
 * The nodes of instances by their names: `<id>;<incarnation>;<number>`, where the id is encoded as in a URL, and the number is
 * ZooKeeper's. So nothing ever has to be changed in a node, and the names alone tell who is listed when there are several of one
 * id: the newest incarnation, and of two that are the same the one with the higher number.
 */
import type { Entry } from "../store/entry.ts";

/** The name of a node, taken apart. */
export interface NodeName {
  /** The whole name. */
  readonly name: string;
  /** Whose it is. */
  readonly instanceId: string;
  /** Which incarnation of it. */
  readonly incarnation: number;
  /** ZooKeeper's number. */
  readonly sequence: number;
}

/** A node with what stands in it, `undefined` when that is no entry. */
export interface Node {
  readonly name: NodeName;
  readonly entry: Entry | undefined;
}

/** The name of an instance's claim. */
export function claimName(instanceId: string): string {
  // A dot may not stand alone, nor two of them.
  return encodeURIComponent(instanceId).replaceAll(".", "%2E");
}

/** What the names of an instance's nodes begin with. */
export function namesBeginWith(instanceId: string): string {
  return `${claimName(instanceId)};`;
}

/** Takes a name apart; `undefined` when it is somebody else's. */
export function parseName(name: string): NodeName | undefined {
  const [, encoded, incarnation, sequence] = /^([^;]+);(\d{1,16});(-?\d{9,10})$/.exec(name) ?? [];
  if (encoded === undefined) return undefined;
  try {
    const instanceId = decodeURIComponent(encoded);
    return { name, instanceId, incarnation: Number(incarnation), sequence: Number(sequence) };
  } catch {
    return undefined;
  }
}

/** The names among others that are of one instance, the one that is listed first. */
export function namesOf(instanceId: string, names: Iterable<string>): NodeName[] {
  const begin = namesBeginWith(instanceId);
  return [...names].flatMap((name) => name.startsWith(begin) ? parseName(name) ?? [] : []).sort(compareNames);
}

/** Which of two nodes of one instance is listed: negative when the first is. */
function compareNames(a: NodeName, b: NodeName): number {
  return b.incarnation - a.incarnation || b.sequence - a.sequence;
}

/** All nodes that are known, by their names and by their instances. */
export class NodeTable {
  readonly #nodes = new Map<string, Node>();
  readonly #byInstance = new Map<string, Node[]>();

  /** How many there are. */
  get size(): number {
    return this.#nodes.size;
  }

  /** All of them. */
  get nodes(): Iterable<Node> {
    return this.#nodes.values();
  }

  /** Whose nodes there are. */
  get instanceIds(): Iterable<string> {
    return this.#byInstance.keys();
  }

  /** Whether a node is known. */
  has(name: string): boolean {
    return this.#nodes.has(name);
  }

  /** The nodes of an instance, the one that is listed first. */
  of(instanceId: string): readonly Node[] {
    return this.#byInstance.get(instanceId) ?? [];
  }

  /** The node of an instance that is listed. */
  listed(instanceId: string): (Node & { readonly entry: Entry }) | undefined {
    for (const { name, entry } of this.of(instanceId)) if (entry !== undefined) return { name, entry };
    return undefined;
  }

  /** Puts a node in. */
  add(node: Node): void {
    const { name, instanceId } = node.name;
    this.#nodes.set(name, node);
    const nodes = [...this.of(instanceId), node].sort((a, b) => compareNames(a.name, b.name));
    this.#byInstance.set(instanceId, nodes);
  }

  /** Takes a node out. */
  delete({ name, instanceId }: NodeName): void {
    this.#nodes.delete(name);
    const left = this.of(instanceId).filter((node) => node.name.name !== name);
    if (left.length > 0) this.#byInstance.set(instanceId, left);
    else this.#byInstance.delete(instanceId);
  }

  /** Forgets everything. */
  clear(): void {
    this.#nodes.clear();
    this.#byInstance.clear();
  }
}
