/** A start at which no center can be reached, from what an earlier process knew. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Center, Client, type ClientOptions, MemoryRegistry, RpcError, Server } from "@erpc/erpc";
import type { TextStore } from "../../src/core/store.ts";
import type { Instance } from "../../src/registry/instance.ts";
import type { WatchEvent } from "../../src/registry/registry.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { fileStore } from "../../src/transport/file_store.ts";
import { systemTransport } from "../../src/transport/transport.ts";

/** A store in memory that can be looked into. */
class Shelf implements TextStore {
  readonly texts = new Map<string, string>();
  saves = 0;
  load(name: string): Promise<string | undefined> {
    return Promise.resolve(this.texts.get(name));
  }
  save(name: string, text: string): Promise<void> {
    this.saves++;
    this.texts.set(name, text);
    return Promise.resolve();
  }
}

let scenes = 0;

function openScene() {
  const platform = virtualPlatform(1);
  const number = ++scenes;
  const addressOf = (name: string) => `memory://cache-${number}-${name}`;
  const stack = new AsyncDisposableStack();
  const warnings: string[] = [];
  const servers: Server[] = [];
  const nothing = () => {};
  const logger = { debug: nothing, info: nothing, error: nothing, warn: (text: string) => warnings.push(text) };
  return {
    platform,
    clock: platform.clock,
    shelf: new Shelf(),
    warnings,
    servers,
    addressOf,
    async center(name: string) {
      const center = stack.use(new Center({ platform }));
      await center.listen(addressOf(name));
      return center;
    },
    async server(name: string, ...centers: string[]) {
      const server = stack.use(new Server({ platform, id: name, center: centers.map(addressOf) }));
      server.handle("who.am", () => name);
      await server.listen(addressOf(`server-${name}`));
      servers.push(server);
      return server;
    },
    client(cache: ClientOptions["cache"], centers = ["x"], options: ClientOptions = {}) {
      return stack.use(new Client({ platform, logger, cache, center: centers.map(addressOf), ...options }));
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** A scene in which a client has heard of servers a and b, and everything but these is gone. */
async function afterOutage() {
  const scene = openScene();
  const center = await scene.center("x");
  await scene.server("a", "x");
  await scene.server("b", "x");
  const client = scene.client(scene.shelf);
  await client.call("who.am");
  await client.close();
  await center.close();
  await scene.clock.advance(60_000);
  return scene;
}

const service = (client: Client) => client.stats().services[0];

Deno.test("a client that starts without its center calls what an earlier one knew, and says how old that is", async () => {
  await using scene = await afterOutage();
  const client = scene.client(scene.shelf);
  assertEquals([await client.call("who.am"), await client.call("who.am")].sort(), ["a", "b"]);
  const { watching, staleMs, instances, sources } = service(client);
  assertEquals([watching, instances.length, sources[0].instances], [false, 2, 2]);
  assert(staleMs >= 60_000 && staleMs < 62_000, `${staleMs}`);
  assert(
    scene.warnings.some((text) =>
      /Using what memory:.* listed of service "who" 6\d s ago: it can't be heard yet/.test(text)
    ),
    scene.warnings.join(),
  );
  await scene.center("x");
  await scene.clock.advance(10_000);
  assertEquals([service(client).watching, service(client).staleMs, service(client).instances.length], [true, 0, 2]);
});

Deno.test("a center that is reached says who there is, and what an earlier process knew is not looked at", async () => {
  await using scene = await afterOutage();
  await scene.center("x");
  await scene.clock.advance(30_000); // it has warmed up
  await scene.server("c", "x");
  let loads = 0;
  const store: TextStore = {
    load: (name) => {
      loads++;
      return scene.shelf.load(name);
    },
    save: () => Promise.resolve(),
  };
  const client = scene.client(store);
  await client.call("who.am");
  await scene.clock.advance(5_000);
  assertEquals(loads, 0);
});

Deno.test("X7 a center that has only just started, what an earlier process knew is called until it has warmed up", async () => {
  await using scene = await afterOutage();
  await scene.center("x");
  const [a, b] = scene.servers;
  await a.close();
  const client = scene.client(scene.shelf);
  assertEquals(await client.call("who.am"), "b");
  assertEquals(service(client).instances.map(({ id }) => id), ["a", "b"]);
  const { watching, staleMs, sources: [{ warming }] } = service(client);
  assertEquals([watching, staleMs, warming], [true, 0, true]);
  await scene.clock.advance(30_000);
  assertEquals(service(client).instances.map(({ id }) => id), ["b"]);
  assertEquals(b.registration.state, "registered");
});

Deno.test("a center that does not answer is waited for, for a second", async () => {
  await using scene = await afterOutage();
  const never = () => new Promise<never>((_, reject) => scene.clock.timer(1e6, () => reject(new Error("late"))));
  const transport = {
    ...systemTransport,
    connect: (endpoint: string) => endpoint === scene.addressOf("x") ? never() : systemTransport.connect(endpoint),
  };
  const client = scene.client(scene.shelf, ["x"], { transport });
  let answered = false;
  const call = client.call("who.am").then(() => answered = true);
  await scene.clock.advance(990);
  assertEquals(answered, false);
  await scene.clock.advance(20);
  assertEquals(answered, true);
  await call;
});

Deno.test("what is torn, changed, or somebody else's is passed over with a warning, and the client goes on without it", async () => {
  await using scene = await afterOutage();
  const [[name, text]] = scene.shelf.texts;
  const flipped = text.replace("server-a", "server-c");
  const other = text.replace(/"service":"who"/, '"service":"why"');
  const broken = [
    "",
    "\n",
    "{}",
    text.slice(1),
    flipped,
    other,
    `${text}x`,
    text + text,
    "erpc listing 2" + text.slice(14),
  ];
  for (let cut = 1; cut < text.length; cut += 7) broken.push(text.slice(0, -cut));
  for (const wrong of broken) {
    scene.shelf.texts.set(name, wrong);
    scene.warnings.length = 0;
    await using client = scene.client(scene.shelf);
    const error = await assertRejects(() => client.call("who.am"), RpcError, "registry can't be reached");
    assertEquals(error.code, "unavailable");
    assert(scene.warnings.some((text) => text.includes("going on without")), `no warning about ${wrong}`);
  }
});

Deno.test("a store that fails is passed over, both ways, with a warning", async () => {
  await using scene = await afterOutage();
  const store: TextStore = {
    load: () => Promise.reject(new Error("no such disk")),
    save: () => Promise.reject(new Error("full")),
  };
  await using client = scene.client(store);
  await assertRejects(() => client.call("who.am"), RpcError, "registry can't be reached");
  assert(scene.warnings.some((text) => text.includes("no such disk")));
  await scene.center("x");
  await scene.server("c", "x");
  await scene.clock.advance(15_000);
  assertEquals(await client.call("who.am") !== undefined, true);
  assert(scene.warnings.some((text) => text.includes("Cannot keep what is listed")), scene.warnings.join());
});

/** A registry of which a test says what it says. */
function scripted() {
  const queue: WatchEvent[] = [];
  let wake = () => {};
  return {
    say(event: WatchEvent) {
      queue.push(event);
      wake();
    },
    registry: Object.assign(new MemoryRegistry(), {
      async *watch(_service: string, { signal }: { signal?: AbortSignal } = {}) {
        signal?.addEventListener("abort", () => wake());
        while (!signal?.aborted) {
          const event = queue.shift();
          if (event !== undefined) yield event;
          else await new Promise<void>((resolve) => wake = resolve);
        }
      },
    }),
  };
}

const instance = (id: string): Instance => ({
  id,
  incarnation: 1,
  endpoints: [`memory://cache-${id}`],
  services: ["who"],
  zone: "",
  weight: 1,
  version: "",
  metadata: {},
});

Deno.test("X7 a registry that is still warming takes nothing away from what an earlier process knew, until it has warmed up", async () => {
  await using scene = openScene();
  const shelf = new Shelf();
  const place = { epoch: "e", revision: 1 };
  const before = scripted();
  const client = new Client({ platform: scene.platform, registry: before.registry, cache: shelf, retry: false });
  const first = client.call("who.am").catch(() => {});
  before.say({ kind: "snapshot", ...place, instances: [instance("a"), instance("b")], warming: false });
  await first;
  await client.close();
  assertEquals(shelf.saves, 1);

  const after = scripted();
  await using next = new Client({ platform: scene.platform, registry: after.registry, cache: shelf, retry: false });
  const ids = () => service(next).instances.map(({ id }) => id).join();
  const call = next.call("who.am").catch(() => {});
  await scene.clock.advance(1_010);
  await call;
  assertEquals(ids(), "a,b");
  after.say({ kind: "snapshot", epoch: "f", revision: 1, instances: [instance("b")], warming: true });
  await scene.clock.advance(10);
  assertEquals(ids(), "a,b");
  after.say({ kind: "changes", epoch: "f", revision: 1, changes: [], warmed: true });
  await scene.clock.advance(10);
  assertEquals(ids(), "b");
  await scene.clock.advance(2_000);
  assert(![...shelf.texts.values()][0].includes('"a"'));
});

Deno.test("what an earlier process knew of a center that is gone is a last resort, while another can be heard", async () => {
  await using scene = openScene();
  const x = await scene.center("x");
  const y = await scene.center("y");
  await scene.server("a", "x");
  await scene.server("b", "y");
  const first = scene.client(scene.shelf, ["x", "y"]);
  await first.call("who.am");
  await first.close();
  await y.close();
  const client = scene.client(scene.shelf, ["x", "y"]);
  assertEquals(await client.call("who.am"), "a");
  await scene.clock.advance(1_010);
  for (let i = 0; i < 4; i++) assertEquals(await client.call("who.am"), "a");
  assertEquals(service(client).instances.map(({ id, doubtful }) => [id, doubtful]), [["a", false], ["b", true]]);
  await x.close();
  await scene.clock.advance(0);
  assertEquals(service(client).instances.map(({ id, doubtful }) => [id, doubtful]), [["a", false], ["b", false]]);
});

Deno.test("a center that can be heard lists nobody, what an earlier process knew of one that is gone is called", async () => {
  await using scene = openScene();
  await scene.center("x");
  const y = await scene.center("y");
  await scene.server("b", "y");
  const first = scene.client(scene.shelf, ["x", "y"]);
  await first.call("who.am");
  await first.close();
  await y.close();
  const client = scene.client(scene.shelf, ["x", "y"]);
  assertEquals(await client.call("who.am"), "b");
});

Deno.test("what is listed is saved a second after it changed, once for many changes, and not while there is nothing", async () => {
  await using scene = openScene();
  await scene.center("x");
  const client = scene.client(scene.shelf);
  await client.call("who.am").catch(() => {});
  await scene.clock.advance(5_000);
  assertEquals(scene.shelf.saves, 0);
  const servers = [];
  for (const name of ["a", "b", "c"]) servers.push(await scene.server(name, "x"));
  await scene.clock.advance(2_000);
  assertEquals(scene.shelf.saves, 1);
  assertEquals([...scene.shelf.texts.values()][0].match(/"id":"[abc]"/g)?.length, 3);
  for (const server of servers) await server.close();
  await scene.clock.advance(5_000);
  assertEquals(service(client).instances.length, 0);
  assertEquals(scene.shelf.saves, 1, "the last that was known is worth more than nothing");
});

Deno.test("a folder of files, two clients share it, and nothing is left beside the files", async () => {
  const folder = `${await Deno.makeTempDir()}/deep/cache`;
  const center = new Center();
  await center.listen("tcp://127.0.0.1:0");
  await using server = new Server({ center: center.endpoint, id: "a" });
  server.handle("who.am", () => "a");
  await server.listen();
  const clients = [1, 2].map(() => new Client({ center: center.endpoint, cache: folder }));
  for (const client of clients) assertEquals(await client.call("who.am"), "a");
  await Promise.all(clients.map((client) => client.close()));
  const files = [...Deno.readDirSync(folder)].map(({ name }) => name);
  assertEquals(files.length, 1);
  assert(/^tcp-127.0.0.1-\d+-who-[\da-f]{8}\.txt$/.test(files[0]), files[0]);
  if (Deno.build.os !== "windows") assertEquals(Deno.statSync(`${folder}/${files[0]}`).mode! & 0o077, 0);
  await center.close();
  await using cold = new Client({ center: center.endpoint, cache: folder });
  assertEquals(await cold.call("who.am"), "a");
});

Deno.test("fileStore, many save at once, the file is always one of them and whole", async () => {
  const folder = await Deno.makeTempDir();
  const store = fileStore(folder);
  assertEquals(await store.load("a"), undefined);
  const texts = Array.from({ length: 20 }, (_, i) => String(i).repeat(50_000));
  const read: (string | undefined)[] = [];
  await Promise.all(texts.map(async (text) => {
    await store.save("a", text);
    read.push(await store.load("a"));
  }));
  assert(read.every((text) => texts.includes(text!)));
  assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["a"]);
});

Deno.test("a cache that makes no sense is misuse", () => {
  const wrong: ClientOptions[] = [
    { cache: "file", endpoints: ["tcp://127.0.0.1:1"] },
    { cache: "file", registry: new MemoryRegistry() },
    { cache: "" },
    { cache: {} as TextStore },
    { cache: 1 as unknown as string },
  ];
  for (const options of wrong) assertThrows(() => new Client(options), TypeError, "Cannot keep a cache");
});

Deno.test('"file" is a folder among the caches of this user', async () => {
  const before = Deno.env.get("XDG_CACHE_HOME");
  const home = await Deno.makeTempDir();
  Deno.env.set("XDG_CACHE_HOME", home);
  try {
    await using center = new Center();
    await center.listen("tcp://127.0.0.1:0");
    await using server = new Server({ center: center.endpoint });
    server.handle("who.am", () => "a");
    await server.listen();
    const client = new Client({ center: center.endpoint, cache: "file" });
    await client.call("who.am");
    await client.close();
    if (Deno.build.os === "linux") assertEquals([...Deno.readDirSync(`${home}/erpc`)].length, 1);
  } finally {
    if (before === undefined) Deno.env.delete("XDG_CACHE_HOME");
    else Deno.env.set("XDG_CACHE_HOME", before);
  }
});
