import type { Candidate } from "../balancer/balancer.ts";
import type { Channel } from "../channel/channel.ts";
import type { Instance } from "../registry/instance.ts";
import type { Resolved } from "./merged_set.ts";

/** An instance of a service with the channel to it. */
export class Member implements Candidate {
  readonly instance: Instance;
  readonly endpoint: string;
  readonly channel: Channel;
  /** Whether the registry doubts that it lives. */
  readonly suspect: boolean;
  /** Whether it is a last resort, for when nobody else is left. */
  readonly doubtful: boolean;

  constructor({ instance, suspect, doubtful }: Resolved, channel: Channel) {
    this.instance = instance;
    this.endpoint = channel.endpoint;
    this.channel = channel;
    this.suspect = suspect;
    this.doubtful = doubtful;
  }

  get inFlight(): number {
    return this.channel.inFlight;
  }
}
