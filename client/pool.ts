/** The pool of one server or several, as a program sees it: what there is, and asking for a share of it. */
import type { Device__Output as DeviceInfo } from "../proto/generated/sluice/v1/Device.ts";
import type { Lease__Output as LeaseInfo } from "../proto/generated/sluice/v1/Lease.ts";
import type { QueueEntry__Output as QueueEntryInfo } from "../proto/generated/sluice/v1/QueueEntry.ts";
import type { Usage__Output as LeaseUsage } from "../proto/generated/sluice/v1/Usage.ts";
import { SluiceError } from "../shared/errors.ts";
import { formatSize } from "../shared/units.ts";
import {
  allocateRequest,
  checkedDevices,
  checkedFraction,
  type Duration,
  milliseconds,
  type ShareOptions,
  shareOptions,
  sizeInBytes,
} from "./allocate-options.ts";
import type { Control, LeaseKey, QueuePlace } from "./control.ts";
import { EarlyLink } from "./early-link.ts";
import { LEASE_VARIABLE, parseLeaseKeys, SESSION_WAIT_VARIABLE } from "./environment.ts";
import type { Explanation } from "./explanation.ts";
import { Fleet, type FromServer, onOwner, things } from "./fleet/index.ts";
import { firstFreeSession, SESSION_WAIT_MS_DEFAULT } from "./free-session.ts";
import { checkOptions, checkText, type KnownOptions } from "./known-options.ts";
import { Lease, type LeaseGrant } from "./lease.ts";
import { accessToServers } from "./server-access.ts";
import { type WaitOptions, waitOptions } from "./stream.ts";
import { endpointsOf, type TransportKind, transportKinds } from "./transport/open.ts";

export interface ConnectOptions {
  /**
   * Address of the server's gRPC port; of several servers, which are then one pool, with commas between them or as a list. Default: the
   * variable SLUICE_SERVER, else those of the bundle, else `localhost:7460`.
   */
  readonly server?: string | readonly string[];
  /** The same for all servers. Default: the variable SLUICE_TOKEN, else the file of SLUICE_TOKEN_FILE, else that of the bundle for each, else none. */
  readonly token?: string;
  /**
   * The CA of the server's certificate in PEM, or `system` for those that the system trusts. Default: the file of the variable SLUICE_CA,
   * else that of the bundle, else none: connections are then not encrypted.
   */
  readonly ca?: string;
  /** The client's certificate and key in PEM, for a server that asks for one. Default: the files of SLUICE_CERT and SLUICE_KEY. */
  readonly cert?: string;
  readonly key?: string;
  /** A file of `sluice token create --bundle`, with address, CA and token of each server. Default: the variable SLUICE_BUNDLE, else none. */
  readonly bundle?: string;
  /**
   * The lease to work under, as `LEASEID:SECRET`, or several with spaces between them; `allocate` then asks for no other and takes the
   * first that has no session. Default: the variable SLUICE_LEASE, which `sluice run` sets, else none.
   */
  readonly lease?: string;
  /** Kinds of data connections to use, of those that the server offers: at least one. Default: all; the server's best that works is taken. */
  readonly transports?: readonly TransportKind[];
  /**
   * How long to try to resume a session whose data connection breaks; the server bounds it. 0: not at all, the session then ends with its
   * connection. Default: 30 s.
   */
  readonly resume?: Duration;
  /**
   * How long requests wait for a server that was there and is away, such as while it starts anew. A request in the queue waits as long as
   * it would have waited there. Default 15s; 0: they fail at once.
   */
  readonly outage?: Duration;
  /** Ends the attempt to reach the server with CANCELLED, whose `cause` is the signal's reason; the pool itself it does not end. */
  readonly signal?: AbortSignal;
}

export interface AllocateOptions extends ShareOptions {
  /** Withdraws the request with CANCELLED, whose `cause` is the signal's reason, until there is a lease; the lease it does not end. */
  readonly signal?: AbortSignal;
  /** Told the place in the queue and the reasons, at once when the request has to wait, and whenever they change. */
  readonly onQueued?: (place: QueuePlace) => void;
  /** Receives what kernels print. Default: standard output. */
  readonly onOutput?: (text: string) => void;
}

const known = {
  connect: {
    ...waitOptions,
    server: "any",
    token: "secret",
    ca: "string",
    cert: "string",
    key: "secret",
    bundle: "string",
    lease: "secret",
    transports: "texts",
    resume: "any",
    outage: "any",
  } satisfies KnownOptions<ConnectOptions>,
  allocate: {
    ...shareOptions,
    ...waitOptions,
    onQueued: "function",
    onOutput: "function",
  } satisfies KnownOptions<AllocateOptions>,
  explain: { ...shareOptions, ...waitOptions } satisfies KnownOptions<ShareOptions & WaitOptions>,
};

