/** What the servers of the demo offer, and how they work it out. */
import { serverStream, service, unary } from "@erpc/erpc";

export interface Hit {
  line: number;
  text: string;
}

export const Text = service("demo.Text", {
  // `by` is the server that counted.
  count: unary<{ text: string }, { words: number; by: string }>({ idempotent: true }),
  search: serverStream<{ text: string; pattern: string }, Hit>({ idempotent: true }),
});

export function countWords(text: string): number {
  return text.match(/\S+/g)?.length ?? 0;
}

export function* findLines(text: string, pattern: string): Generator<Hit> {
  for (const [index, line] of text.split("\n").entries()) {
    if (line.includes(pattern)) yield { line: index + 1, text: line };
  }
}
