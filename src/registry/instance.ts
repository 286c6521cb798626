/** One running process that offers services. */
export interface Instance {
  /** Its name, unique in the registry. */
  readonly id: string;
  /** Grows with every start of what bears the id; the newest wins. Milliseconds since 1970 by its own clock. */
  readonly incarnation: number;
  /** Where it can be dialled, best first. */
  readonly endpoints: readonly string[];
  /** The full names of the services that it offers. */
  readonly services: readonly string[];
  /** Where it stands, for balancing and routing; an empty text when nobody said. */
  readonly zone: string;
  /** Its share of the calls beside that of others; 1 is usual, 0 takes none. */
  readonly weight: number;
  /** Which version of the program it runs; an empty text when nobody said. */
  readonly version: string;
  /** Whatever else its owner wants known. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Whether two say the same. */
export function sameInstance(a: Instance, b: Instance): boolean {
  if (a === b) return true;
  const metadata = Object.entries(a.metadata);
  return a.id === b.id && a.incarnation === b.incarnation && a.zone === b.zone && a.weight === b.weight &&
    a.version === b.version && sameTexts(a.endpoints, b.endpoints) && sameTexts(a.services, b.services) &&
    metadata.length === Object.keys(b.metadata).length &&
    metadata.every(([key, value]) => Object.hasOwn(b.metadata, key) && b.metadata[key] === value);
}

/** Whether two lists have the same texts in the same order. */
export function sameTexts(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, i) => text === b[i]);
}
