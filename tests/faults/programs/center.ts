/** A center as a process. Prints where it listens. Its argument is where it is to listen. */
import { Center } from "@erpc/erpc";

const center = new Center();
await center.listen(Deno.args[0]);
console.log(`listening on ${center.endpoint}`);
