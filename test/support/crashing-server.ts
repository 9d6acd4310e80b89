/** A server that is killed and started again with the same state and the same addresses, as a service manager does. */
import type { ChildProcess } from "node:child_process";
import { randomBytes, randomInt } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { endExecutorsOf } from "./processes.ts";
import { type ServerOptions, startServer, type TestServer } from "./server.ts";

/** Below the ports that systems give to outgoing connections, which might take one while the server is away. */
const PORT_MIN = 10_000;
const PORT_COUNT = 20_000;

/** One of 2^24 hosts that are all this machine, by chance: no other test's server takes its port while its own is away. */
async function ownAddress(): Promise<string> {
  for (;;) {
    const host = `127.${randomBytes(3).join(".")}`;
    const port = PORT_MIN + randomInt(PORT_COUNT);
    const isFree = await new Promise<boolean>((resolve) => {
      const probe = createServer();
      probe.once("error", () => resolve(false));
      probe.listen(port, host, () => probe.close(() => resolve(true)));
    });
    if (isFree) return `${host}:${port}`;
  }
}

export class CrashingServer {
  readonly state: string;
  readonly grpc: string;
  readonly #options: ServerOptions;
  #server: TestServer;
  /** What all runs so far have logged. */
  #log = "";

  private constructor(server: TestServer, options: ServerOptions) {
    this.#server = server;
    this.#options = options;
    this.state = server.state;
    this.grpc = server.grpc;
  }

  static async start(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<CrashingServer> {
    const state = mkdtempSync(join(tmpdir(), "sluice-state-"));
    const addresses = ["--listen", await ownAddress(), "--data", await ownAddress()];
    const options = { state, env, args: [...args, ...addresses] };
    return new CrashingServer(await startServer(options), options);
  }

  get pid(): number {
    return this.#server.pid;
  }

  get data(): string {
    return this.#server.data;
  }

  get log(): string {
    return this.#log + this.#server.log();
  }

  /** Dies at once, whatever it is doing. */
  async crash(): Promise<void> {
    this.#server.kill("SIGKILL");
    await this.#server.exited;
  }

  /** Leaves its leases to the next server; tells its exit code. */
  async handOver(): Promise<number | string> {
    this.#server.kill("SIGUSR2");
    return this.#server.exited;
  }

  async start(): Promise<void> {
    this.#log += this.#server.log();
    this.#server = await startServer(this.#options);
  }

  /** Starts one that is killed so soon that it may not have come to be ready. */
  async startAndCrash(afterMs: number): Promise<void> {
    this.#log += this.#server.log();
    let timer: NodeJS.Timeout | undefined;
    const onSpawned = (child: ChildProcess): void => {
      timer = setTimeout(() => child.kill("SIGKILL"), afterMs);
    };
    try {
      this.#server = await startServer({ ...this.#options, onSpawned });
      await this.#server.exited;
    } catch (error) {
      if (!String(error).includes("ends with SIGKILL before it is ready")) throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends it and all that it may have left. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop();
    endExecutorsOf(this.state);
    rmSync(this.state, { recursive: true, force: true });
  }
}
