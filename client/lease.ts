/** A lease in use: its devices, its session, its heartbeats, and its end. */
import type { Connection__Output as Connection } from "../proto/generated/sluice/v1/Connection.ts";
import type { Lease__Output as LeaseInfo } from "../proto/generated/sluice/v1/Lease.ts";
import type { Usage__Output as LeaseUsage } from "../proto/generated/sluice/v1/Usage.ts";
import { SluiceError, toSluiceError } from "../shared/errors.ts";
import { SESSION_GRACE_MS } from "../shared/limits.ts";
import { underAny } from "./abort.ts";
import { bracketed } from "./address.ts";
import type { Size } from "./allocate-options.ts";
import type { ConnectionChange } from "./connection.ts";
import { Content } from "./content.ts";
import { SessionHandles } from "./context.ts";
import type { Control, LeaseKey, QueuePlace } from "./control.ts";
import { Device, type SliceSize } from "./device.ts";
import type { EarlyLink } from "./early-link.ts";
import { Holder, type LeaseNotice } from "./holder.ts";
import { checkFunction, checkText } from "./known-options.ts";
import { Outage } from "./outage.ts";
import { isPassing } from "./reconnection.ts";
import { Session } from "./session.ts";
import { endpointsOf, type TransportKind } from "./transport/open.ts";

/** What a lease did so far, counted by this client. */
export interface LeaseStats {
  /** Calls issued. */
  readonly calls: number;
  /** Frames that carried them. */
  readonly batches: number;
  /** Calls per frame; 0 before the first. */
  readonly callsPerBatch: number;
  /** Calls that were answered. */
  readonly roundTrips: number;
  /** Bytes to and from the server, frames and handshake included: on the wire, and on its own host through shared memory. */
  readonly bytesToDevice: number;
  readonly bytesFromDevice: number;
  /** The data endpoint in use, such as `tcp://127.0.0.1:7461`. */
  readonly endpoint: string;
  /** Bytes of images and cached uploads that did not travel, since the server had them. */
  readonly bytesSaved: number;
  /** How often a broken data connection was replaced. */
  readonly reconnects: number;
  /** How long the lease was held by this client. */
  readonly seconds: number;
}

/** Everything that working under a lease needs. */
export interface LeaseGrant {
  readonly control: Control;
  readonly info: LeaseInfo;
  readonly key: LeaseKey;
  readonly connection: Connection;
  /** Devices to attach: the first ones of the lease. */
  readonly devices: number;
  /** Kinds of data endpoints to use. Default: all. */
  readonly transports?: readonly TransportKind[] | undefined;
  /** How long to try to resume a session whose connection breaks, in milliseconds; 0: not at all. Default SESSION_GRACE_MS. */
  readonly resumeMs?: number | undefined;
  /** Whether this client keeps the lease alive and releases it, or works under another's. */
  readonly owned: boolean;
  readonly warnings?: readonly string[];
  /** A data connection that may be there already. */
  readonly early?: EarlyLink | undefined;
  readonly onOutput: (text: string) => void;
  /** Called once when the release begins, with its end. */
  readonly onReleasing?: (release: Promise<unknown>) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The grant of slices to this program, from `pool.allocate()`. Use it with `await using`, or call `release()`. It sends heartbeats as
 * long as the program runs, and does not itself keep the program running; a call that waits for its answer does.
 */
export class Lease {
  readonly id: string;
  /** What was granted, as it was then. */
  readonly info: LeaseInfo;
  /** What the server says about the choice of devices, such as that no link joins those of a request for `topology`. */
  readonly warnings: readonly string[];
  /** One per slice, in order. */
  readonly devices: readonly [Device, ...Device[]];
  readonly #grant: LeaseGrant;
  readonly #holder: Holder | undefined;
  readonly #session: Session;
  readonly #content: Content;
  readonly #life: LeaseLife;
  readonly #startedAt = performance.now();
  #endedAt: number | undefined;
  #release: Promise<LeaseUsage | undefined> | undefined;

  private constructor(
    grant: LeaseGrant,
    parts: {
      readonly holder: Holder | undefined;
      readonly session: Session;
      readonly content: Content;
      readonly devices: readonly [Device, ...Device[]];
      readonly life: LeaseLife;
    },
  ) {
    this.id = grant.key.leaseId;
    this.info = grant.info;
    this.warnings = grant.warnings ?? [];
    this.devices = parts.devices;
    this.#grant = grant;
    this.#holder = parts.holder;
    this.#session = parts.session;
    this.#content = parts.content;
    this.#life = parts.life;
  }

