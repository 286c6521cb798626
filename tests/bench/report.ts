import type { Column, Row, Table } from "./section.ts";

/** A table as lines of text: a heading, the names of the columns, and the rows below them, each column aligned. */
export function textOf({ title, columns, rows, skipped = [] }: Table): string {
  const head = columns.map((column) => column.title);
  const cells = [head, ...rows.map((row) => columns.map((column) => cellOf(row, column)))];
  const widths = columns.map((_, n) => Math.max(...cells.map((line) => line[n].length)));
  const isText = columns.map(({ key }) => rows.every((row) => typeof row[key] === "string"));
  const lines = cells.map((line) =>
    line.map((cell, n) => isText[n] ? cell.padEnd(widths[n]) : cell.padStart(widths[n])).join("  ").trimEnd()
  );
  const rule = widths.map((width) => "-".repeat(width)).join("  ");
  const notes = skipped.map((what) => `skipped: ${what}`);
  return [title, "", lines[0], rule, ...lines.slice(1), ...notes].join("\n");
}

function cellOf(row: Row, { key, upTo, digits = 0 }: Column): string {
  const text = valueOf(row[key], digits);
  return upTo === undefined ? text : `${text}–${valueOf(row[upTo], digits)}`;
}

function valueOf(value: string | number | undefined, digits: number): string {
  if (typeof value !== "number") return value ?? "";
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
