/**
 * What a center keeps beyond its own life: its epoch, how far its revisions have come, and its routing rules. Not its instances:
 * those register again, and until they have the center says that it has just started.
 *
 * Revisions are kept ahead of time: the text says which one no life of the center can have reached, so that the next one begins
 * behind it, and no revision ever means two things however the center ended.
 */
import { textOf } from "../core/error.ts";
import type { Logger } from "../core/logger.ts";
import type { TextStore } from "../core/store.ts";
import { checksum } from "../protocol/checksum.ts";
import type { SavedRules } from "../routing/rule_book.ts";

/** What is kept. */
export interface CenterState {
  /** The registry's epoch. */
  readonly epoch: string;
  /** No revision behind this was ever told of. */
  readonly revision: number;
  /** The routing rules. */
  readonly rules: SavedRules;
}

const NAME = "center.json";
const FORMAT = "erpc-center-1";
/** So far ahead revisions are kept. */
const AHEAD = 10_000;
/** When that could not be, it is tried again after so many more. */
const TRY_AGAIN = 100;

/** Keeps the state of one center in a store. */
export class StateKeeper {
  readonly #store: TextStore;
  readonly #logger: Logger;
  readonly #current: () => CenterState;
  /** Up to where revisions are kept. */
  #ceiling = 0;
  /** From which revision on to look after that again. */
  #lookAt = 0;
  #saving: Promise<void> | undefined;
  #again: Promise<void> | undefined;

  /** @param current gives what is to be kept, as it is */
  constructor(store: TextStore, logger: Logger, current: () => CenterState) {
    this.#store = store;
    this.#logger = logger;
    this.#current = current;
  }

  /** What an earlier life has kept, or `undefined`. What is torn is set aside. Rejects when the store can't be read. */
  async load(): Promise<CenterState | undefined> {
    const text = await this.#store.load(NAME);
    if (text === undefined) return undefined;
    try {
      return open(text);
    } catch (error) {
      const aside = `${NAME}.torn`;
      await this.#store.save(aside, text);
      this.#logger.warn(`Cannot use what the center kept in ${NAME}, which is in ${aside} now: ${textOf(error)}`);
      return undefined;
    }
  }

  /** The registry has come to a revision. Saves now and then; a failure is logged, and it tries again before long. */
  reached(revision: number): void {
    if (revision < this.#lookAt || revision + AHEAD / 4 <= this.#ceiling) return;
    this.#lookAt = revision + TRY_AGAIN;
    this.save().catch((error) => this.#logger.error("Cannot keep the state of the center", error));
  }

  /** Saves the state, with room for many revisions. Resolves when what there was when it was called is kept. */
  save(): Promise<void> {
    // Whatever is being saved may lack what has just changed: all who ask meanwhile share the one after it.
    if (this.#saving !== undefined) return this.#again ??= this.#saving.catch(() => {}).then(() => this.#save());
    return this.#save();
  }

  /** Saves the state for good: nothing changes any more. */
  async close(): Promise<void> {
    await this.#again?.catch(() => {});
    await this.#saving?.catch(() => {});
    await this.#store.save(NAME, seal(this.#current()));
  }

  #save(): Promise<void> {
    this.#again = undefined;
    const state = this.#current();
    const ceiling = state.revision + AHEAD;
    const saving = Promise.try(() => this.#store.save(NAME, seal({ ...state, revision: ceiling }))).then(() => {
      // Not before: what could not be kept holds nothing off.
      this.#ceiling = ceiling;
    }).finally(() => {
      if (this.#saving === saving) this.#saving = undefined;
    });
    return this.#saving = saving;
  }
}

function seal(state: CenterState): string {
  const body = JSON.stringify(state);
  return `${FORMAT} ${sumOf(body)}\n${body}\n`;
}

function open(text: string): CenterState {
  const [head, body = ""] = text.split("\n");
  if (text !== `${head}\n${body}\n` || head !== `${FORMAT} ${sumOf(body)}`) {
    throw new TypeError("it is not what a center of this version has written, or not all of it");
  }
  return JSON.parse(body);
}

function sumOf(body: string): string {
  const bytes = new TextEncoder().encode(body);
  return checksum(bytes, 0, bytes.length).toString(16);
}
