import type { Instance } from "../registry/instance.ts";
import type { Registry } from "../registry/registry.ts";
import type { RuleEvent, RuleWatchOptions } from "../routing/rule_book.ts";
import { parseEndpoint } from "../transport/endpoint.ts";

/** Tells of routing rules. */
export interface RuleSource {
  /** Follows them. Ends with an error when they can't be heard any more. */
  watchRules(options: RuleWatchOptions): AsyncIterable<RuleEvent>;
}

/** What a cluster needs of a registry. One that tells of routing rules, too, is listened to. */
export interface Source extends Pick<Registry, "watch" | "close">, Partial<RuleSource> {
  /** What it is called in logs and figures; unique among those of one client. */
  readonly name: string;
  /** Whether the order in which it lists instances means something. */
  readonly ordered?: boolean;
}

/** A registry that somebody else made, and closes. */
export function sourceOf(registry: Pick<Registry, "watch"> & Partial<RuleSource>): Source {
  return {
    ...registry.watchRules !== undefined && { watchRules: (options) => registry.watchRules!(options) },
    name: "registry",
    watch: (service, options) => registry.watch(service, options),
    close: () => Promise.resolve(),
  };
}

/** A source that always lists the same endpoints, whatever the service. @throws {TypeError} when one can't be parsed */
export function fixedSource(endpoints: readonly string[]): Source {
  if (!Array.isArray(endpoints)) throw new TypeError("Cannot call anybody: endpoints must be a list of addresses");
  if (endpoints.length === 0) throw new TypeError("Cannot call anybody: the list of endpoints is empty");
  const instances = [...new Set(endpoints)].map((endpoint): Instance => {
    parseEndpoint(endpoint);
    return {
      id: endpoint,
      incarnation: 0,
      endpoints: [endpoint],
      services: [],
      zone: "",
      weight: 1,
      version: "",
      metadata: {},
    };
  });
  return {
    name: "endpoints",
    ordered: true,
    async *watch(_service, options = {}) {
      yield { kind: "snapshot", epoch: "fixed", revision: 0, instances, warming: false };
      const { signal } = options;
      if (signal?.aborted) return;
      await new Promise<void>((resolve) => signal?.addEventListener("abort", () => resolve(), { once: true }));
    },
    close: () => Promise.resolve(),
  };
}
