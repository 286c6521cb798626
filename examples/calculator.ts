/**
 * A contract with types on both sides: a center, a server and a client in one process.
 *
 *     deno run -A examples/calculator.ts
 */
import { Center, Client, RpcError, Server, service, unary } from "@erpc/erpc";

type Pair = { a: number; b: number };

// Usually in a file of its own, which the server's and the client's programs import.
const Calculator = service("demo.Calculator", {
  add: unary<Pair, number>({ idempotent: true }),
  minus: unary<Pair, number>({ idempotent: true }),
  divide: unary<Pair, number>({ idempotent: true }),
});

await using center = new Center();
await center.listen("tcp://127.0.0.1:0"); // port 0 takes any that is free

await using server = new Server({ center: center.endpoint });
server.handle(Calculator, {
  add: ({ a, b }) => a + b,
  minus: ({ a, b }) => a - b,
  divide: ({ a, b }) => {
    if (b === 0) throw new RpcError("invalid_argument", "Cannot divide by zero");
    return a / b;
  },
});
await server.listen();

await using client = new Client({ center: center.endpoint });
const calculator = client.service(Calculator);

console.log("40 + 2 =", await calculator.add({ a: 40, b: 2 }));
console.log("40 − 2 =", await calculator.minus({ a: 40, b: 2 }));
try {
  await calculator.divide({ a: 40, b: 0 });
} catch (error) {
  if (error instanceof RpcError) console.log("40 ÷ 0 :", error.code, "-", error.message);
}
