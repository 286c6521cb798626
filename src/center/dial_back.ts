/**
 * Whether somebody whose lease runs out lives all the same: dials once, as a client would, and says hello.
 *
 * Whoever may register could have others dialled so. Hence nobody is dialled at an address that is nobody's to dial, such as those of
 * one link, where clouds answer questions about the machine; nor this machine for somebody on another one, whatever name it is
 * given; nor any other machine for somebody who is known by nothing but his address; and only so often in vain for each owner.
 */
import { RpcError } from "../core/error.ts";
import { Channel } from "../channel/channel.ts";
import type { Settings } from "../connection/settings.ts";
import { isUnroutable, plainHost } from "../registry/check_instance.ts";
import type { Instance } from "../registry/instance.ts";
import type { Origin, Registered } from "../registry/registry.ts";
import { type Endpoint, isLocalPeer, isLoopbackHost, parseEndpoint } from "../transport/endpoint.ts";
import { TlsError } from "../transport/tls_error.ts";
import type { Transport } from "../transport/transport.ts";
import { DialBudget } from "./dial_budget.ts";

/** How long an instance may take to answer. */
const DIAL_MS = 1_000;

/** Makes what a registry asks before it ends a listing: whether any endpoint of an instance answers, and as that incarnation. */
export function dialBack(settings: Settings, transport: Transport) {
  const { limits } = settings;
  const own: Settings = {
    ...settings,
    limits: { ...limits, connectMs: DIAL_MS, handshakeMs: DIAL_MS },
    respond: undefined,
  };
  const { clock } = settings.timers;
  const budget = new DialBudget();
  return async (instance: Instance, signal: AbortSignal, by: Registered): Promise<boolean> => {
    const mayDial = boundsOf(by.from);
    const bounded: Transport = {
      connect: (endpoint, options) => transport.connect(endpoint, { ...options, mayDial }),
      listen: (endpoint, options) => transport.listen(endpoint, options),
    };
    // Whoever is not known is told apart by his machine, and this process has as many as it wants.
    const whose = by.from && (by.from.isKnown ? `owner ${by.owner}` : `host ${hostOf(by.from.endpoint)}`);
    const endpoints = instance.endpoints.filter((endpoint) =>
      isAllowed(endpoint, mayDial) && (whose === undefined || budget.take(whose, clock.now()))
    );
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const giveUp = () => resolve(false);
    signal.addEventListener("abort", giveUp);
    // The time is for dialling and for saying hello together.
    using _timer = settings.timers.after(DIAL_MS, giveUp);
    const channels = endpoints.map((endpoint) => new Channel([endpoint], own, bounded));
    const dials = channels.map(async (channel) => {
      const answer = await answersAs(instance, channel);
      if (answer === "itself" && whose !== undefined) budget.giveBack(whose);
      if (answer !== "nobody") resolve(true);
    });
    void Promise.all(dials).then(giveUp);
    try {
      return await promise;
    } finally {
      signal.removeEventListener("abort", giveUp);
      await Promise.all(channels.map((channel) => channel.close()));
    }
  };
}

/** Says of each address whether it may be dialled for somebody. */
function boundsOf(from: Origin | undefined): (address: string) => boolean {
  const isLocal = from === undefined || isLocalPeer(from.endpoint);
  const own = from && hostOf(from.endpoint);
  return (address) => {
    const plain = plainHost(address);
    if (plain === undefined || isUnroutable(plain)) return false;
    // It could dial whatever this machine can, without the center.
    if (isLocal) return true;
    return !isLoopbackHost(plain.replace(/^\[|\]$/g, "")) && (from.isKnown || plain === own);
  };
}

/** Whether an endpoint may be dialled as far as it says where that is; what a name stands for is asked when it is dialled. */
function isAllowed(text: string, mayDial: (address: string) => boolean): boolean {
  const endpoint = parsed(text);
  if (endpoint === undefined) return false;
  return !("host" in endpoint) || !IS_ADDRESS.test(plainHost(endpoint.host) ?? "") || mayDial(endpoint.host);
}

const IS_ADDRESS = /^(\[.*\]|\d+(\.\d+){3})$/;

/** The host of an endpoint, as it is usually written. */
function hostOf(text: string): string | undefined {
  const endpoint = parsed(text);
  return endpoint !== undefined && "host" in endpoint ? plainHost(endpoint.host) : text;
}

function parsed(text: string): Endpoint | undefined {
  try {
    return parseEndpoint(text);
  } catch {
    return undefined;
  }
}

/** Who answers: the instance itself, somebody who does not say who he is, or nobody. */
async function answersAs({ id, incarnation }: Instance, channel: Channel): Promise<"itself" | "somebody" | "nobody"> {
  try {
    const { hello } = await channel.connect();
    // Whoever was started anew in its place must not keep it listed.
    return hello.instance === id && hello.incarnation === incarnation ? "itself" : "nobody";
  } catch (error) {
    // Whoever wants to know who is there is there.
    const isThere = error instanceof RpcError && (error.code === "unauthenticated" || isRefusalByTls(error.cause));
    return isThere ? "somebody" : "nobody";
  }
}

function isRefusalByTls(cause: unknown): boolean {
  return cause instanceof TlsError && cause.reason !== "not_tls" && cause.reason !== "other";
}
