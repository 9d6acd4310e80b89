/**
 * An emulated link in front of a server: a round trip and a rate. The server listens on 127.0.0.1, the link on 127.0.0.2 with the
 * same ports, so that a client which is told the other address has all its traffic, gRPC and data, delayed. Linux only: elsewhere
 * 127.0.0.2 does not exist by itself.
 */
import { fileURLToPath } from "node:url";
import { compileC } from "../floor/compile.ts";
import { nodeCommand } from "../floor/floor.ts";
import { startTool, type Tool } from "../measure/tool.ts";

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

const LINK_HOST = "127.0.0.2";

export interface LinkProperties {
  /** Time there and back that the link adds, in milliseconds. */
  readonly roundTripMs: number;
  /** Bits per second per connection and direction, in Gbit/s; 0 for no bound. */
  readonly gigabitsPerSecond: number;
}

/** No delay and no bound: then there is no proxy at all. */
export const isDirect = (link: LinkProperties): boolean => link.roundTripMs === 0 && link.gigabitsPerSecond === 0;

export function describeLink(link: LinkProperties): string {
  const rate = link.gigabitsPerSecond === 0 ? "" : `, ${link.gigabitsPerSecond} Gbit/s`;
  return `${link.roundTripMs} ms${rate}`;
}

export class Link {
  readonly #tool: Tool | undefined;
  /** Where clients connect instead of 127.0.0.1. */
  readonly host: string;

  private constructor(tool: Tool | undefined, host: string) {
    this.#tool = tool;
    this.host = host;
  }

  /** Starts the link for ports of 127.0.0.1. */
  static async start(link: LinkProperties, ports: readonly number[]): Promise<Link> {
    if (isDirect(link)) return new Link(undefined, "127.0.0.1");
    const program = compileC(here("link.c"), ["-O2", "-pthread"]);
    const command = program === undefined ? nodeCommand(here("link-node.ts")) : [program];
    const maps = ports.map((port) => `${LINK_HOST}:${port}=127.0.0.1:${port}`);
    const numbers = [String(link.roundTripMs * 500), String(link.gigabitsPerSecond * 1000)];
    const tool = await startTool([...command, ...numbers, ...maps], { lines: ports.length });
    return new Link(tool, LINK_HOST);
  }

  async stop(): Promise<void> {
    await this.#tool?.stop();
  }
}