  /** @internal Starts the heartbeats, opens the session, attaches the devices. On failure an owned lease is released. */
  static async open(grant: LeaseGrant): Promise<Lease> {
    const life = new LeaseLife();
    const holder = grant.owned ? startHolder(grant, life) : undefined;
    try {
      // A lease that ends meanwhile ends the opening too.
      return await underAny([grant.signal, life.signal], (signal) => Lease.#attach(grant, { life, holder, signal }));
    } catch (error) {
      holder?.stop();
      // The failure itself is what the caller must hear; a lease that cannot be released now ends by its time-out.
      if (grant.owned) await grant.control.release(grant.key).catch(() => {});
      throw life.signal.aborted ? life.signal.reason : error;
    } finally {
      grant.early?.drop();
    }
  }

  static async #attach(
    grant: LeaseGrant,
    { life, holder, signal }: { life: LeaseLife; holder: Holder | undefined; signal: AbortSignal },
  ): Promise<Lease> {
    const { session, attached } = await Session.open({
      endpoints: endpointsOf(grant.connection.dataEndpoints, grant.transports),
      again: openingAgain(grant, signal),
      host: bracketed(grant.control.server.host),
      server: { tls: grant.control.tls, submit: () => grant.control.submit() },
      leaseId: grant.key.leaseId,
      secret: grant.key.secret,
      devices: grant.devices,
      onOutput: grant.onOutput,
      resumeMs: grant.resumeMs,
      early: grant.early,
      onFailed: (error) => life.end(error),
      onConnection: (change) => {
        for (const listener of life.connectionListeners) listener(change);
      },
      reasonOfLoss: () => (holder === undefined ? askForReason(grant) : holder.reason()),
      signal,
    });
    life.session = session;
    const handles = new SessionHandles();
    const content = new Content(session, handles);
    const leaseId = grant.key.leaseId;
    const devices = attached.map(
      (answer, index) =>
        new Device({ session, handles, content, index, leaseId, attached: answer, resize: resizer(grant, index) }),
    );
    life.devices = devices;
    const [first, ...others] = devices;
    if (first === undefined) throw new SluiceError("INTERNAL", `The lease [${leaseId}] has no device.`);
    return new Lease(grant, { holder, session, content, devices: [first, ...others], life });
  }

  /** Aborted when the lease ends by itself or its connection is lost; its reason is the SluiceError. Not by `release`. */
  get signal(): AbortSignal {
    return this.#life.signal;
  }

  /** Address of the server that has granted it, as it was given to `connect`. */
  get server(): string {
    return this.#grant.control.address;
  }

