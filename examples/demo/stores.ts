/** The stores that the demo runs on besides the memory of a center, started from what Debian's packages install. */
import type { Registry } from "@erpc/erpc";
import { etcdRegistry } from "@erpc/erpc/etcd";
import { redisClient, redisRegistry } from "@erpc/erpc/redis";
import { zookeeperRegistry } from "@erpc/erpc/zookeeper";

/** Not written where it is imported, or it would be fetched for the other demos too. */
const ZOOKEEPER_CLIENT = "node-zookeeper-client";

interface Store {
  readonly program: string;
  readonly package: string;
  /** The arguments that make it listen on a port, and keep what it keeps in a folder. */
  readonly args: (port: number, folder: string) => string[];
}

const STORES: Readonly<Record<string, Store>> = {
  etcd: {
    program: "/usr/bin/etcd",
    package: "etcd-server",
    args: (port, folder) => {
      const at = `http://127.0.0.1:${port}`;
      const peers = `http://127.0.0.1:${freePort()}`;
      return [
        ...["--data-dir", `${folder}/data`, "--logger", "zap", "--log-level", "error"],
        ...["--listen-client-urls", at, "--advertise-client-urls", at],
        ...["--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers],
        ...["--initial-cluster", `default=${peers}`],
      ];
    },
  },
  redis: {
    program: "/usr/bin/redis-server",
    package: "redis-server",
    args: (port, folder) => ["--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--dir", folder],
  },
  zookeeper: {
    program: "/usr/bin/java",
    package: "zookeeper",
    args: (port, folder) => {
      const settings = [`dataDir=${folder}/data`, `clientPort=${port}`, "clientPortAddress=127.0.0.1"];
      Deno.writeTextFileSync(`${folder}/zoo.cfg`, [...settings, "admin.enableServer=false", ""].join("\n"));
      const classes = "/etc/zookeeper/conf:/usr/share/java/zookeeper.jar";
      const main = "org.apache.zookeeper.server.quorum.QuorumPeerMain";
      return [`-Dzookeeper.log.dir=${folder}`, "-cp", classes, main, `${folder}/zoo.cfg`];
    },
  },
};

/** Why the demo can't run on a store; nothing when it can. */
export function obstacleTo(name: string): string | undefined {
  const store = STORES[name];
  if (store === undefined) return `there is no store "${name}"; there are ${Object.keys(STORES).join(", ")}`;
  const file = name === "zookeeper" ? "/usr/share/java/zookeeper.jar" : store.program;
  try {
    Deno.statSync(file);
  } catch {
    return `${file} is not there; on Debian, "apt-get install ${store.package}" brings it`;
  }
}

/** Starts a store. Whoever starts it ends it, and removes the folder. */
export async function startStore(name: string): Promise<{ process: Deno.ChildProcess; folder: string; url: string }> {
  const { program, args } = STORES[name];
  const folder = Deno.makeTempDirSync({ prefix: `erpc-demo-${name}-` });
  const port = freePort();
  const process = new Deno.Command(program, { args: args(port, folder), stdin: "null", stdout: "null", stderr: "null" })
    .spawn();
  const deadline = performance.now() + 30_000;
  for (;;) {
    try {
      using _connection = await Deno.connect({ hostname: "127.0.0.1", port });
      return { process, folder, url: `${name}://127.0.0.1:${port}` };
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** The registry that a store is. */
export async function registryIn(url: string): Promise<Registry & AsyncDisposable> {
  const { protocol, host } = new URL(url);
  switch (protocol) {
    case "etcd:":
      return etcdRegistry({ endpoints: [`http://${host}`] });
    case "redis:":
      // It ends with the process.
      return redisRegistry({ client: redisClient(url) });
    default: {
      const { default: zookeeper } = await import(ZOOKEEPER_CLIENT);
      return zookeeperRegistry({ client: () => zookeeper.createClient(host, { sessionTimeout: 10_000 }) });
    }
  }
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
