/** A server of the demo, as a process of its own. Arguments: the center's endpoint, or a store, and the server's name. */
import { Server } from "@erpc/erpc";
import { countWords, findLines, Text } from "./contract.ts";
import { serveUntilAlone } from "./process.ts";
import { registryIn } from "./stores.ts";

const [where, id] = Deno.args;
await using registry = where.startsWith("tcp:") ? undefined : await registryIn(where);
await using server = new Server({ id, registry, center: registry === undefined ? where : undefined });
server.handle(Text, {
  count: ({ text }) => ({ words: countWords(text), by: id }),
  async *search({ text, pattern }) {
    yield* findLines(text, pattern);
  },
});
await server.listen();
await serveUntilAlone(server.endpoint);
