/** The control plane as promises: one gRPC client per pool. It knows requests and errors, no sessions and no devices. */
import { isIP } from "node:net";
import { checkServerIdentity } from "node:tls";
import {
  type ChannelCredentials,
  type ChannelOptions,
  type ClientReadableStream,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import type { MethodDefinition } from "@grpc/proto-loader";
import type { AllocateRequest } from "../proto/generated/sluice/v1/AllocateRequest.ts";
import type { AllocateResponse__Output as AllocateResponse } from "../proto/generated/sluice/v1/AllocateResponse.ts";
import type { DrainRequest } from "../proto/generated/sluice/v1/DrainRequest.ts";
import type { DrainResponse__Output as DrainResponse } from "../proto/generated/sluice/v1/DrainResponse.ts";
import type { ExtendRequest } from "../proto/generated/sluice/v1/ExtendRequest.ts";
import type { Granted__Output as Granted } from "../proto/generated/sluice/v1/Granted.ts";
import type { PoolServiceClient } from "../proto/generated/sluice/v1/PoolService.ts";
import type { Reason__Output as Reason } from "../proto/generated/sluice/v1/Reason.ts";
import type { WatchPoolRequest } from "../proto/generated/sluice/v1/WatchPoolRequest.ts";
import type { WatchPoolResponse__Output as WatchPoolResponse } from "../proto/generated/sluice/v1/WatchPoolResponse.ts";
import { contract, fromStatus } from "../proto/load.ts";
import { type DeviceReason, type ReasonCode, SluiceError } from "../shared/errors.ts";
import { cancelled } from "./abort.ts";
import { bracketed, type HostPort, parseHostPort, SERVER_PORT_DEFAULT, shortAddress } from "./address.ts";
import { OUTAGE_MS_MAX, Outage } from "./outage.ts";
import { quietCredentials } from "./quiet-credentials.ts";
import type { ClientTls, ServerAccess } from "./server-access.ts";
import type { SubmitStream } from "./transport/transport.ts";
import { whyUnreachable } from "./unreachable.ts";

/** A request that the server answers at once. */
const REQUEST_TIMEOUT_MS = 10_000;

/** Releasing waits until the memory is back in the pool, which may mean killing an executor. */
const RELEASE_TIMEOUT_MS = 30_000;

const WITHDRAW_MS_MAX = 500;

/** A slice changes its size behind the call that runs now, which may take as long as a kernel may. */
const RESIZE_TIMEOUT_MS = 330_000;

/** The same, and then all its memory is written to a disk. */
const SUSPEND_TIMEOUT_MS = 3_600_000;

/** A lost server is found soon and looked for often: a lease lives only as long as its heartbeats. */
const channelOptions: ChannelOptions = {
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 5_000,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.min_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 1_000,
  // A list of as many requests as may wait, and of as many leases.
  "grpc.max_receive_message_length": 128 * 1024 * 1024,
  // The data plane goes straight to the server, so the control plane does too.
  "grpc.enable_http_proxy": 0,
};

/** Where a request that waits on several servers stands on one of them. */
export interface ServerPlace {
  /** Its address, as it was given. */
  readonly server: string;
  /** The same, without the default port. */
  readonly name: string;
  /** Id of the request there; its lease will have it too. */
  readonly id?: string | undefined;
  /** From 1. */
  readonly position: number;
}

/** Where a request stands in the queue, and why it waits. */
export interface QueuePlace {
  /** Id of the request in the pool; its lease will have it too. Undefined where it waits on several servers. */
  readonly id?: string | undefined;
  /** Only where the pool has several servers: each on which the request waits. */
  readonly servers?: readonly ServerPlace[];
  /** From 1; the best of several servers. */
  readonly position: number;
  /** One per device, or one with an empty device for the request as a whole. */
  readonly reasons: readonly DeviceReason[];
  /**
   * When it is served, in milliseconds since the Unix epoch by the server's clock, if all who hold or are ahead use their whole time and nobody
   * comes before it: the latest for the first of the queue, an estimate for the next ones, undefined where that is not known.
   */
  readonly startsAtMs?: number | undefined;
}

export interface LeaseKey {
  readonly leaseId: string;
  readonly secret: Uint8Array;
}

type HoldStream = ReturnType<PoolServiceClient["hold"]>;

/** A lease by its id; its secret, where one has it, proves the right to it without a token. */
interface NamedLease {
  readonly leaseId: string;
  readonly secret?: Uint8Array | undefined;
}

interface AskOptions {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number;
}

const pool = contract.PoolService.service;
/** The admin's calls. */
export const admin = contract.AdminService.service;

export interface ControlOptions {
  /** How long to wait for a server that was there and is away. Default: OUTAGE_MS_MAX. */
  readonly outageMs?: number;
  /** How long a request that is called off waits for the server's first word, before it is simply cut off. Default: WITHDRAW_MS_MAX. */
  readonly withdrawMs?: number;
}

export class Control {
  readonly server: HostPort;
  /** The server's address as it was given. */
  readonly address: string;
  /** The same, as short as people say it. */
  readonly name: string;
  /** What the data plane speaks too. Undefined: connections are not encrypted. */
  readonly tls: ClientTls | undefined;
  readonly #client: PoolServiceClient;
  /** Its connection does not keep the program alive: heartbeats alone must not. */
  readonly #quiet: PoolServiceClient;
  readonly #metadata = new Metadata();
  /** Where sessions of this server connect, as it said last: empty before it has. */
  dataEndpoints: readonly string[] = [];
  /** Whether the server has ever answered: only then is it waited for. */
  #wasThere = false;
  readonly #outageMs: number;
  readonly #withdrawMs: number;
  #isClosed = false;

  constructor({ server, token, tls, outageMs, withdrawMs }: ServerAccess & ControlOptions) {
    this.server = parseHostPort(server, SERVER_PORT_DEFAULT);
    this.address = server;
    this.name = shortAddress(this.server);
    this.tls = tls;
    this.#outageMs = outageMs ?? OUTAGE_MS_MAX;
    this.#withdrawMs = withdrawMs ?? WITHDRAW_MS_MAX;
    const target = `${bracketed(this.server.host)}:${this.server.port}`;
    const { host } = this.server;
    const options = { ...channelOptions, ...(tls === undefined ? {} : nameOptions(host)) };
    this.#client = new contract.PoolService(target, channelCredentials(tls, host), options);
    this.#quiet = new contract.PoolService(target, quietCredentials(channelCredentials(tls, host)), options);
    if (token) this.#metadata.set("authorization", `Bearer ${headerText(token)}`);
  }

  /**
   * Calls an RPC that answers once. Asks again while a server that was there is away: for questions, and for what may be done twice. Those of
   * `admin` throw ADMIN_ONLY unless the server takes the caller for one.
   */
  async ask<Request, Response, Answer>(
    method: MethodDefinition<Request, Response, unknown, Answer>,
    request: Request,
    options: AskOptions = {},
  ): Promise<Answer> {
    let outage: Outage | undefined;
    for (;;) {
      try {
        const answer = await this.#askOnce(method, request, options);
        this.#wasThere = true;
        return answer;
      } catch (error) {
        if (!this.#isAway(error)) throw error;
        outage ??= new Outage(this.#outageMs);
        await outage.pause(error, options.signal);
      }
    }
  }

  async listDevices(signal?: AbortSignal) {
    const response = await this.ask(pool.ListDevices, {}, { signal });
    this.dataEndpoints = response.dataEndpoints;
    return response;
  }

  listLeases(signal?: AbortSignal) {
    return this.ask(pool.ListLeases, {}, { signal });
  }

  /** What would become of the request, or why the one with this id waits. */
  explain(wish: AllocateRequest | { readonly queuedId: string }, signal?: AbortSignal) {
    return this.ask(pool.Explain, "queuedId" in wish ? wish : { request: wish }, { signal });
  }

  getLease(key: LeaseKey, signal?: AbortSignal) {
    return this.ask(pool.GetLease, asRequest(key), { signal });
  }

  release(lease: NamedLease) {
    return this.ask(pool.Release, asRequest(lease), { timeoutMs: RELEASE_TIMEOUT_MS });
  }

  /** Resolves when the lease's memory is back in the pool. */
  suspend(lease: NamedLease, message: string) {
    return this.ask(pool.Suspend, { ...asRequest(lease), message }, { timeoutMs: SUSPEND_TIMEOUT_MS });
  }

  /** Where the lease waits for room: at place 0 when it need not. */
  async resume(lease: NamedLease): Promise<QueuePlace> {
    const { position, reasons } = await this.ask(pool.Resume, asRequest(lease));
    return { position, reasons: reasonsOf(reasons) };
  }

  async resize(
    lease: NamedLease,
    wish: { readonly index: number; readonly memoryBytes: number; readonly yielded: boolean },
  ) {
    const request = { ...asRequest(lease), ...wish };
    const { resized } = await this.ask(pool.Resize, request, { timeoutMs: RESIZE_TIMEOUT_MS });
    if (resized?.slice == null) throw new SluiceError("INTERNAL", "The server resizes a slice and does not show it.");
    return resized;
  }

  /** Later by so much; not asked twice, which would be twice as long. */
  extend(request: ExtendRequest) {
    return this.#askOnce(admin.Extend, request);
  }

  /** Follows the pool until `signal` is aborted; rejects when the stream breaks. */
  async watchPool(
    request: WatchPoolRequest,
    options: { readonly onChange: (change: WatchPoolResponse) => void; readonly signal: AbortSignal },
  ): Promise<void> {
    const { onChange, signal } = options;
    this.#refuseIfClosed();
    return this.#follow(this.#client.watchPool(request, this.#metadata), { onMessage: onChange, signal }).catch(
      (error: unknown) => {
        if (!signal.aborted) throw error;
      },
    );
  }

  /** Resolves when the device is empty; `onLeft` hears which leases are left. An aborted `signal` stops the telling, not the drain. */
  async drain(
    request: DrainRequest,
    options: { readonly onLeft: (leaseIds: readonly string[]) => void; readonly signal?: AbortSignal },
  ): Promise<void> {
    const { onLeft, signal } = options;
    if (signal?.aborted) throw cancelled(signal);
    this.#refuseIfClosed();
    const { path, requestSerialize, responseDeserialize } = admin.Drain;
    const stream = this.#client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      this.#metadata,
    );
    await this.#follow(stream, { onMessage: ({ leaseIds }: DrainResponse) => onLeft(leaseIds), signal });
  }

  /**
   * Waits for a grant for as long as the request says. A server that goes away meanwhile is asked again under the same request id, and
   * keeps the request's place. Rejects with CANCELLED when `signal` is aborted; the request is withdrawn.
   */
  async allocate(
    request: AllocateRequest,
    options: {
      readonly onQueued?: ((place: QueuePlace) => void) | undefined;
      /** Told once each time that the server goes away. */
      readonly onAway?: ((error: SluiceError) => void) | undefined;
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<Granted> {
    const { onQueued, onAway, signal } = options;
    const startedAt = performance.now();
    const waitMs = Number(request.waitMs ?? 0);
    let outage: Outage | undefined;
    const heard = (place: QueuePlace): void => {
      outage = undefined;
      onQueued?.(place);
    };
    // At first all of it, as whoever waits in vain is told how long that was.
    for (let left = waitMs; ; left = Math.max(0, Math.round(waitMs - (performance.now() - startedAt)))) {
      try {
        return await this.#allocateOnce({ ...request, waitMs: left }, { onQueued: heard, signal });
      } catch (error) {
        if (!this.#isAway(error)) throw error;
        if (outage === undefined) onAway?.(error);
        outage ??= new Outage(Math.max(this.#outageMs, left));
        await outage.pause(error, signal);
      }
    }
  }

  #allocateOnce(
    request: AllocateRequest,
    options: { readonly onQueued: (place: QueuePlace) => void; readonly signal: AbortSignal | undefined },
  ): Promise<Granted> {
    const { onQueued, signal } = options;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(cancelled(signal));
        return;
      }
      this.#refuseIfClosed();
      const stream = this.#client.allocate(request, this.#metadata);
      let granted: Granted | undefined;
      let queuedId: string | undefined;
      let hasFailed = false;
      let patience: NodeJS.Timeout | undefined;
      const onAbort = (): void => {
        if (granted !== undefined) return;
        if (queuedId !== undefined) stream.cancel();
        // A grant may be on its way, and only that names its lease.
        else patience = setTimeout(() => stream.cancel(), this.#withdrawMs);
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      const settle = (): void => {
        clearTimeout(patience);
        signal?.removeEventListener("abort", onAbort);
      };
      /** Nobody wants what may have been granted. */
      const withdraw = (over: Promise<void>): void => {
        void over.then(() => reject(cancelled(signal)));
      };
      stream.on("data", (response: AllocateResponse) => {
        this.#wasThere = true;
        if (response.granted) {
          granted = response.granted;
          this.dataEndpoints = granted.connection?.dataEndpoints ?? [];
          settle();
          if (signal?.aborted) withdraw(this.giveBack(granted));
          else resolve(granted);
        } else if (response.queued) {
          const { id, position, reasons, startsAtMs } = response.queued;
          queuedId = id;
          if (signal?.aborted) stream.cancel();
          else onQueued({ id, position, reasons: reasonsOf(reasons), startsAtMs: startsAtMs || undefined });
        }
      });
      stream.on("error", (error: ServiceError) => {
        settle();
        if (granted !== undefined) return;
        hasFailed = true;
        if (!signal?.aborted) reject(this.#failure(error));
        else if (queuedId === undefined) reject(cancelled(signal));
        else withdraw(this.#giveBackUnheard(queuedId, request));
      });
      stream.on("end", () => {
        settle();
        if (granted === undefined && !hasFailed)
          reject(new SluiceError("INTERNAL", "The server ends a request without a grant."));
      });
    });
  }

  /** Ends leases that nobody wants. What cannot be told to the server ends by its time-out. */
  async giveBack({ lease, secret, others }: Granted): Promise<void> {
    const all = [{ lease, secret }, ...others];
    await Promise.all(all.map((one) => this.#endQuietly({ leaseId: one.lease?.id ?? "", secret: one.secret })));
  }

  /** The request may have been granted at the moment in which it was withdrawn, under the id that it had in the queue. */
  async #giveBackUnheard(queuedId: string, request: AllocateRequest): Promise<void> {
    const wasGranted = await this.#endQuietly({ leaseId: queuedId });
    // The ids of its other leases only the grant tells: the server tells it again under the request's own id.
    if (!wasGranted || (request.leases ?? 1) < 2) return;
    const heard = { onQueued: () => {}, signal: undefined };
    await this.#allocateOnce({ ...request, waitMs: 0 }, heard).then(
      (granted) => this.giveBack(granted),
      () => {},
    );
  }

  /** Whether there was such a lease. */
  async #endQuietly({ leaseId, secret }: { readonly leaseId: string; readonly secret?: Buffer }): Promise<boolean> {
    const request = secret === undefined ? { leaseId } : { leaseId, secret };
    return await this.#askOnce(pool.Release, request).then(
      ({ released }) => released,
      () => false,
    );
  }

  /** A stream of heartbeats that does not keep the program alive. */
  hold(): HoldStream {
    this.#refuseIfClosed();
    return this.#quiet.hold(this.#metadata);
  }

  /** A stream that carries a data connection. */
  submit(): SubmitStream {
    this.#refuseIfClosed();
    return this.#quiet.submit(this.#metadata);
  }

  /** A closed one opens no stream and asks nothing any more. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  close(): void {
    this.#isClosed = true;
    this.#client.close();
    this.#quiet.close();
  }

  /** gRPC's own complaint has no code. */
  #refuseIfClosed(): void {
    if (this.#isClosed) throw new SluiceError("CLOSED", "The connection to the server is closed.");
  }

  /** Reads a stream to its end. Rejects with CANCELLED when `signal` is aborted. */
  #follow<T>(
    stream: ClientReadableStream<T>,
    options: { readonly onMessage: (message: T) => void; readonly signal?: AbortSignal | undefined },
  ): Promise<void> {
    const { onMessage, signal } = options;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => stream.cancel();
      signal?.addEventListener("abort", onAbort, { once: true });
      stream.on("data", (message: T) => {
        try {
          onMessage(message);
        } catch (error) {
          reject(error);
          stream.cancel();
        }
      });
      stream.on("error", (error: ServiceError) => {
        signal?.removeEventListener("abort", onAbort);
        reject(signal?.aborted ? cancelled(signal) : this.#failure(error));
      });
      stream.on("end", () => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      });
    });
  }

  /** Says which server it is that does not answer, in fewer words than gRPC. */
  #failure(error: ServiceError): SluiceError {
    const failure = fromStatus(error);
    // A call that nobody here has cancelled, or that ends in its middle, and without a word of Sluice: its server goes.
    const isCut = !hasWord(error) && (error.code === status.CANCELLED || isReset(error));
    if (failure.code !== "SERVER_UNREACHABLE" && !isCut) return failure;
    const why = whyUnreachable(error.details, this.tls !== undefined);
    const address = `${bracketed(this.server.host)}:${this.server.port}`;
    return new SluiceError("SERVER_UNREACHABLE", `The server [${address}] does not answer [${why}].`, { cause: error });
  }

  /** Whether the server was there, and is not any more or not yet again. */
  #isAway(error: unknown): error is SluiceError {
    if (!(error instanceof SluiceError) || error.code !== "SERVER_UNREACHABLE") return false;
    const cause = error.cause as ServiceError;
    const { code, details } = cause;
    // A connection that breaks was one.
    if (code === status.CANCELLED || BROKEN_CONNECTION.test(details)) this.#wasThere = true;
    return (code === status.UNAVAILABLE || code === status.CANCELLED || isReset(cause)) && this.#wasThere;
  }

  #askOnce<Request, Response, Answer>(
    method: MethodDefinition<Request, Response, unknown, Answer>,
    request: Request,
    { signal, timeoutMs = REQUEST_TIMEOUT_MS }: AskOptions = {},
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(cancelled(signal));
        return;
      }
      this.#refuseIfClosed();
      const onAbort = (): void => call.cancel();
      const { path, requestSerialize, responseDeserialize } = method;
      const options = { deadline: Date.now() + timeoutMs };
      const onEnd = (error: ServiceError | null, answer?: Answer): void => {
        signal?.removeEventListener("abort", onAbort);
        if (error !== null) reject(signal?.aborted ? cancelled(signal) : this.#failure(error));
        else resolve(answer as Answer);
      };
      const call = this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        this.#metadata,
        options,
        onEnd,
      );
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }
}

