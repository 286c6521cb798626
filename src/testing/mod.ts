/**
 * For tests: suites that check parts of your own (a codec, a balancer, a registry), seeded chance, and a clock that stands
 * still until it is told to move.
 *
 * ```ts
 * import { codecContract } from "@erpc/erpc/testing";
 * import { json } from "@erpc/erpc";
 *
 * for (const { name, run } of codecContract(json())) Deno.test(`json: ${name}`, run);
 * ```
 *
 * @module
 */

export { codecContract } from "./codec_contract.ts";
export type { CodecCase, CodecContractOptions, CodecKind } from "./codec_contract.ts";
export { balancerContract } from "./balancer_contract.ts";
export { registryContract } from "./registry_contract.ts";
export type { RegistryHooks, RegistrySubject } from "./registry_contract.ts";
export type { ContractCase } from "./contract.ts";
export { seededRandom } from "./seeded_random.ts";
export { VirtualClock, virtualPlatform } from "./virtual_clock.ts";
