/** How many lines are kept. */
const KEPT_LINES = 200;

/** What has happened in a simulation: the last lines of it, and a hash of all. */
export class EventLog {
  readonly #lines: string[] = [];
  readonly #onLine: ((line: string) => void) | undefined;
  #count = 0;
  #low = 0x811c9dc5;
  #high = 0x01000193;

  /** @param onLine is told of every line */
  constructor(onLine?: (line: string) => void) {
    this.#onLine = onLine;
  }

  /** How many lines there were. */
  get count(): number {
    return this.#count;
  }

  /** The last 200 lines. */
  get last(): readonly string[] {
    const at = this.#count % KEPT_LINES;
    return this.#count <= KEPT_LINES ? [...this.#lines] : [...this.#lines.slice(at), ...this.#lines.slice(0, at)];
  }

  /** The same for two logs exactly if, as good as surely, they are the same: 16 hexadecimal digits. */
  get hash(): string {
    return [this.#high, this.#low].map((half) => (half >>> 0).toString(16).padStart(8, "0")).join("");
  }

  /** Adds a line. */
  event(at: number, where: string, what: string): void {
    const line = `${at.toFixed(3)} ${where} ${what}`;
    let [low, high] = [this.#low, this.#high];
    for (let i = 0; i < line.length; i++) {
      const unit = line.charCodeAt(i);
      low = Math.imul(low ^ unit, 0x01000193);
      high = Math.imul(high ^ unit, 0x85ebca6b) + low | 0;
    }
    [this.#low, this.#high] = [low, high];
    this.#lines[this.#count++ % KEPT_LINES] = line;
    this.#onLine?.(line);
  }
}
