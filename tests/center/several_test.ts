/** Several centers that know nothing of each other, in virtual time. */
import { assertEquals } from "@std/assert";
import { Center, type CenterOptions, Client, Server, type ServerOptions } from "@erpc/erpc";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";

let scenes = 0;

/** A world of its own: names of endpoints are this scene's, time is virtual. */
function openScene(seed = 1) {
  const platform = virtualPlatform(seed);
  const number = ++scenes;
  const addressOf = (name: string) => `memory://several-${number}-${name}`;
  const stack = new AsyncDisposableStack();
  return {
    platform,
    clock: platform.clock,
    addressOf,
    async center(name: string, options: CenterOptions = {}): Promise<Center> {
      const center = stack.use(new Center({ platform, ...options }));
      await center.listen(addressOf(name));
      return center;
    },
    async server(name: string, centers: string[], options: ServerOptions = {}): Promise<Server> {
      const server = stack.use(new Server({ platform, id: name, center: centers.map(addressOf), ...options }));
      server.handle("who.am", () => name);
      const listening = server.listen(addressOf(`server-${name}`));
      await platform.clock.advance(0);
      await listening;
      return server;
    },
    client(...centers: string[]): Client {
      return stack.use(new Client({ platform, center: centers.map(addressOf) }));
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

const idsOf = (client: Client) => client.stats().services[0].instances.map(({ id }) => id).join();
const whoAnswers = async (client: Client, calls = 4) => {
  const names = [];
  for (let i = 0; i < calls; i++) names.push(await client.call("who.am"));
  return names.sort().join();
};

Deno.test("several centers, a server registers with each, and says how it goes with each", async () => {
  await using scene = openScene();
  const centers = [await scene.center("x"), await scene.center("y")];
  const server = await scene.server("a", ["x", "y", "gone"]);
  for (const center of centers) {
    assertEquals((await center.registry.lookup("who")).instances.map(({ id }) => id), ["a"]);
  }
  const { state, centers: told } = server.registration;
  assertEquals(state, "registered");
  assertEquals(told.map(({ name, state }) => [name, state]), [
    [scene.addressOf("x"), "registered"],
    [scene.addressOf("y"), "registered"],
    [scene.addressOf("gone"), "registering"],
  ]);
  assertEquals(told[2].failures > 0 && told[2].nextAttemptMs! > 0 && /nobody listens/.test(told[2].error!), true);
  assertEquals(told[0].endpoints, [server.endpoint]);
});

Deno.test("X39 several centers, any of them goes, calls go on, and who comes is found through the others", async () => {
  for (const goes of [0, 1]) {
    await using scene = openScene();
    const centers = [await scene.center("x"), await scene.center("y")];
    await scene.server("a", ["x", "y"]);
    const client = scene.client("x", "y");
    assertEquals(await whoAnswers(client), "a,a,a,a");
    await centers[goes].close();
    await scene.server("b", ["x", "y"]);
    await scene.clock.advance(0);
    assertEquals(idsOf(client), "a,b");
    assertEquals(await whoAnswers(client), "a,a,b,b");
    const { watching, staleMs, sources } = client.stats().services[0];
    assertEquals([watching, staleMs], [true, 0]);
    assertEquals(sources.map(({ watching }) => watching), [goes !== 0, goes !== 1]);
    await scene.clock.advance(60_000);
    assertEquals(client.stats().services[0].sources[goes].staleMs, 60_000);
    assertEquals(await whoAnswers(client), "a,a,b,b");
  }
});

Deno.test("X39 several centers, two clients see different ones, and agree within two beats", async () => {
  await using scene = openScene();
  const x = await scene.center("x");
  await scene.center("y");
  await scene.server("a", ["x", "y"]);
  const clients = [scene.client("x"), scene.client("y"), scene.client("x", "y")];
  for (const client of clients) assertEquals(await whoAnswers(client), "a,a,a,a");
  await x.close();
  await scene.server("b", ["x", "y"]);
  await scene.clock.advance(0);
  assertEquals(clients.map(idsOf), ["a", "a,b", "a,b"]);
  await scene.center("x");
  await scene.clock.advance(10_000);
  assertEquals(clients.map(idsOf), ["a,b", "a,b", "a,b"]);
});

Deno.test("several centers, the first is out of reach and the second has nobody yet, a call waits for both, then fails", async () => {
  await using scene = openScene();
  await scene.center("y");
  const client = scene.client("x", "y");
  const error = await client.call("who.am").catch((error) => error);
  assertEquals([error.code, error.executed], ["unavailable", "no"]);
  await scene.server("a", ["y"]);
  await scene.clock.advance(0);
  assertEquals(await client.call("who.am"), "a");
});

Deno.test("a center that does not let a client watch is said to refuse, not to be out of reach; another that does is enough", async () => {
  await using scene = openScene();
  await scene.center("x", { tokens: [{ token: "secret", register: ["*"], watch: ["*"] }] });
  const client = scene.client("x");
  const error = await client.call("who.am").catch((error) => error);
  assertEquals(error.code, "unavailable");
  assertEquals(/the registry does not tell: /.test(error.message), true, error.message);
  await scene.center("y");
  await scene.server("a", ["y"]);
  const both = scene.client("x", "y");
  assertEquals(await both.call("who.am"), "a");
  assertEquals(both.stats().services[0].sources.map(({ watching }) => watching), [false, true]);
});
