/** Servers and clients that can be killed. */
import { type CenterOptions, Client, type ServerOptions } from "@erpc/erpc";
import { Child } from "../support/child.ts";

/** The procedure that says what a server process holds, and the most that it has held since it was asked first. */
export const HELD = "test.held";

/** What a process holds once its garbage is gone, in bytes: now, and at most since it was asked first. */
export interface Held {
  readonly bytes: number;
  readonly mostBytes: number;
}

/** What a server of its own is told; the rest is what every server is told. */
export interface ServerProcessOptions
  extends Pick<ServerOptions, "center" | "id" | "limits" | "ttlMs" | "beatMs" | "admission"> {
  /** Where it listens. Default: any port. */
  readonly endpoint?: string;
  /** Whether it takes calls that have one reply and never answers them. */
  readonly deaf?: boolean;
}

/** A server of the interop contract as a process. */
export class ServerProcess extends Child {
  /** Where it listens. */
  endpoint = "";

  /** Starts one, and waits until it listens. */
  static async start(options: ServerProcessOptions = {}): Promise<ServerProcess> {
    const server = new ServerProcess(new URL("./programs/server.ts", import.meta.url), JSON.stringify(options));
    server.endpoint = await server.line(/^listening on (\S+)$/);
    return server;
  }

  /** What it holds. */
  async held(): Promise<Held> {
    await using client = new Client({ endpoints: [this.endpoint] });
    return await client.call(HELD);
  }

  /** Waits until so many more calls have begun, and gives their tags. */
  async begun(count: number): Promise<string[]> {
    const tags: string[] = [];
    while (tags.length < count) tags.push(await this.line(/^begun (\S+)$/));
    return tags;
  }
}

/** What a center of its own is told. */
export interface CenterProcessOptions extends Pick<CenterOptions, "ttlMs" | "limits"> {
  /** Where it listens. */
  readonly endpoint: string;
}

/** A center as a process. */
export class CenterProcess extends Child {
  /** Where it listens. */
  endpoint = "";

  /** Starts one, and waits until it listens. */
  static async start(options: Partial<CenterProcessOptions> = {}): Promise<CenterProcess> {
    const argument = JSON.stringify({ endpoint: "tcp://127.0.0.1:0", ...options });
    const center = new CenterProcess(new URL("./programs/center.ts", import.meta.url), argument);
    center.endpoint = await center.line(/^listening on (\S+)$/);
    return center;
  }
}

/** A client of the interop contract as a process: see programs/client.ts for what it can do. */
export class ClientProcess extends Child {
  constructor(task: "hold" | "expire" | "flood" | "soak", endpoint: string, ...args: string[]) {
    super(new URL("./programs/client.ts", import.meta.url), task, endpoint, ...args);
  }
}