  get stats(): LeaseStats {
    const { calls, batches, roundTrips, bytesSent, bytesReceived, endpoint, reconnects } = this.#session;
    return {
      calls,
      batches,
      callsPerBatch: batches === 0 ? 0 : calls / batches,
      roundTrips,
      bytesToDevice: bytesSent,
      bytesFromDevice: bytesReceived,
      bytesSaved: this.#content.bytesSaved,
      endpoint,
      reconnects,
      seconds: ((this.#endedAt ?? performance.now()) - this.#startedAt) / 1000,
    };
  }

  /**
   * Gives every slice this size, one device after the other; see `Device.resize`. Where one fails, those before it keep their new size.
   * @throws SluiceError as `Device.resize` does.
   */
  async resize(size: Size): Promise<void> {
    for (const device of this.devices) await device.resize(size);
  }

  /**
   * Gives the devices' memory back for a while; resolves when it is back in the pool. Calls wait until the lease goes on, with every byte and
   * address as before: `resume`. Others may suspend and resume it too; `onNotice` tells. One that is suspended already stays so, and one that is
   * coming back is suspended once it has. `reason` is for people. Default: none.
   * @throws SluiceError after which it runs on: SESSION_BUSY while it changes its size, CANCELLED when it is told to go on meanwhile, UNSUPPORTED,
   * STORE_FAILED when the server's disk is full, BAD_ARGUMENT for a reason that is no text; LEASE_ENDED behind its end; SERVER_UNREACHABLE, when the
   * server may have done it.
   */
  async suspend(reason = ""): Promise<void> {
    checkText("The reason of a suspension", reason);
    await this.#grant.control.suspend(this.#grant.key, reason);
  }

  /**
   * Lets the lease go on as soon as its devices have room; returns its place in the queue, 0 where it need not wait, also where it runs already.
   * @throws SluiceError ADMIN_ONLY when an admin has suspended it, LEASE_ENDED behind its end, SERVER_UNREACHABLE
   */
  async resume(): Promise<QueuePlace> {
    return await this.#grant.control.resume(this.#grant.key);
  }

  /** Calls `listener` for every notice about the lease from now on; returns a function that ends it. @throws SluiceError BAD_ARGUMENT for what is no function. */
  onNotice(listener: (notice: LeaseNotice) => void): () => void {
    checkFunction("What hears notices", listener);
    this.#life.listeners.add(listener);
    return () => this.#life.listeners.delete(listener);
  }

  /**
   * Calls `listener` when the data connection breaks, and when the session goes on over a new one; returns a function that ends it. Calls
   * made in between wait; each runs once.
   * @throws SluiceError BAD_ARGUMENT for what is no function.
   */
  onConnection(listener: (change: ConnectionChange) => void): () => void {
    checkFunction("What hears of the connection", listener);
    this.#life.connectionListeners.add(listener);
    return () => this.#life.connectionListeners.delete(listener);
  }

  /**
   * Ends the lease: what was issued before is executed (for two seconds at most), then the memory goes back to the pool. Returns what
   * the server measured, or undefined when it does not know the lease any more or the lease is another program's to release.
   * Idempotent.
   * @throws SluiceError the failure of a call that no answer has told about yet (the lease is released all the same), or
   * SERVER_UNREACHABLE (the lease then ends by its time-out).
   */
  release(): Promise<LeaseUsage | undefined> {
    if (this.#release === undefined) {
      const release = this.#releaseOnce();
      this.#release = release;
      this.#grant.onReleasing?.(release);
    }
    return this.#release;
  }

  /** As `release`, but a server that cannot be reached is no error here: it takes the lease back by its time-out. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.release();
    } catch (error) {
      // Of a lease that is over the block has heard from its own calls.
      if (!this.signal.aborted && toSluiceError(error).code !== "SERVER_UNREACHABLE") throw error;
    }
  }

  async #releaseOnce(): Promise<LeaseUsage | undefined> {
    const unheard = await this.#session.close(new SluiceError("CLOSED", `The lease [${this.id}] is released.`));
    this.#holder?.stop();
    const released = this.#releaseOnServer();
    if (unheard === undefined) return await released;
    // The failure of the program's own call is told once, before anything that the release itself may have to say.
    this.#release = released;
    await released.catch(() => {});
    throw unheard;
  }

  async #releaseOnServer(): Promise<LeaseUsage | undefined> {
    this.#endedAt = performance.now();
    if (!this.#grant.owned) return undefined;
    try {
      return (await this.#grant.control.release(this.#grant.key)).usage ?? undefined;
    } catch (error) {
      if (toSluiceError(error).code === "LEASE_NOT_FOUND") return undefined;
      throw error;
    }
  }
}

/** Tries of the data connection of a server that answers on its other port all the while. */
const OPENINGS_MAX = 3;

/**
 * Whether to try the first connection again, and where: one that is lost because the server dies is made again with the next server, for which
 * the control plane waits, since the lease is still there. A new lease of this program's own has no other session than this one: a server that
 * says so has not heard yet of what its executors do.
 */
function openingAgain(grant: LeaseGrant, signal: AbortSignal): (failure: SluiceError) => Promise<readonly string[]> {
  const { control, key, owned, transports } = grant;
  const busy = new Outage(SESSION_GRACE_MS);
  let openings = 1;
  let serverId = "";
  return async (failure) => {
    const isBusy = failure.code === "SESSION_BUSY";
    if (!isPassing(failure) || (isBusy && !owned)) throw failure;
    if (isBusy) await busy.pause(failure, signal);
    else if (openings++ >= OPENINGS_MAX) throw failure;
    const server = await control.listDevices(signal);
    if (server.serverId !== serverId) openings = 1;
    serverId = server.serverId;
    const { connection } = await control.getLease(key, signal);
    return endpointsOf((connection ?? grant.connection).dataEndpoints, transports);
  };
}

/** What the parts of a lease tell each other about its end. */
class LeaseLife {
  readonly listeners = new Set<(notice: LeaseNotice) => void>();
  readonly connectionListeners = new Set<(change: ConnectionChange) => void>();
  session: Session | undefined;
  devices: readonly Device[] = [];
  readonly #controller = new AbortController();

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  end(error: SluiceError): void {
    if (!this.signal.aborted) this.#controller.abort(error);
    this.session?.fail(error);
  }
}

function startHolder(grant: LeaseGrant, life: LeaseLife): Holder {
  return new Holder({
    control: grant.control,
    key: grant.key,
    connection: grant.connection,
    onNotice: (notice) => {
      for (const listener of life.listeners) listener(notice);
    },
    onResized: (index, size) => life.devices[index]?.noteSize(size),
    onEnded: (error) => life.end(error),
  });
}

/** Asks the server for another size of a slice. */
function resizer({ control, key }: LeaseGrant, index: number): (bytes: number, yielded: boolean) => Promise<SliceSize> {
  return async (bytes, yielded) => {
    const { slice, revision } = await control.resize(key, { index, memoryBytes: bytes, yielded });
    return { bytes: slice!.memoryBytes, revision };
  };
}

/** For a lease that another program holds: whether it still is, which explains a broken connection. */
async function askForReason(grant: LeaseGrant): Promise<SluiceError | undefined> {
  try {
    await grant.control.getLease(grant.key);
    return undefined;
  } catch (error) {
    const reason = toSluiceError(error);
    return reason.code === "SERVER_UNREACHABLE" ? undefined : reason;
  }
}
