/**
 * A daemon in this process, with one lease and a real executor of its own from dist: data doors over TCP and a Unix socket, and none of the pool. For tests
 * of what a daemon and an executor say to each other, and of what becomes of either when the other dies.
 */
import { mkdtempSync, readdirSync, readlinkSync, rmSync, statSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { noUsage } from "../../server/control/lease-record.ts";
import { LeaseSecret } from "../../server/control/lease-secret.ts";
import type { DeviceDriver } from "../../server/device/device.ts";
import type { ControlFolders } from "../../server/executor/control-folder.ts";
import type { FromExecutor, SliceAssignment } from "../../server/executor/control-messages.ts";
import type { ExecutorProcess } from "../../server/executor/executor-process.ts";
import { DataListener } from "../../server/session/data-listener.ts";
import type { ProvenConnection } from "../../server/session/handshake.ts";
import { ARENA_BASE, ARENA_STRIDE_BYTES } from "../../shared/limits.ts";
import { endExecutorsOf } from "./processes.ts";
import { inTime, waitFor } from "./wait-for.ts";

const built = `${process.cwd()}/dist/modules/server/executor`;
const { ControlFolders: Folders } = (await import(
  `${built}/control-folder.js`
)) as typeof import("../../server/executor/control-folder.ts");
const { ExecutorProcess: Process } = (await import(
  `${built}/executor-process.js`
)) as typeof import("../../server/executor/executor-process.ts");

export interface DaemonStandOptions {
  readonly driver: DeviceDriver;
  /** As for `--device`, without the kind. */
  readonly spec: string;
  /** Of each slice, of which there is one per device. */
  readonly arenaBytes: number;
  /** Default: none. */
  readonly kernelTimeoutMs?: number;
  readonly orphanTimeoutMs?: number;
}

export class DaemonStand {
  readonly secret = new Uint8Array(32).fill(9);
  readonly leaseId = "lease-on-stand";
  readonly state = mkdtempSync(join(tmpdir(), "sluice-daemon-"));
  /** What the executor has said to this daemon. */
  said: FromExecutor[] = [];
  /** HOST:PORT, and the path of the Unix socket. */
  address = "";
  readonly path = join(this.state, "data.sock");
  executor!: ExecutorProcess;
  #folders: ControlFolders = new Folders(this.state);
  #slices: SliceAssignment[] = [];
  readonly #listener: DataListener;
  /** This process's own copies of sockets on their way. */
  readonly #copies: Socket[] = [];

  private constructor() {
    const key = new LeaseSecret(Buffer.from(this.secret));
    this.#listener = new DataListener({
      serverVersion: "stand",
      leases: { find: () => ({ id: this.leaseId, tenant: "tenant", key, slices: this.#slices, usage: noUsage }) },
      onProven: (connection) => this.#attach(connection),
    });
  }

  static async start(options: DaemonStandOptions): Promise<DaemonStand> {
    const stand = new DaemonStand();
    stand.address = `127.0.0.1:${await stand.#listener.listen({ host: "127.0.0.1", port: 0 })}`;
    await stand.#listener.listenLocally(stand.path);
    const { driver, spec, arenaBytes, kernelTimeoutMs = 0, orphanTimeoutMs = 60_000 } = options;
    stand.#slices = (await driver.discover(spec)).map((description, index) => ({
      description,
      arenaBytes,
      arenaBase: ARENA_BASE + index * ARENA_STRIDE_BYTES,
    }));
    stand.#take(Process.start(stand.#folders));
    const { leaseId } = stand;
    const terms = { slices: stand.#slices, usage: noUsage, kernelTimeoutMs, orphanTimeoutMs };
    stand.executor.send({ kind: "assign", leaseId, ...terms });
    await waitFor("the executor", () => stand.#folders.list()[0]?.leaseId === leaseId);
    return stand;
  }

  /** The executor's process. */
  get pid(): number {
    return this.#folders.list()[0]!.identity!.pid;
  }

  /** Dies, as far as the executor can tell, and is the next daemon, which finds it; resolves with what the executor says of itself. */
  async restart(): Promise<Extract<FromExecutor, { kind: "hello" }>> {
    this.executor.leave();
    this.said = [];
    this.#folders = new Folders(this.state);
    const [found] = this.#folders.list();
    this.#take(Process.find(this.#folders, { ...found!, identity: found!.identity! }));
    return (await inTime("the executor's word", this.executor.hello))!;
  }

  /** Files of the executor's that have no name, by a path that leads to each. */
  savedFiles(): string[] {
    const { pid } = this;
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      const path = `/proc/${pid}/fd/${fd}`;
      try {
        return /\/saved-\w+ \(deleted\)$/.test(readlinkSync(path)) ? [path] : [];
      } catch {
        return [];
      }
    });
  }

  /** Bytes on the disk of all of them. */
  savedBytes(): number {
    return this.savedFiles().reduce((sum, path) => sum + statSync(path).blocks * 512, 0);
  }

  /** Names in the executor's folder. */
  files(): string[] {
    return readdirSync(join(this.state, "executors")).flatMap((name) =>
      readdirSync(join(this.state, "executors", name)).map((file) => join(name, file)),
    );
  }

  async close(): Promise<void> {
    this.#listener.close();
    this.executor.kill();
    endExecutorsOf(this.state);
    await inTime("its end", this.executor.exited);
    for (const socket of this.#copies) socket.destroy();
    rmSync(this.state, { recursive: true, force: true });
  }

  #take(executor: ExecutorProcess): void {
    this.executor = executor;
    executor.onMessage = (message) => {
      this.said.push(message);
      if (message.kind === "sessionStarted") this.#copies.shift()?.destroy();
    };
  }

  #attach(connection: ProvenConnection & { readonly clientAddress: string }): void {
    const { socket, session, welcomeProof, received, clientAddress } = connection;
    const message = {
      kind: "session",
      welcomeProof: welcomeProof.toString("base64"),
      received: Buffer.from(received).toString("base64"),
      clientAddress,
      sessionId: session.id,
      resumeMs: Math.min(session.resumeMs, 30_000),
      begun: session.begun,
      clientReceived: session.clientReceived,
    } as const;
    try {
      this.executor.handOver(message, socket);
      this.#copies.push(socket);
    } catch {
      // It is dead, and its client comes again and again.
      socket.destroy();
    }
  }
}
