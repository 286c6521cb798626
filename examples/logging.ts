/**
 * Where the kit reports things: nowhere, unless it is given a logger, which is any object with debug, info, warn and error.
 *
 *     deno run -A examples/logging.ts
 */
import { Client, type Logger, Server } from "@erpc/erpc";

// A logger of @std/log fits as it is:
//
//     import { getLogger } from "jsr:@std/log";
//     const server = new Server({ logger: getLogger("erpc") });
//
// What the kit adds to a message, above all the cause of a failure, is in `args` of the LogRecord: a formatter prints it or not.
// This object has the same shape, and like a level of @std/log it leaves out what is below `info`.
const brief: Logger = {
  debug: () => {},
  info: (message) => console.log("info ", message),
  warn: (message) => console.log("warn ", message),
  error: (message, ...details) => console.log("error", message, ...details.map(String)),
};

/** Runs a server with this logger, and calls a handler that fails. */
async function run(logger: Logger): Promise<void> {
  await using server = new Server({ logger });
  server.handle("demo.fail", () => {
    throw new Error("the disk is full");
  });
  await server.listen();
  await using client = new Client({ endpoints: [server.endpoint] });
  await client.call("demo.fail").catch((error) => console.log("      the caller sees only:", error.message));
}

console.log("console:");
await run(console);
console.log();
console.log("an object of the same shape:");
await run(brief);
