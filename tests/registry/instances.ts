import type { Instance } from "../../src/registry/instance.ts";

/** An instance like any other but for its id and what is said. */
export function instanceOf(id: string, differences: Partial<Instance> = {}): Instance {
  return {
    id,
    incarnation: 1,
    endpoints: ["tcp://10.0.0.7:4000"],
    services: ["demo.Words"],
    zone: "",
    weight: 1,
    version: "",
    metadata: {},
    ...differences,
  };
}
