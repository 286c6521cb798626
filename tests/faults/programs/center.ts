/**
 * A center as a process. Prints where it listens, and then a line for every connection, and for every change in what it lists: what
 * happened, whom it concerned, and when, in milliseconds. Its argument is `CenterProcessOptions` as JSON.
 */
import { Center } from "@erpc/erpc";
import { runtimePlatform } from "../../../src/core/platform.ts";
import type { CenterProcessOptions } from "../processes.ts";

const { endpoint, ...options }: CenterProcessOptions = JSON.parse(Deno.args[0]);

const tell = (text: string) => {
  const match = /^(Listed|Changed|Doubts|Trusts again|Removed) instance ("[^"]*")/.exec(text);
  if (match !== null) {
    console.log(`${match[1].toLowerCase()} ${JSON.parse(match[2])} at ${runtimePlatform.clock.wall()}`);
  }
};
const nothing = () => {};
const authenticate = () => console.log(`connected at ${runtimePlatform.clock.wall()}`);
const center = new Center({
  ...options,
  authenticate,
  logger: { debug: nothing, info: tell, warn: nothing, error: nothing },
});
await center.listen(endpoint);
console.log(`listening on ${center.endpoint}`);
