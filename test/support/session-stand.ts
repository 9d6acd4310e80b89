/**
 * A server's session in this process, behind a real data listener: one lease, and a device whose launches are a chain, so that a call that
 * is lost, repeated or out of order shows in the result for ever. For tests of sessions whose connections break.
 */
import type { Socket } from "node:net";
import { LeaseSecret } from "../../server/control/lease-secret.ts";
import type { DeviceDescription, DeviceModule, DeviceSlice, LaunchOptions } from "../../server/device/device.ts";
import { nullDriver } from "../../server/device/null/driver.ts";
import type { ContentCache } from "../../server/executor/content-cache.ts";
import { LOCAL_CLIENT_ADDRESS } from "../../server/executor/control-messages.ts";
import { Parking, type Work } from "../../server/executor/parking.ts";
import { Session } from "../../server/executor/session.ts";
import { UsageCounter } from "../../server/executor/usage.ts";
import { Workspace } from "../../server/executor/workspace.ts";
import { DataListener } from "../../server/session/data-listener.ts";
import type { ProvenConnection } from "../../server/session/handshake.ts";
import { refuse } from "../../server/session/refusal.ts";
import { SluiceError } from "../../shared/errors.ts";
import { encodeWelcome, FrameKind } from "../../shared/generated/calls.ts";
import { messageFrame } from "../../shared/wire/frame.ts";

const MiB = 1024 * 1024;
const ARENA_BYTES = 64 * MiB;
const ARENA_BASE = 0x6000_0000_0000;

/** A kernel that takes an address and a step. */
export const CHAIN = ".version 8.0\n.target sm_75\n.entry chain(.param .u64 cell, .param .u32 step) { ret; }";

/** What one launch makes of the cell. */
export const chained = (value: number, step: number): number => (Math.imul(value, 31) + step) >>> 0;

const [description] = (await nullDriver.discover("1x64MiB")) as [DeviceDescription];

export interface StandOptions {
  /** How long a session waits for its client, at most. Default 10 s. */
  readonly graceMs?: number;
  /** Default 30 ms. */
  readonly livenessMs?: number;
  /** Holds up a launch, as a slow device does. */
  readonly beforeLaunch?: () => Promise<void> | undefined;
  /** What the device does with a matrix product. Default: nothing. */
  readonly onMultiply?: () => void;
  readonly cache?: ContentCache;
  /** Listens here, as for clients on this host, instead of at a port. */
  readonly path?: string;
}

export class SessionStand {
  readonly secret = new Uint8Array(32).fill(9);
  readonly leaseId = "lease-on-stand";
  readonly usage = new UsageCounter();
  /** Sessions begun. */
  sessions = 0;
  /** Launches executed. */
  launches = 0;
  /** Suspends the session's work, whichever it is. */
  readonly parking = new Parking({ current: () => this.#current, onLost: (error) => this.session?.refuse(error) });
  #current: Work | undefined;
  #sessionId = "";
  readonly #options: StandOptions;
  readonly #listener: DataListener;
  readonly #sockets: Socket[] = [];
  address = "";
  #staged: Workspace["staged"] = { toDevice: 0, fromDevice: 0 };

  private constructor(options: StandOptions) {
    this.#options = options;
    const { leaseId } = this;
    const key = new LeaseSecret(Buffer.from(this.secret));
    const usage = this.usage.now();
    this.#listener = new DataListener({
      serverVersion: "stand",
      leases: { find: () => ({ id: leaseId, tenant: "tenant", key, slices: [], usage }) },
      onProven: (connection) => this.#attach(connection),
    });
  }

  static async start(options: StandOptions = {}): Promise<SessionStand> {
    const stand = new SessionStand(options);
    const { path } = options;
    if (path === undefined) stand.address = `127.0.0.1:${await stand.#listener.listen({ host: "127.0.0.1", port: 0 })}`;
    else {
      await stand.#listener.listenLocally(path);
      stand.address = path;
    }
    return stand;
  }

  get session(): Session | undefined {
    return this.#current?.session;
  }

  /** Bytes that went through the staging file of the last session, so far. */
  get staged(): Workspace["staged"] {
    const { toDevice, fromDevice } = this.#staged;
    // Counts begin with a zero below zero.
    return { toDevice: toDevice + 0, fromDevice: fromDevice + 0 };
  }

  async close(): Promise<void> {
    this.#listener.close();
    const { session } = this;
    session?.refuse(new SluiceError("LEASE_ENDED", "The stand is taken down."));
    for (const socket of this.#sockets) socket.destroy();
    await session?.ended;
  }

  /** As the daemon and the executor do. */
  #attach(connection: ProvenConnection & { readonly clientAddress: string }): void {
    const { socket, session, welcomeProof, received, clientAddress } = connection;
    this.#sockets.push(socket);
    if (this.session !== undefined && this.#sessionId !== session.id) {
      refuse(socket, new SluiceError("SESSION_BUSY", "The lease has a session already."));
      return;
    }
    if (this.session === undefined && session.begun) {
      refuse(socket, new SluiceError("SESSION_LOST", "The session is over."));
      return;
    }
    this.#sessionId = session.id;
    const resumeMs = Math.min(session.resumeMs, this.#options.graceMs ?? 10_000);
    this.#current ??= this.#begin(resumeMs, clientAddress === LOCAL_CLIENT_ADDRESS);
    this.#current.session.attach({
      socket,
      received,
      clientReceived: session.clientReceived,
      welcome: (position) =>
        messageFrame(FrameKind.WELCOME, { proof: welcomeProof, devices: 1, ...position }, encodeWelcome),
    });
  }

  #begin(resumeMs: number, isLocal: boolean): Work {
    this.sessions++;
    const assignment = { description, arenaBytes: ARENA_BYTES, arenaBase: ARENA_BASE };
    const { livenessMs = 30, cache } = this.#options;
    const open = () => this.#openDevice((text) => session.print(text));
    const work = new Workspace([assignment], open, { cache, isLocal });
    this.#staged = work.staged;
    const session = new Session({ resumeMs, livenessMs, work, usage: this.usage, beforeGoodbye: () => work.close() });
    void session.ended.then(() => {
      this.#current = undefined;
      this.parking.ended();
    });
    this.parking.began({ session, work });
    return { session, work };
  }

  async #openDevice(onOutput: (text: string) => void): Promise<DeviceSlice> {
    const options = { description, arenaBytes: ARENA_BYTES, arenaBase: ARENA_BASE, kernelTimeoutMs: 0, onOutput };
    const slice = await nullDriver.open(options);
    const module = slice.loadModule(new TextEncoder().encode(CHAIN)) as DeviceModule;
    slice.loadModule = () => module;
    slice.multiply = () => this.#options.onMultiply?.();
    slice.launch = ({ params }: LaunchOptions) => {
      const view = new DataView(params.buffer, params.byteOffset, params.byteLength);
      const [address, step] = [Number(view.getBigUint64(0, true)), view.getUint32(8, true)];
      const run = (): void => {
        this.launches++;
        const cell = new Uint32Array(1);
        void slice.read(address, new Uint8Array(cell.buffer), undefined);
        cell[0] = chained(cell[0]!, step);
        void slice.write(address, new Uint8Array(cell.buffer), undefined);
        if (step % 5 === 0) onOutput(`${step};`);
      };
      const wait = this.#options.beforeLaunch?.();
      if (wait !== undefined) return wait.then(run);
      run();
      return undefined;
    };
    return slice;
  }
}
