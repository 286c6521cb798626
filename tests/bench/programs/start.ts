/** From nothing to the first answer: prints how many milliseconds importing the kit took, and the first call after it. */
const begun = performance.now();
const { Client, Server } = await import("../../../mod.ts");
const imported = performance.now();
const server = new Server();
server.handle("bench.hello", ({ name }) => ({ msg: `hello ${name}` }));
await server.listen("tcp://127.0.0.1:0");
const client = new Client({ endpoints: [server.endpoint] });
await client.call("bench.hello", { name: "world" });
const answered = performance.now();
console.log(JSON.stringify({ importMs: imported - begun, callMs: answered - imported }));
await client.close();
await server.close();

export {};
