import { bytes } from "../../src/codec/bytes.ts";
import { json } from "../../src/codec/json.ts";
import { Counters } from "../../src/connection/counters.ts";
import type { Responder, Settings } from "../../src/connection/settings.ts";
import { checkLimits, type Limits } from "../../src/core/limits.ts";
import { type Logger, silent } from "../../src/core/logger.ts";
import { type Platform, runtimePlatform } from "../../src/core/platform.ts";
import { Timers } from "../../src/core/timers.ts";

/** What a connection needs, with what a test wants otherwise. Dispose the timers at the end. */
export function makeSettings(options: {
  respond?: Responder;
  limits?: Partial<Limits>;
  platform?: Platform;
  logger?: Logger;
  token?: string;
} = {}): Settings {
  const platform = options.platform ?? runtimePlatform;
  const codec = json();
  return {
    platform,
    timers: new Timers(platform.clock),
    limits: checkLimits(options.limits),
    codecs: new Map([[codec.name, codec], ["bytes", bytes()]]),
    codec,
    identity: { instance: "test", incarnation: 1, zone: "", token: options.token ?? "", contracts: new Map() },
    logger: options.logger ?? silent,
    counters: new Counters(),
    respond: options.respond,
  };
}
