/** The center of the demo, as a process of its own. */
import { Center } from "@erpc/erpc";
import { serveUntilAlone } from "./process.ts";

await using center = new Center();
await center.listen("tcp://127.0.0.1:0");
await serveUntilAlone(center.endpoint);
