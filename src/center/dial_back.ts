/** Whether somebody whose lease runs out lives all the same: dials once, as a client would, and says hello. */
import { RpcError } from "../core/error.ts";
import { Channel } from "../channel/channel.ts";
import type { Settings } from "../connection/settings.ts";
import type { Instance } from "../registry/instance.ts";
import { TlsError } from "../transport/tls_error.ts";
import type { Transport } from "../transport/transport.ts";

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
  return async (instance: Instance, signal: AbortSignal): Promise<boolean> => {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const giveUp = () => resolve(false);
    signal.addEventListener("abort", giveUp);
    // The time is for dialling and for saying hello together.
    using _timer = settings.timers.after(DIAL_MS, giveUp);
    const channels = instance.endpoints.map((endpoint) => new Channel([endpoint], own, transport));
    const dials = channels.map(async (channel) => {
      if (await answersAs(instance, channel)) resolve(true);
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

async function answersAs({ id, incarnation }: Instance, channel: Channel): Promise<boolean> {
  try {
    const { hello } = await channel.connect();
    // Whoever was started anew in its place must not keep it listed.
    return hello.instance === id && hello.incarnation === incarnation;
  } catch (error) {
    // Whoever wants to know who is there is there.
    return error instanceof RpcError && (error.code === "unauthenticated" || isRefusalByTls(error.cause));
  }
}

function isRefusalByTls(cause: unknown): boolean {
  return cause instanceof TlsError && cause.reason !== "not_tls" && cause.reason !== "other";
}
