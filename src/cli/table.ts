// deno-lint-ignore no-control-regex
const STYLE = /\x1b\[\d+m/g;
/** What terminals show two columns wide: emoji, and the scripts of East Asia (UAX #11). */
const WIDE =
  /^(?:\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}])/u;
const GAP = "  ";
const segmenter = new Intl.Segmenter();

/** How many columns of a terminal a text takes. */
export function displayWidth(text: string): number {
  const plain = text.replace(STYLE, "");
  let width = 0;
  for (const { segment } of segmenter.segment(plain)) width += WIDE.test(segment) ? 2 : 1;
  return width;
}

/** Rows of texts in columns, each column as wide as the widest text that it has seen. */
export class Columns {
  readonly #widths: number[] = [];
  readonly #rightAligned: ReadonlySet<number>;

  /** @param rightAligned the columns whose texts stand at the right, such as numbers; the first is 0 */
  constructor(rightAligned: readonly number[] = []) {
    this.#rightAligned = new Set(rightAligned);
  }

  /** Widens the columns for a row that is to come. */
  fit(row: readonly string[]): void {
    row.forEach((cell, column) => {
      this.#widths[column] = Math.max(this.#widths[column] ?? 0, displayWidth(cell));
    });
  }

  /** A row as a line, without spaces at its end. */
  line(row: readonly string[]): string {
    this.fit(row);
    const cells = row.map((cell, column) => {
      const space = " ".repeat(this.#widths[column] - displayWidth(cell));
      return this.#rightAligned.has(column) ? space + cell : cell + space;
    });
    return cells.join(GAP).trimEnd();
  }
}

/** Rows as lines, all of one width. */
export function table(rows: readonly (readonly string[])[], rightAligned: readonly number[] = []): string[] {
  const columns = new Columns(rightAligned);
  for (const row of rows) columns.fit(row);
  return rows.map((row) => columns.line(row));
}
