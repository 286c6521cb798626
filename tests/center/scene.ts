/** A center with virtual time, and registries that ask it. */
import { Center, type CenterOptions } from "@erpc/erpc";
import { CenterRegistry } from "../../src/center/center_registry.ts";
import { Client } from "../../src/client/client.ts";
import { RpcError } from "../../src/core/error.ts";
import type { MemoryRegistry } from "../../src/registry/memory_registry.ts";
import { virtualPlatform } from "../../src/testing/virtual_clock.ts";
import { systemTransport } from "../../src/transport/transport.ts";
import { makeSettings } from "../support/settings.ts";

let scenes = 0;

export async function openCenter(options: CenterOptions = {}, endpoint = `memory://center-scene-${++scenes}`) {
  const platform = virtualPlatform(scenes);
  const stack = new AsyncDisposableStack();
  const lines: string[] = [];
  const line = (text: string) => lines.push(text);
  const logger = { debug: () => {}, info: line, warn: line, error: line };
  const center = stack.use(new Center({ platform, logger, ...options }));
  await center.listen(endpoint);
  return {
    center,
    clock: platform.clock,
    lines,
    /** Its own memory. */
    memory: center.registry as MemoryRegistry,
    /** A registry over a connection of its own, with a token. */
    registry(token = ""): CenterRegistry {
      const settings = makeSettings({ platform, token });
      stack.adopt(settings.timers, (timers) => timers[Symbol.dispose]());
      const registry = new CenterRegistry(center.endpoint, settings, systemTransport);
      stack.defer(() => registry.close());
      return registry;
    },
    client(token = ""): Client {
      return stack.use(new Client({ endpoints: [center.endpoint], token, platform, retry: false }));
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** What something ends with: a code, or what it gives. */
export function outcomeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then((value) => value, (error) => error instanceof RpcError ? error.code : error);
}

/** The first event of a watch, or the code that it ends with. */
export async function firstOf(events: AsyncIterable<unknown>): Promise<unknown> {
  const iterator = events[Symbol.asyncIterator]();
  try {
    return await outcomeOf(iterator.next().then(({ value }) => value?.kind));
  } finally {
    await iterator.return?.();
  }
}