/** TLS asks a server for a name, and an address is none: then it asks for one that nobody has. The certificate must have the address. */
const nameOptions = (host: string): ChannelOptions =>
  isIP(host) > 0 ? { "grpc.ssl_target_name_override": "address.invalid" } : {};

/** @throws SluiceError BAD_ARGUMENT for PEM texts that cannot be used. */
function channelCredentials(tls: ClientTls | undefined, host: string): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  const bytes = (text: string | undefined): Buffer | null => (text === undefined ? null : Buffer.from(text));
  try {
    return credentials.createSsl(bytes(tls.ca), bytes(tls.key), bytes(tls.cert), {
      checkServerIdentity: (_name, certificate) => checkServerIdentity(host, certificate),
    });
  } catch {
    // What OpenSSL says of a broken key may quote it.
    throw new SluiceError("BAD_ARGUMENT", "The CA, the certificate or the key of the client cannot be used.");
  }
}

/** Far more than one has; a header that is larger than HTTP/2 takes would be tried for ever. */
const TOKEN_LENGTH_MAX = 1_024;

/** A token for a header; gRPC's own complaint would quote it. */
function headerText(token: string): string {
  if (token.length > TOKEN_LENGTH_MAX)
    throw new SluiceError(
      "BAD_ARGUMENT",
      `The token has [${token.length}] characters, and no token more than [${TOKEN_LENGTH_MAX}].`,
    );
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new SluiceError("BAD_ARGUMENT", "The token has characters that no token has.");
}
/** Whether the server itself says what is wrong. */
const hasWord = ({ metadata }: ServiceError): boolean => (metadata?.get("sluice-error-bin").length ?? 0) > 0;

/** Whether gRPC says that the stream of a call was broken off. */
const isReset = ({ code, details }: ServiceError): boolean =>
  code === status.INTERNAL && details.startsWith("Received RST_STREAM");

/** gRPC's words about a connection that it had. */
const BROKEN_CONNECTION = /Connection dropped|ECONNRESET|EPIPE|GOAWAY|RST_STREAM|Stream refused/;

/** Reasons of a message; a newer server may have codes that this version does not know. */
export const reasonsOf = (reasons: readonly Reason[]): DeviceReason[] =>
  reasons.map((reason) => ({ ...reason, code: reason.code as ReasonCode }));

const asRequest = ({ leaseId, secret }: NamedLease): { leaseId: string; secret?: Buffer } =>
  secret === undefined ? { leaseId } : { leaseId, secret: Buffer.from(secret) };
