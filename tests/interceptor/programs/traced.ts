/** A chain of three calls in which nobody says `parent`: the active span alone joins them. */
import { Client, Server, service, trace, unary } from "@erpc/erpc";

const Hop = service("demo.Hop", { go: unary<number, string>() });

const server = new Server({ interceptors: [trace()] });
const client = new Client({ endpoints: ["memory://traced"], interceptors: [trace()] });
const self = client.service(Hop);
server.handle(Hop, {
  async go(left) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    return left === 0 ? "there" : await self.go(left - 1);
  },
});
await server.listen("memory://traced");
await self.go(2);
await client.close();
await server.close();
