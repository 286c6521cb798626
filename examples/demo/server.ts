/** A server of the demo, as a process of its own. Arguments: the center's endpoint, and the server's name. */
import { Server } from "@erpc/erpc";
import { countWords, findLines, Text } from "./contract.ts";
import { serveUntilAlone } from "./process.ts";

const [center, id] = Deno.args;
await using server = new Server({ center, id });
server.handle(Text, {
  count: ({ text }) => ({ words: countWords(text), by: id }),
  async *search({ text, pattern }) {
    yield* findLines(text, pattern);
  },
});
await server.listen();
await serveUntilAlone(server.endpoint);
