// tRPC over HTTP, with the link that gathers calls.
import { createServer } from "node:http";
import { createTRPCClient, httpBatchLink } from "@trpc/client";
import { initTRPC } from "@trpc/server";
import { createHTTPHandler } from "@trpc/server/adapters/standalone";
import { play } from "./peer.mjs";

const t = initTRPC.create();
const router = t.router({
  hello: t.procedure.input((value) => value).query(({ input }) => ({ msg: `hello ${input.name}` })),
});

await play({
  async serve() {
    const server = createServer(createHTTPHandler({ router }));
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    return { address: `http://127.0.0.1:${server.address().port}`, close: () => server.closeAllConnections() };
  },
  connect(url) {
    const client = createTRPCClient({ links: [httpBatchLink({ url, maxURLLength: 8_000 })] });
    return { call: () => client.hello.query({ name: "world" }), close: () => {} };
  },
});
