/** A store for the demo, which ends with this process. Argument: its name. */
import { serveUntilAlone } from "./process.ts";
import { startStore } from "./stores.ts";

const { process, folder, url } = await startStore(Deno.args[0]);
let ending: Promise<void> | undefined;
const end = () =>
  ending ??= (async () => {
    process.kill("SIGKILL");
    await process.status;
    await Deno.remove(folder, { recursive: true });
    Deno.exit();
  })();
Deno.addSignalListener("SIGTERM", end);
await serveUntilAlone(url);
await end();
