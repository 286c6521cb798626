/**
 * One node of a real run: the program of a simulated node, on the runtime's time and chance, with real sockets. Its argument is a
 * `Part` as JSON. It ends by itself when it was told to stop and nothing is open any more; else it leaks.
 */
import { runtimePlatform } from "../../../src/core/platform.ts";
import { systemTransport, type Transport } from "../../../src/transport/transport.ts";
import type { Happening } from "../history.ts";
import { centerProgram, clientProgram, serverProgram, type Site } from "../programs.ts";
import { drawOps, probe, runOp } from "../workload/ops.ts";
import { DONE, GO, IDLE, type Part, READY, realConfigOf } from "./part.ts";

/** How often it is looked at whether this process gets to do anything. */
const LOOK_MS = 20;
/** How much later than that it may be before it counts as standing still. */
const LATE_MS = 15;

const part: Part = JSON.parse(Deno.args[0]);
const { name, kind, life, index, beganAt, port, others } = part;
const config = realConfigOf(part.seed);
const now = () => performance.timeOrigin + performance.now() - beganAt;
const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

const file = Deno.openSync(part.file, { create: true, append: true });
const encoder = new TextEncoder();
let open = 0;
function put(happening: Happening, at = now()): void {
  if (happening.what === "call") open++;
  else if (happening.what === "settled") open--;
  // At once, so that nothing is lost with the process.
  file.writeSync(encoder.encode(JSON.stringify({ at, node: name, life, ...happening }) + "\n"));
}

globalThis.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  console.error(event.reason);
  put({ what: "uncaught", message: String(event.reason?.stack ?? event.reason) });
});

/** Endpoints go by the names of nodes, as in a simulation; each other node is reached through a proxy. */
const transport: Transport = {
  connect(endpoint, options) {
    const { hostname } = new URL(endpoint.replace(/^tcp:/, "http:"));
    return systemTransport.connect(`tcp://127.0.0.1:${others[hostname]}`, options);
  },
  async listen(endpoint) {
    const listener = await systemTransport.listen(`tcp://127.0.0.1:${port}`);
    return { endpoint, accept: () => listener.accept(), close: () => listener.close() };
  },
};

const site: Site = {
  record: (happening) => put(happening as Happening),
  now,
  logger: { debug() {}, info() {}, warn() {}, error() {} },
};
const context = {
  name,
  incarnation: life,
  platform: runtimePlatform,
  transport,
  durable: new Map<string, unknown>(),
  sleep,
};

/** Puts down when this process stands still, because others are at work or it was stopped: what is late then is excused. */
function lookOut(): Disposable {
  let before = now();
  const timer = setInterval(() => {
    const at = now();
    if (at - before > LOOK_MS + LATE_MS) {
      put({ what: "slow" }, before);
      put({ what: "fast" }, at);
    }
    before = at;
  }, LOOK_MS);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

let toldTimes = 0;
const onTold = () => void toldTimes++;
Deno.addSignalListener(GO, onTold);

/** Resolves when the process was told to go on so many times. */
async function told(times: number): Promise<void> {
  while (toldTimes < times) await sleep(20);
}

{
  using _lookOut = lookOut();
  if (kind === "client") {
    await using client = clientProgram(config, site, drawOps(config, index))(context);
    console.log(READY);
    while (now() < config.safetyMs + 200 || open > 0) await sleep(20);
    console.log(IDLE);
    await told(1);
    const methods = ["again", "keep", "down", "both"] as const;
    await Promise.all(methods.map((method) => runOp(client.host, probe(`p${index}.${method}`, method))));
    console.log(DONE);
    await told(2);
  } else {
    await using _made = await (kind === "center" ? centerProgram(site)(context) : serverProgram(config, site)(context));
    console.log(READY);
    await told(1);
  }
}
Deno.removeSignalListener(GO, onTold);
file.close();
