import type { Candidate } from "../balancer/balancer.ts";
import type { Channel } from "../channel/channel.ts";
import type { Instance } from "../registry/instance.ts";

/** An instance of a service with the channel to it. */
export class Member implements Candidate {
  readonly instance: Instance;
  readonly endpoint: string;
  readonly channel: Channel;

  constructor(instance: Instance, channel: Channel) {
    this.instance = instance;
    this.endpoint = channel.endpoint;
    this.channel = channel;
  }

  get inFlight(): number {
    return this.channel.inFlight;
  }
}
