/**
 * The kinds of methods: one request or many, one reply or many, or no reply at all. Without a center: the client is told
 * where the server is.
 *
 *     deno run -A examples/streams.ts
 */
import { bidi, Client, clientStream, oneway, Server, serverStream, service, unary } from "@erpc/erpc";

const Words = service("demo.Words", {
  count: unary<{ text: string }, { words: number }>({ idempotent: true }),
  search: serverStream<{ pattern: string }, { line: number; text: string }>(),
  naturals: serverStream<{ from: number }, number>(),
  total: clientStream<{ text: string }, { words: number }>(),
  shout: bidi<{ text: string }, { text: string }>(),
  note: oneway<{ text: string }>(),
});

const poem = ["The fog comes", "on little cat feet.", "It sits looking", "over harbor and city", "and then moves on."];
const countWords = (text: string) => text.split(/\s+/).length;
const left = Promise.withResolvers<string>();
const noted = Promise.withResolvers<string>();

await using server = new Server();
server.handle(Words, {
  count: ({ text }) => ({ words: countWords(text) }),
  async *search({ pattern }) {
    for (const [index, text] of poem.entries()) if (text.includes(pattern)) yield { line: index + 1, text };
  },
  // Endless, and yet no memory fills up: `yield` waits while the client has not read enough.
  async *naturals({ from }, ctx) {
    try {
      for (let n = from;; n++) yield n;
    } finally {
      left.resolve(`ctx.signal.aborted is ${ctx.signal.aborted}`);
    }
  },
  async total(texts) {
    let words = 0;
    for await (const { text } of texts) words += countWords(text);
    return { words };
  },
  async *shout(texts) {
    for await (const { text } of texts) yield { text: text.toUpperCase() };
  },
  note: ({ text }) => noted.resolve(text),
});
await server.listen();

await using client = new Client({ endpoints: [server.endpoint] });
const words = client.service(Words);

console.log("unary: one request, one reply");
console.log(" ", await words.count({ text: poem[0] }));

console.log("server stream: one request, many replies");
for await (const hit of words.search({ pattern: "on" })) console.log(" ", hit);

console.log("server stream, left early: break ends the handler");
for await (const n of words.naturals({ from: 1 })) {
  console.log(" ", n);
  if (n === 3) break;
}
console.log("  the handler has ended:", await left.promise);

console.log("client stream: many requests, one reply");
console.log(" ", await words.total(poem.map((text) => ({ text }))));

console.log("bidi: many requests, many replies, each side at its own pace");
async function* questions() {
  for (const text of poem.slice(0, 2)) {
    console.log("  >", text);
    yield { text };
  }
}
for await (const answer of words.shout(questions())) console.log("  <", answer.text);

console.log("one-way: one request, no reply; the caller knows only that it was sent");
await words.note({ text: "remember the fog" });
console.log("  the server noted:", await noted.promise);
