/**
 * For tests. Of services: an in-memory pair of client and handlers ({@link testPair}), a clock that stands still until it is
 * told to move, seeded chance, and a whole world of nodes with a faulty network between them ({@link Simulation}). Of parts of
 * your own: suites that check a codec, a transport, a balancer or a registry.
 *
 * ```ts ignore
 * import { codecContract } from "@erpc/erpc/testing";
 * import { json } from "@erpc/erpc";
 *
 * for (const { name, run } of codecContract(json())) Deno.test(`json: ${name}`, run);
 * ```
 *
 * @module
 */

// A service on its own.
export { testPair } from "./test_pair.ts";
export type { TestPair, TestPairOptions } from "./test_pair.ts";
export { VirtualClock, virtualPlatform } from "./virtual_clock.ts";
export { seededRandom } from "./seeded_random.ts";

// A world of nodes.
export { Simulation } from "./simulation.ts";
export type { SimulationOptions } from "./simulation.ts";
export type { NodeContext, NodeUsage, SimulatedNetwork, SimulatedNode } from "./simulated.ts";
export type { LinkOptions } from "./link.ts";

// The protocol, frame by frame.
export { frame, helloFrame, openFrame, readerOf, ScriptedPeer } from "./scripted_peer.ts";
export type { Frame } from "./scripted_peer.ts";
export { Flag, Kind, PREFACE } from "../protocol/frame.ts";
export type { ByteReader } from "../protocol/byte_reader.ts";
export type { Hello } from "../protocol/hello.ts";
export type { OpenHeader } from "../protocol/open.ts";
export type { MetadataProblem } from "../protocol/metadata_block.ts";

// Parts of your own.
export type { ContractCase } from "./contract.ts";
export { codecContract } from "./codec_contract.ts";
export type { CodecCase, CodecContractOptions, CodecKind } from "./codec_contract.ts";
export { transportContract } from "./transport_contract.ts";
export type { TransportSubject } from "./transport_contract.ts";
export { balancerContract } from "./balancer_contract.ts";
export { registryContract } from "./registry_contract.ts";
export type { RegistryHooks, RegistrySubject } from "./registry_contract.ts";
