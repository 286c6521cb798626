/** Keeps texts by name beyond the life of the process. */
export interface TextStore {
  /** What was last saved under a name, or `undefined`. */
  load(name: string): Promise<string | undefined>;
  /** Saves a text in the place of what was there: whoever loads it gets all of one or all of the other. */
  save(name: string, text: string): Promise<void>;
}