/** With the address of the server whose it is, as it was given. */
export type OfServer<T> = T & { readonly server: string };

/** Who holds what, and who waits. */
export interface PoolLeases {
  readonly leases: readonly OfServer<LeaseInfo>[];
  /** In the order in which they would be served, for each server. */
  readonly queue: readonly OfServer<QueueEntryInfo>[];
}

/** What the server says of a request; of several servers the best answer, and those of the others in their order. */
export type PoolExplanation = OfServer<Explanation> & { readonly others?: readonly OfServer<Explanation>[] };

/**
 * Connects to a server, or to several as one pool. Of several, those that cannot be used are left out with a warning (`process.emitWarning`),
 * as long as one can.
 * @throws SluiceError SERVER_UNREACHABLE, UNAUTHENTICATED, BAD_ARGUMENT for an option of another kind, a malformed address, lease or file, CANCELLED.
 */
export async function connect(options: ConnectOptions = {}): Promise<Pool> {
  checkOptions("a connection", options, known.connect);
  const { env } = process;
  const lease = options.lease ?? env[LEASE_VARIABLE];
  const keys = lease ? parseLeaseKeys(lease) : [];
  // All of them now: the object is the caller's while the servers are asked.
  const { outage, signal, resume } = options;
  const poolOptions = {
    keys,
    transports: options.transports === undefined ? undefined : checkedTransports(options.transports),
    resumeMs: resume === undefined ? undefined : resumeTime(resume),
    sessionWaitMs: milliseconds("session wait", env[SESSION_WAIT_VARIABLE] || SESSION_WAIT_MS_DEFAULT),
  };
  const fleet = new Fleet(accessToServers(options, env), {
    ...(outage === undefined ? {} : { outageMs: milliseconds("outage", outage) }),
    tell: (words) => process.emitWarning(words, "SluiceWarning"),
  });
  try {
    // Any answer shows that a Sluice server is there, before the program relies on it.
    await fleet.greet(signal);
    return new Pool(fleet, poolOptions);
  } catch (error) {
    await fleet.close();
    throw error;
  }
}

function checkedTransports(kinds: readonly TransportKind[]): readonly TransportKind[] {
  if (kinds.length > 0 && kinds.every((kind) => transportKinds.includes(kind))) return [...kinds];
  const known = transportKinds.join(", ");
  throw new SluiceError(
    "BAD_ARGUMENT",
    `The transports of a connection are [${kinds.join(", ")}], and not some of [${known}].`,
  );
}

/** Beyond it a session that nobody comes back to would hold its share for too long. */
const RESUME_MS_MAX = 24 * 60 * 60 * 1000;

function resumeTime(duration: Duration): number {
  const resumeMs = milliseconds("resume", duration);
  if (resumeMs > RESUME_MS_MAX) throw new SluiceError("BAD_ARGUMENT", `A session is resumed within [1d] at most.`);
  return resumeMs;
}

interface PoolOptions {
  readonly keys: readonly LeaseKey[];
  readonly transports: readonly TransportKind[] | undefined;
  readonly resumeMs: number | undefined;
  /** How long to wait for a session of another's lease, where the request says nothing. */
  readonly sessionWaitMs: number;
}

/** A connection to the pool of one server or several, from `connect()`. */
export class Pool {
  readonly #fleet: Fleet;
  readonly #options: PoolOptions;
  readonly #leases = new Set<Lease>();
  /** Settled, however, when releases that are under way are over. */
  readonly #releasing = new Set<Promise<void>>();
  /** Requests for leases that are under way, and what calls each off. */
  readonly #asking = new Map<AbortController, Promise<void>>();
  #isClosed = false;

  /** Data endpoints that may be used. */
  readonly #choose = (all: readonly string[]): readonly string[] => endpointsOf(all, this.#options.transports);

  /** @internal */
  constructor(fleet: Fleet, options: PoolOptions) {
    this.#fleet = fleet;
    this.#options = options;
  }

