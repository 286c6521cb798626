/** So many names are told apart: on a server they are whatever a peer writes into its calls. */
export const MAX_NAMES = 4_096;
/** What the others go by together. No service and no procedure is called so. */
export const OTHERS = "*";

/** Something for each name, made when it is first asked for. Beyond {@link MAX_NAMES} all others share one. */
export class ByName<T> {
  readonly #make: (name: string) => T;
  readonly #known = new Map<string, T>();

  /** Makes an empty one. */
  constructor(make: (name: string) => T) {
    this.#make = make;
  }

  /** What there is for a name, if it was asked for before. */
  peek(name: string): T | undefined {
    return this.#known.get(name);
  }

  /** What there is for a name. */
  of(name: string): T {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    return this.#known.size < MAX_NAMES || name === OTHERS ? this.#add(name) : this.of(OTHERS);
  }

  /** What there is, by the names. */
  [Symbol.iterator](): IterableIterator<[string, T]> {
    return this.#known.entries();
  }

  #add(name: string): T {
    const made = this.#make(name);
    this.#known.set(name, made);
    return made;
  }
}
