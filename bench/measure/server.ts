/** A `sluice serve` of its own for a case: the built one, with a state directory that goes with it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Target } from "./target.ts";
import { type Placement, startTool, type Tool } from "./tool.ts";

const program = fileURLToPath(new URL("../../dist/client/cli/main.js", import.meta.url));

export interface ServerOptions {
  /** SPECs of devices, such as `null:1x16GiB`. */
  readonly devices: readonly string[];
  readonly cores?: Placement;
  readonly spareExecutors?: number;
  readonly nodeFlags?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Certificate and key in PEM. Default: no TLS. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

export class Server {
  readonly #tool: Tool;
  readonly #state: string;
  readonly grpcPort: number;
  readonly dataPort: number;

  private constructor(tool: Tool, state: string) {
    const match = /^sluice ready grpc=\S+:(\d+) data=\S+:(\d+) /.exec(tool.lines[0] ?? "");
    if (match === null) throw new Error(`The server says [${tool.lines[0]}] instead of being ready.`);
    this.#tool = tool;
    this.#state = state;
    this.grpcPort = Number(match[1]);
    this.dataPort = Number(match[2]);
  }

  static async start(options: ServerOptions): Promise<Server> {
    const state = mkdtempSync(join(tmpdir(), "sluice-bench-state-"));
    const command = [process.execPath, ...(options.nodeFlags ?? []), program, "serve"];
    const ports = ["--listen", "127.0.0.1:0", "--data", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--state", state];
    const rest = [
      "--grace",
      "0s",
      "--log-level",
      "error",
      "--requests-per-second",
      "0",
      "--spare-executors",
      String(options.spareExecutors ?? 1),
    ];
    const devices = options.devices.flatMap((spec) => ["--device", spec]);
    if (options.tls !== undefined) {
      const files = { cert: join(state, "bench.crt"), key: join(state, "bench.key") };
      writeFileSync(files.cert, options.tls.cert);
      writeFileSync(files.key, options.tls.key, { mode: 0o600 });
      rest.push("--tls-cert", files.cert, "--tls-key", files.key);
    }
    const tool = await startTool([...command, ...ports, ...rest, ...devices], {
      cores: options.cores,
      lines: 1,
      endsBy: "SIGTERM",
      env: options.env ?? process.env,
    });
    return new Server(tool, state);
  }

  get pid(): number {
    return this.#tool.pid;
  }

  /** The server without a link in front of it. */
  get target(): Target {
    return { server: `127.0.0.1:${this.grpcPort}` };
  }

  /** The server through a link that listens on `host`. */
  targetVia(host: string): Target {
    return { server: `${host}:${this.grpcPort}`, dataHost: host };
  }

  async stop(): Promise<void> {
    await this.#tool.stop();
    rmSync(this.#state, { recursive: true, force: true });
  }
}