  /**
   * Asks for a lease and attaches to its devices. Of several servers one serves the whole request: the one on which it fits best
   * (`policy`), or, where it has to wait, the first that has room. Under `sluice run` it attaches to that lease instead, if it covers the request:
   * all of its devices, or the first `devices` of them; that lease is neither kept alive nor released here. While other processes have the
   * sessions of all its leases, it waits for `wait`, or, without one, for SLUICE_SESSION_WAIT (35 s).
   * @throws SluiceError BAD_ARGUMENT, NO_CAPACITY (with the reasons in `details.reasons`), IMPOSSIBLE_REQUEST, QUEUE_FULL,
   * SHUTTING_DOWN, SESSION_BUSY, SERVER_UNREACHABLE, CANCELLED, CLOSED when the pool is closed before there is a lease, and the
   * handshake's errors.
   */
  async allocate(options: AllocateOptions): Promise<Lease> {
    if (this.#isClosed) throw closedPool();
    checkOptions("a request", options, known.allocate);
    const { signal } = options;
    const calledOff = new AbortController();
    const onAbort = (): void => calledOff.abort(signal?.reason);
    if (signal?.aborted) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });
    const asked = this.#ask({ ...options, signal: calledOff.signal });
    this.#asking.set(calledOff, settled(asked));
    try {
      return await asked;
    } catch (error) {
      throw this.#isClosed && calledOff.signal.aborted && !signal?.aborted ? closedPool() : error;
    } finally {
      this.#asking.delete(calledOff);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  async #ask(options: AllocateOptions): Promise<Lease> {
    const { keys, sessionWaitMs } = this.#options;
    if (keys.length === 0) return await this.#open(await this.#allocate(options), options);
    return await firstFreeSession({
      keys,
      attach: async (key) => await this.#open(await this.#adopt(key, options), options),
      isOwn: (leaseId) => [...this.#leases].some((lease) => lease.id === leaseId),
      askedWaitMs: options.wait === undefined ? undefined : milliseconds("wait", options.wait),
      defaultWaitMs: sessionWaitMs,
      signal: options.signal,
    });
  }

  async #open(grant: Grant, options: AllocateOptions): Promise<Lease> {
    const { transports, resumeMs } = this.#options;
    const lease: Lease = await Lease.open({
      ...grant,
      transports,
      resumeMs,
      onOutput: options.onOutput ?? printOutput,
      onReleasing: (release) => this.#leave(lease, release),
      signal: options.signal,
    });
    this.#leases.add(lease);
    return lease;
  }

  /**
   * Tells what would become of a request now, without making it. `wait` says how long it would wait, by default as long as it may (30 days);
   * with 0 it would be granted or refused at once.
   * @throws SluiceError BAD_ARGUMENT, SERVER_UNREACHABLE, CANCELLED.
   */
  async explain(options: ShareOptions & WaitOptions): Promise<PoolExplanation> {
    checkOptions("a request", options, known.explain);
    const request = allocateRequest({ ...options, wait: options.wait ?? "30d" });
    const [best, ...others] = await this.#fleet.explain(request, options.signal);
    return { ...ofServer(best), ...(others.length === 0 ? {} : { others: others.map(ofServer) }) };
  }

  /**
   * All devices, with what is lent and what is free. Servers that do not answer are left out, as long as one does.
   * @throws SluiceError SERVER_UNREACHABLE, UNAUTHENTICATED, BAD_ARGUMENT, CANCELLED, CLOSED.
   */
  async devices(options: WaitOptions = {}): Promise<readonly OfServer<DeviceInfo>[]> {
    checkOptions("a question", options, waitOptions);
    const lists = await this.#fleet.each(async (control) => (await control.listDevices(options.signal)).devices);
    return lists.flatMap(({ control, answer }) => answer.map((each) => ofServer({ control, answer: each })));
  }

  /** All leases, and the requests that wait, in the order in which they would be served. @throws SluiceError as `devices` does. */
  async leases(options: WaitOptions = {}): Promise<PoolLeases> {
    checkOptions("a question", options, waitOptions);
    const lists = await this.#fleet.each((control) => control.listLeases(options.signal));
    return {
      leases: lists.flatMap(({ control, answer }) => answer.leases.map((each) => ofServer({ control, answer: each }))),
      queue: lists.flatMap(({ control, answer }) => answer.queue.map((each) => ofServer({ control, answer: each }))),
    };
  }

