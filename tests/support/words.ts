import { bidi, clientStream, type Implementation, oneway, serverStream, service, unary } from "@erpc/erpc";

/** A contract with every kind of method. */
export const Words = service("demo.Words", {
  count: unary<{ text: string }, { words: number }>({ idempotent: true }),
  add: unary<{ text: string }, { words: number }>(),
  search: serverStream<{ pattern: string }, { line: number; text: string }>(),
  total: clientStream<{ text: string }, { words: number }>(),
  shout: bidi<{ text: string }, { text: string }>(),
  note: oneway<{ text: string }>(),
});

const TEXT = ["to be", "or not", "to be"];

/** What answers it. */
export const words: Implementation<typeof Words> = {
  count: ({ text }) => ({ words: text.split(/\s+/).filter((word) => word !== "").length }),
  add: ({ text }) => ({ words: text.length }),
  async *search({ pattern }) {
    for (const [line, text] of TEXT.entries()) if (text.includes(pattern)) yield { line, text };
  },
  async total(texts) {
    let words = 0;
    for await (const { text } of texts) words += text.split(/\s+/).length;
    return { words };
  },
  async *shout(texts) {
    for await (const { text } of texts) yield { text: text.toUpperCase() };
  },
  note: () => {},
};

/** Collects what a stream gives. */
export async function collect<T>(messages: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const message of messages) all.push(message);
  return all;
}
