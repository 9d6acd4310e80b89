/** Runs the floor (floor.c, or floor-node.ts where there is no C compiler): the baseline beside every figure of the suite. */
import { fileURLToPath } from "node:url";
import { paces } from "../../client/transport/unpaced.ts";
import { type Placement, runTool, startTool, type Tool } from "../measure/tool.ts";
import { compileC } from "./compile.ts";

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** How a TypeScript file of the suite is run in a process of its own. */
export const nodeCommand = (file: string): string[] => [process.execPath, "--import", "tsx", file];

const floorProgram = (): string | undefined => compileC(here("floor.c"), ["-O2", "-pthread"]);

function floorCommand(): string[] {
  const program = floorProgram();
  return program === undefined ? nodeCommand(here("floor-node.ts")) : [program];
}

export interface FloorRounds {
  /** Where to connect, when not at the server itself: an emulated link. */
  readonly via?: string;
  readonly requestBytes: number;
  readonly answerBytes: number;
  /** A request travels in writes of this size. Default: in one. */
  readonly pieceBytes?: number;
  readonly rounds: number;
  readonly warmup?: number;
  readonly cores?: Placement;
}

/** A server of the floor. */
export class Floor {
  readonly #tool: Tool;
  readonly #env: NodeJS.ProcessEnv;
  /** `HOST:PORT` or `unix:PATH`. */
  readonly address: string;

  private constructor(tool: Tool, address: string, env: NodeJS.ProcessEnv) {
    this.#tool = tool;
    this.address = address;
    this.#env = env;
  }

  /** `address` is `127.0.0.1:0` or `unix:PATH`. */
  static async start(address: string, cores?: Placement, env = process.env): Promise<Floor> {
    const tool = await startTool([...floorCommand(), "serve", address], { cores, lines: 1, ownSession: true, env });
    return new Floor(tool, address.startsWith("unix:") ? address : `127.0.0.1:${tool.lines[0]}`, env);
  }

  /** One over TCP that is not paced, as Sluice is not within one host; undefined where the system's is not either, or there is no C compiler. */
  static async startUnpaced(cores?: Placement): Promise<Floor | undefined> {
    if (!paces() || floorProgram() === undefined) return undefined;
    return await Floor.start("127.0.0.1:0", cores, { ...process.env, SLUICE_FLOOR_CONGESTION: "reno" });
  }

  /** Nanoseconds of each round. */
  async rounds(options: FloorRounds): Promise<number[]> {
    const numbers = [
      options.requestBytes,
      options.answerBytes,
      options.rounds,
      options.warmup ?? 0,
      options.pieceBytes ?? options.requestBytes,
    ];
    const command = [...floorCommand(), "client", options.via ?? this.address, ...numbers.map(String)];
    const output = await runTool(command, { cores: options.cores, env: this.#env });
    return output.trim().split("\n").map(Number);
  }

  stop(): Promise<void> {
    return this.#tool.stop();
  }
}
