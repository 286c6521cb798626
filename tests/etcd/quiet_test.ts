/** An etcd in which nothing happens for long. */
import { assert, assertEquals } from "@std/assert";
import { etcdRegistry, type Fetch } from "../../src/etcd/etcd.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";

/** A gateway of an etcd that is empty and stays so. */
function quietEtcd(): { fetch: Fetch; asked: string[] } {
  const asked: string[] = [];
  const fetch: Fetch = (url, { signal }) => {
    const path = new URL(url).pathname;
    asked.push(path);
    if (path === "/v3/watch") {
      const body = new ReadableStream({
        start: (controller) =>
          signal!.addEventListener("abort", () => controller.error(signal!.reason), { once: true }),
      });
      return Promise.resolve(new Response(body));
    }
    const answer = path === "/v3/kv/txn"
      ? {
        header: { revision: "7" },
        responses: [{ response_range: { kvs: [{ key: "", value: "eA==", mod_revision: "1" }] } }, {
          response_range: {},
        }],
      }
      : {};
    return Promise.resolve(Response.json(answer));
  };
  return { fetch, asked };
}

Deno.test("etcdRegistry, followed for hours in which nothing happens, leaves no listeners behind", async () => {
  const { addEventListener, removeEventListener } = AbortSignal.prototype;
  let listeners = 0;
  const { fetch, asked } = quietEtcd();
  const platform = virtualPlatform(1);
  const registry = etcdRegistry({ endpoints: ["http://127.0.0.1:2379"], fetch, platform });
  try {
    AbortSignal.prototype.addEventListener = function (...args: unknown[]) {
      listeners++;
      return addEventListener.apply(this, args as Parameters<typeof addEventListener>);
    };
    AbortSignal.prototype.removeEventListener = function (...args: unknown[]) {
      listeners--;
      return removeEventListener.apply(this, args as Parameters<typeof removeEventListener>);
    };
    assertEquals((await registry.lookup("*")).instances, []);
    for (let poll = 0; poll < 20; poll++) await platform.clock.advance(5_000);
    const before = { listeners, asked: asked.length };
    for (let poll = 0; poll < 200; poll++) await platform.clock.advance(5_000);
    assert(asked.length - before.asked > 100, "it was not asked whether it is there");
    assert(listeners - before.listeners < 10, `${listeners - before.listeners} more listeners`);
  } finally {
    Object.assign(AbortSignal.prototype, { addEventListener, removeEventListener });
    await registry.close();
  }
});
