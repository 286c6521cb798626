/** The stores of the tests, each a process of its own on a free port, started from what Debian's packages install. */

/** Programs that are looked for, and the package that each is in. */
const PACKAGES = {
  etcd: { program: "etcd", package: "etcd-server" },
  Redis: { program: "redis-server", package: "redis-server" },
  ZooKeeper: { program: "/usr/share/zookeeper/bin/zkServer.sh", package: "zookeeper" },
} as const;

/** A store that can be started. */
export type StoreName = keyof typeof PACKAGES;

/** Whether a store is installed. */
export function isInstalled(name: StoreName): boolean {
  const { program } = PACKAGES[name];
  const places = program.startsWith("/") ? [program] : ["/usr/bin", "/usr/local/bin"].map((at) => `${at}/${program}`);
  return places.some((place) => {
    try {
      return Deno.statSync(place).isFile;
    } catch {
      return false;
    }
  });
}

/** A test that needs a store; where it is not installed, it is ignored by a name that says so. */
export function storeTest(
  store: StoreName,
  name: string,
  fn: () => Promise<void>,
  options: { sanitize?: boolean } = {},
): void {
  const { sanitize = true } = options;
  const missing = !isInstalled(store);
  Deno.test({
    name: missing ? `skipped: ${store} is not installed (${PACKAGES[store].package}): ${name}` : name,
    ignore: missing,
    sanitizeOps: sanitize,
    sanitizeResources: sanitize,
    fn,
  });
}

/** A store that was started. Whoever starts one disposes it. */
export class StoreProcess implements AsyncDisposable {
  readonly #command: readonly string[];
  readonly #env: Record<string, string>;
  readonly #isReady: () => Promise<boolean>;
  readonly #folder: string;
  /** Where it is reached. */
  readonly port: number;
  #process: Deno.ChildProcess | undefined;
  #said: Promise<string> = Promise.resolve("");

  constructor(
    command: readonly string[],
    folder: string,
    port: number,
    isReady: () => Promise<boolean>,
    env: Record<string, string> = {},
  ) {
    this.#command = command;
    this.#env = env;
    this.#folder = folder;
    this.port = port;
    this.#isReady = isReady;
  }

