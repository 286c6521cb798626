/** A center of the demo, as a process of its own. Argument: the store that it stands before; without one it has a memory. */
import { Center } from "@erpc/erpc";
import { serveUntilAlone } from "./process.ts";
import { registryIn } from "./stores.ts";

const [store] = Deno.args;
await using registry = store === undefined ? undefined : await registryIn(store);
await using center = new Center({ registry });
await center.listen("tcp://127.0.0.1:0");
await serveUntilAlone(center.endpoint);