  /**
   * Ends a lease of this tenant. Returns what it used; releasing a lease that has ended already succeeds.
   * @throws SluiceError LEASE_NOT_FOUND, BAD_ARGUMENT, SERVER_UNREACHABLE, CLOSED.
   */
  async release(leaseId: string): Promise<LeaseUsage | undefined> {
    checkText("The id of a lease", leaseId);
    const thing = { name: leaseId, kind: things.lease };
    const { answer } = await onOwner(this.#fleet, thing, (control, id) => control.release({ leaseId: id }));
    return answer.usage ?? undefined;
  }

  /** Withdraws requests for leases, releases the leases allocated here that are still held, waits for those that are being released, and closes the connection. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const calledOff of this.#asking.keys()) calledOff.abort(closedPool());
    await Promise.all(this.#asking.values());
    const leases = [...this.#leases];
    this.#leases.clear();
    await Promise.all([...this.#releasing, ...leases.map((lease) => lease[Symbol.asyncDispose]())]);
    await this.#fleet.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #leave(lease: Lease, release: Promise<unknown>): void {
    this.#leases.delete(lease);
    // What goes wrong is told to whoever releases the lease.
    const over = settled(release);
    this.#releasing.add(over);
    void over.then(() => this.#releasing.delete(over));
  }

  async #allocate(options: AllocateOptions): Promise<Grant> {
    const request = allocateRequest(options);
    const { onQueued, signal } = options;
    const wish = { request, choose: this.#choose, onQueued, signal };
    const { control, granted, early } = await this.#fleet.request(wish);
    const { lease, connection, secret, warnings } = granted;
    if (lease === null || connection === null) {
      early.drop();
      throw new SluiceError("INTERNAL", "The server grants without a lease.");
    }
    const key = { leaseId: lease.id, secret };
    return { control, info: lease, key, connection, devices: lease.slices.length, owned: true, warnings, early };
  }

  async #adopt(key: LeaseKey, options: AllocateOptions): Promise<Grant> {
    const { only } = this.#fleet;
    const early = new EarlyLink(
      only ?? this.#fleet.controls[0],
      only === undefined ? [] : this.#choose(only.dataEndpoints),
    );
    try {
      const thing = { name: key.leaseId, kind: things.lease };
      const { answer } = await onOwner(this.#fleet, thing, (control) => this.#find(control, key, options));
      return { ...answer, early };
    } catch (error) {
      early.drop();
      throw error;
    }
  }

  async #find(control: Control, key: LeaseKey, options: AllocateOptions): Promise<Grant> {
    const { lease, connection } = await control.getLease(key, options.signal);
    if (lease === null || connection === null)
      throw new SluiceError("INTERNAL", "The server knows the lease and does not show it.");
    const devices = checkedDevices(options.devices ?? lease.slices.length);
    if (devices > lease.slices.length) {
      throw uncovered(key, { asked: `${devices} devices`, has: `${lease.slices.length}` });
    }
    const slices = lease.slices.slice(0, devices);
    const pool = options.fraction === undefined ? [] : (await control.listDevices(options.signal)).devices;
    for (const slice of slices) {
      const asked = bytesAsked(
        options,
        pool.find((device) => device.id === slice.deviceId),
      );
      if (slice.memoryBytes >= asked) continue;
      throw uncovered(key, { asked: `${formatSize(asked)} per device`, has: formatSize(slice.memoryBytes) });
    }
    return { control, info: lease, key, connection, devices, owned: false };
  }
}

const ofServer = <T extends object>({ control, answer }: FromServer<T>): OfServer<T> => ({
  ...answer,
  server: control.address,
});

type Grant = Pick<LeaseGrant, "control" | "info" | "key" | "connection" | "devices" | "owned" | "warnings" | "early">;

/** Bytes of a slice that a request asks for: rounded as the server would. */
function bytesAsked(options: AllocateOptions, device: DeviceInfo | undefined): number {
  if (options.memory !== undefined) return sizeInBytes(options.memory);
  if (options.fraction === undefined || device === undefined) return 0;
  const { memoryBytes, granularityBytes } = device;
  return Math.floor((checkedFraction(options.fraction) * memoryBytes) / granularityBytes) * granularityBytes;
}

function uncovered(key: LeaseKey, { asked, has }: { asked: string; has: string }): SluiceError {
  return new SluiceError(
    "IMPOSSIBLE_REQUEST",
    `The program asks for [${asked}], and the lease [${key.leaseId}] that it runs under has [${has}].`,
    { leaseId: key.leaseId },
  );
}

const closedPool = (): SluiceError => new SluiceError("CLOSED", "The pool is closed.");

/** Resolves when the promise is settled, however. */
const settled = (promise: Promise<unknown>): Promise<void> =>
  promise.then(
    () => {},
    () => {},
  );

const printOutput = (text: string): void => {
  process.stdout.write(text);
};