  /** Its process. @throws {Error} while it does not run */
  get pid(): number {
    if (this.#process === undefined) throw new Error(`${this.#command[0]} does not run`);
    return this.#process.pid;
  }

  /** Starts it, with what it kept when it was stopped or killed before, and waits until it answers. */
  async start(): Promise<void> {
    this.spawn();
    await this.ready();
  }

  /** Starts it, and waits for nothing. */
  spawn(): void {
    const [program, ...args] = this.#command;
    const process = new Deno.Command(program, { args, env: this.#env, stdin: "null", stdout: "piped", stderr: "piped" })
      .spawn();
    this.#process = process;
    this.#said = Promise.all([process.stdout, process.stderr].map((said) => new Response(said).text())).then((said) =>
      said.join("")
    );
  }

  /** Waits until it answers. Rejects when it ends instead. */
  async ready(): Promise<void> {
    const process = this.#process!;
    let ended = false;
    void process.status.then(() => ended = true);
    for (let tries = 0; tries < 1_000; tries++) {
      if (ended) throw new Error(`${this.#command[0]} ended: ${await this.#said}`);
      if (await this.#isReady().catch(() => false)) return;
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    throw new Error(`${this.#command[0]} does not answer`);
  }

  /** Makes it stand still until it gets SIGCONT; it answers nobody and refuses nobody. */
  pause(): void {
    this.#process!.kill("SIGSTOP");
  }

  /** Lets it go on. */
  resume(): void {
    this.#process!.kill("SIGCONT");
  }

  /** Ends it without a warning. What it keeps on disk is kept. */
  async kill(): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    if (process === undefined) return;
    process.kill("SIGKILL");
    await process.status;
    await this.#said;
  }

  /** Removes what it kept on disk. It must have been ended. */
  async forget(): Promise<void> {
    await Deno.remove(`${this.#folder}/data`, { recursive: true });
  }

  /** Ends it, and removes what it kept. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** Starts one etcd. */
export async function startEtcd(args: readonly string[] = []): Promise<StoreProcess> {
  const [port, peerPort] = freePorts(2);
  const etcd = etcdProcess("one", port, peerPort, [["one", peerPort]], args);
  await etcd.start();
  return etcd;
}

/** Starts a cluster of three etcds. */
export async function startEtcdCluster(): Promise<StoreProcess[]> {
  const ports = freePorts(6);
  const peers = ["one", "two", "three"].map((name, n): [string, number] => [name, ports[3 + n]]);
  const members = peers.map(([name, peerPort], n) => etcdProcess(name, ports[n], peerPort, peers));
  for (const member of members) member.spawn();
  await Promise.all(members.map((member) => member.ready()));
  return members;
}

function etcdProcess(
  name: string,
  port: number,
  peerPort: number,
  peers: readonly [string, number][],
  args: readonly string[] = [],
): StoreProcess {
  const folder = Deno.makeTempDirSync({ prefix: "erpc-etcd-" });
  const command = [
    "etcd",
    ...["--name", name, "--data-dir", `${folder}/data`, "--logger", "zap", "--log-level", "error"],
    ...["--initial-cluster", peers.map(([name, port]) => `${name}=http://127.0.0.1:${port}`).join()],
    ...["--listen-peer-urls", `http://127.0.0.1:${peerPort}`],
    ...["--initial-advertise-peer-urls", `http://127.0.0.1:${peerPort}`],
    ...(args.length > 0 ? [] : [
      ...["--listen-client-urls", `http://127.0.0.1:${port}`],
      ...["--advertise-client-urls", `http://127.0.0.1:${port}`],
    ]),
    ...args.map((arg) => arg.replaceAll("PORT", String(port))),
  ];
  const isReady = async () => {
    if (args.length > 0) return await connects(port);
    const response = await fetch(`http://127.0.0.1:${port}/health`);
    return (await response.json()).health === "true";
  };
  return new StoreProcess(command, folder, port, isReady);
}

/** Starts a Redis that keeps nothing on disk. */
export async function startRedis(args: readonly string[] = []): Promise<StoreProcess> {
  const [port] = freePorts(1);
  const folder = await Deno.makeTempDir({ prefix: "erpc-redis-" });
  const command = [
    "redis-server",
    ...["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder, "--loglevel", "warning"],
    ...args.map((arg) => arg.replaceAll("PORT", String(port))),
  ];
  const isReady = () => args.includes("--tls-port") ? connects(port) : answers(port, "PING\r\n", /^\+PONG|^-NOAUTH/);
  const redis = new StoreProcess(command, folder, port, isReady);
  await redis.start();
  return redis;
}

/** Starts a ZooKeeper. */
export async function startZooKeeper(): Promise<StoreProcess> {
  const [port] = freePorts(1);
  const folder = await Deno.makeTempDir({ prefix: "erpc-zookeeper-" });
  const settings = {
    dataDir: `${folder}/data`,
    clientPort: port,
    clientPortAddress: "127.0.0.1",
    tickTime: 500,
    maxClientCnxns: 0,
    "admin.enableServer": false,
    "4lw.commands.whitelist": "srvr",
  };
  const config = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`).join("");
  await Deno.writeTextFile(`${folder}/zoo.cfg`, config);
  const classes = "/etc/zookeeper/conf:/usr/share/java/zookeeper.jar";
  const command = [
    "java",
    ...["-Xmx256m", "-Dzookeeper.log.dir=" + folder, "-cp", classes],
    "org.apache.zookeeper.server.quorum.QuorumPeerMain",
    `${folder}/zoo.cfg`,
  ];
  const zookeeper = new StoreProcess(command, folder, port, () => answers(port, "srvr", /^Zookeeper version/));
  await zookeeper.start();
  return zookeeper;
}

/** Whether something accepts connections. */
async function connects(port: number): Promise<boolean> {
  using _connection = await Deno.connect({ hostname: "127.0.0.1", port });
  return true;
}

/** Whether what is asked in plain text is answered so. */
async function answers(port: number, question: string, answer: RegExp): Promise<boolean> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(new TextEncoder().encode(question));
  const said = new Uint8Array(100);
  const length = await connection.read(said);
  return answer.test(new TextDecoder().decode(said.subarray(0, length ?? 0)));
}

/** Ports that are free now; all were held at once, so that no two are the same. */
function freePorts(count: number): number[] {
  const listeners = Array.from({ length: count }, () => Deno.listen({ hostname: "127.0.0.1", port: 0 }));
  const ports = listeners.map((listener) => (listener.addr as Deno.NetAddr).port);
  for (const listener of listeners) listener.close();
  return ports;
}
