/** The control plane as promises: one gRPC client per pool. It knows requests and errors, no sessions and no devices. */
import { isIP } from "node:net";
import { checkServerIdentity } from "node:tls";
import {
  type ChannelCredentials,
  type ChannelOptions,
  type ClientReadableStream,
  type ClientUnaryCall,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import type { AdminServiceClient } from "../proto/generated/sluice/v1/AdminService.ts";
import type { AllocateRequest } from "../proto/generated/sluice/v1/AllocateRequest.ts";
import type { AllocateResponse__Output as AllocateResponse } from "../proto/generated/sluice/v1/AllocateResponse.ts";
import type { CancelQueuedRequest } from "../proto/generated/sluice/v1/CancelQueuedRequest.ts";
import type { CordonRequest } from "../proto/generated/sluice/v1/CordonRequest.ts";
import type { CreateTokenRequest } from "../proto/generated/sluice/v1/CreateTokenRequest.ts";
import type { CreateTokenResponse__Output as CreateTokenResponse } from "../proto/generated/sluice/v1/CreateTokenResponse.ts";
import type { DrainRequest } from "../proto/generated/sluice/v1/DrainRequest.ts";
import type { DrainResponse__Output as DrainResponse } from "../proto/generated/sluice/v1/DrainResponse.ts";
import type { ExplainResponse__Output as ExplainResponse } from "../proto/generated/sluice/v1/ExplainResponse.ts";
import type { ExtendRequest } from "../proto/generated/sluice/v1/ExtendRequest.ts";
import type { ExtendResponse__Output as ExtendResponse } from "../proto/generated/sluice/v1/ExtendResponse.ts";
import type { GetLeaseResponse__Output as GetLeaseResponse } from "../proto/generated/sluice/v1/GetLeaseResponse.ts";
import type { Granted__Output as Granted } from "../proto/generated/sluice/v1/Granted.ts";
import type { ListDevicesResponse__Output as ListDevicesResponse } from "../proto/generated/sluice/v1/ListDevicesResponse.ts";
import type { ListEventsRequest } from "../proto/generated/sluice/v1/ListEventsRequest.ts";
import type { ListEventsResponse__Output as ListEventsResponse } from "../proto/generated/sluice/v1/ListEventsResponse.ts";
import type { ListLeasesResponse__Output as ListLeasesResponse } from "../proto/generated/sluice/v1/ListLeasesResponse.ts";
import type { ListQuotasResponse__Output as ListQuotasResponse } from "../proto/generated/sluice/v1/ListQuotasResponse.ts";
import type { ListReservationsResponse__Output as ListReservationsResponse } from "../proto/generated/sluice/v1/ListReservationsResponse.ts";
import type { ListTokensResponse__Output as ListTokensResponse } from "../proto/generated/sluice/v1/ListTokensResponse.ts";
import type { ListUsageRequest } from "../proto/generated/sluice/v1/ListUsageRequest.ts";
import type { ListUsageResponse__Output as ListUsageResponse } from "../proto/generated/sluice/v1/ListUsageResponse.ts";
import type { PoolServiceClient } from "../proto/generated/sluice/v1/PoolService.ts";
import type { Reason__Output as Reason } from "../proto/generated/sluice/v1/Reason.ts";
import type { ReleaseResponse__Output as ReleaseResponse } from "../proto/generated/sluice/v1/ReleaseResponse.ts";
import type { ReserveRequest } from "../proto/generated/sluice/v1/ReserveRequest.ts";
import type { ReserveResponse__Output as ReserveResponse } from "../proto/generated/sluice/v1/ReserveResponse.ts";
import type { Resized__Output as Resized } from "../proto/generated/sluice/v1/Resized.ts";
import type { ResizeResponse__Output as ResizeResponse } from "../proto/generated/sluice/v1/ResizeResponse.ts";
import type { RevokeRequest } from "../proto/generated/sluice/v1/RevokeRequest.ts";
import type { RevokeResponse__Output as RevokeResponse } from "../proto/generated/sluice/v1/RevokeResponse.ts";
import type { RevokeTokenResponse__Output as RevokeTokenResponse } from "../proto/generated/sluice/v1/RevokeTokenResponse.ts";
import type { SetPriorityRequest } from "../proto/generated/sluice/v1/SetPriorityRequest.ts";
import type { SetPriorityResponse__Output as SetPriorityResponse } from "../proto/generated/sluice/v1/SetPriorityResponse.ts";
import type { SetQuotaRequest } from "../proto/generated/sluice/v1/SetQuotaRequest.ts";
import type { WatchPoolRequest } from "../proto/generated/sluice/v1/WatchPoolRequest.ts";
import type { WatchPoolResponse__Output as WatchPoolResponse } from "../proto/generated/sluice/v1/WatchPoolResponse.ts";
import { contract, fromStatus } from "../proto/load.ts";
import { type DeviceReason, type ReasonCode, SluiceError } from "../shared/errors.ts";
import { cancelled } from "./abort.ts";
import { bracketed, type HostPort, parseHostPort, SERVER_PORT_DEFAULT } from "./address.ts";
import { OUTAGE_MS_MAX, Outage } from "./outage.ts";
import { quietCredentials } from "./quiet-credentials.ts";
import type { ClientTls, ServerAccess } from "./server-access.ts";
import type { SubmitStream } from "./transport/transport.ts";
import { whyUnreachable } from "./unreachable.ts";

/** A request that the server answers at once. */
const REQUEST_TIMEOUT_MS = 10_000;

/** Releasing waits until the memory is back in the pool, which may mean killing an executor. */
const RELEASE_TIMEOUT_MS = 30_000;

/** How long a request that is called off waits for the server's first word, before it is simply cut off. */
const ABORT_PATIENCE_MS = 500;

/** A slice changes its size behind the call that runs now, which may take as long as a kernel may. */
const RESIZE_TIMEOUT_MS = 330_000;

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

/** Where a request stands in the queue, and why it waits. */
export interface QueuePlace {
  /** Id of the request in the pool; its lease will have it too. */
  readonly id?: string | undefined;
  /** From 1. */
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

type Unary<T> = (callback: (error: ServiceError | null, response?: T) => void) => ClientUnaryCall;

export interface ControlOptions {
  /** How long to wait for a server that was there and is away. Default: OUTAGE_MS_MAX. */
  readonly outageMs?: number;
}

export class Control {
  readonly server: HostPort;
  /** The server's address as it was given. */
  readonly address: string;
  /** What the data plane speaks too. Undefined: connections are not encrypted. */
  readonly tls: ClientTls | undefined;
  readonly #client: PoolServiceClient;
  readonly #admin: AdminServiceClient;
  /** Its connection does not keep the program alive: heartbeats alone must not. */
  readonly #quiet: PoolServiceClient;
  readonly #metadata = new Metadata();
  /** Where sessions of this server connect, as it said last: empty before it has. */
  dataEndpoints: readonly string[] = [];
  /** Whether the server has ever answered: only then is it waited for. */
  #wasThere = false;
  readonly #outageMs: number;
  #isClosed = false;

  constructor({ server, token, tls, outageMs }: ServerAccess & ControlOptions) {
    this.server = parseHostPort(server, SERVER_PORT_DEFAULT);
    this.address = server;
    this.tls = tls;
    this.#outageMs = outageMs ?? OUTAGE_MS_MAX;
    const target = `${bracketed(this.server.host)}:${this.server.port}`;
    const { host } = this.server;
    const options = { ...channelOptions, ...(tls === undefined ? {} : nameOptions(host)) };
    this.#client = new contract.PoolService(target, channelCredentials(tls, host), options);
    this.#admin = new contract.AdminService(target, channelCredentials(tls, host), options);
    this.#quiet = new contract.PoolService(target, quietCredentials(channelCredentials(tls, host)), options);
    if (token) this.#metadata.set("authorization", `Bearer ${headerText(token)}`);
  }

  async listDevices(signal?: AbortSignal): Promise<ListDevicesResponse> {
    const response = await this.#unary<ListDevicesResponse>(
      (callback) => this.#client.listDevices({}, this.#metadata, this.#options(), callback),
      signal,
    );
    this.dataEndpoints = response.dataEndpoints;
    return response;
  }

  listLeases(signal?: AbortSignal): Promise<ListLeasesResponse> {
    return this.#unary((callback) => this.#client.listLeases({}, this.#metadata, this.#options(), callback), signal);
  }

  /** What would become of the request, or why the one with this id waits. */
  explain(wish: AllocateRequest | { readonly queuedId: string }, signal?: AbortSignal): Promise<ExplainResponse> {
    const asked = "queuedId" in wish ? wish : { request: wish };
    return this.#unary((callback) => this.#client.explain(asked, this.#metadata, this.#options(), callback), signal);
  }

  getLease(key: LeaseKey, signal?: AbortSignal): Promise<GetLeaseResponse> {
    return this.#unary(
      (callback) => this.#client.getLease(asRequest(key), this.#metadata, this.#options(), callback),
      signal,
    );
  }

  release(lease: { readonly leaseId: string; readonly secret?: Uint8Array | undefined }): Promise<ReleaseResponse> {
    const request =
      lease.secret === undefined ? { leaseId: lease.leaseId } : asRequest({ ...lease, secret: lease.secret });
    const options = this.#options(RELEASE_TIMEOUT_MS);
    return this.#unary((callback) => this.#client.release(request, this.#metadata, options, callback));
  }

  async resize(
    lease: { readonly leaseId: string; readonly secret?: Uint8Array | undefined },
    wish: { readonly index: number; readonly memoryBytes: number; readonly yielded: boolean },
  ): Promise<Resized> {
    const { leaseId, secret } = lease;
    const request = { ...(secret === undefined ? { leaseId } : asRequest({ leaseId, secret })), ...wish };
    const { resized } = await this.#unary<ResizeResponse>((callback) =>
      this.#client.resize(request, this.#metadata, this.#options(RESIZE_TIMEOUT_MS), callback),
    );
    if (resized?.slice == null) throw new SluiceError("INTERNAL", "The server resizes a slice and does not show it.");
    return resized;
  }

  /** The admin's calls; ADMIN_ONLY unless the server takes the caller for one. */
  cordon(request: CordonRequest): Promise<unknown> {
    return this.#unary((callback) => this.#admin.cordon(request, this.#metadata, this.#options(), callback));
  }

  uncordon(deviceId: string): Promise<unknown> {
    return this.#unary((callback) => this.#admin.uncordon({ deviceId }, this.#metadata, this.#options(), callback));
  }

  revoke(request: RevokeRequest): Promise<RevokeResponse> {
    return this.#unary((callback) => this.#admin.revoke(request, this.#metadata, this.#options(), callback));
  }

  extend(request: ExtendRequest): Promise<ExtendResponse> {
    // Twice would be twice as long.
    return this.#unaryOnce((callback) => this.#admin.extend(request, this.#metadata, this.#options(), callback));
  }

  cancelQueued(request: CancelQueuedRequest): Promise<unknown> {
    return this.#unary((callback) => this.#admin.cancelQueued(request, this.#metadata, this.#options(), callback));
  }

  setPriority(request: SetPriorityRequest): Promise<SetPriorityResponse> {
    return this.#unary((callback) => this.#admin.setPriority(request, this.#metadata, this.#options(), callback));
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
    const stream = this.#admin.drain(request, this.#metadata);
    await this.#follow(stream, { onMessage: ({ leaseIds }: DrainResponse) => onLeft(leaseIds), signal });
  }

  reserve(request: ReserveRequest): Promise<ReserveResponse> {
    return this.#unary((callback) => this.#admin.reserve(request, this.#metadata, this.#options(), callback));
  }

  unreserve(reservationId: string): Promise<unknown> {
    return this.#unary((callback) =>
      this.#admin.unreserve({ reservationId }, this.#metadata, this.#options(), callback),
    );
  }

  listReservations(): Promise<ListReservationsResponse> {
    return this.#unary((callback) => this.#admin.listReservations({}, this.#metadata, this.#options(), callback));
  }

  setQuota(request: SetQuotaRequest): Promise<unknown> {
    return this.#unary((callback) => this.#admin.setQuota(request, this.#metadata, this.#options(), callback));
  }

  listQuotas(): Promise<ListQuotasResponse> {
    return this.#unary((callback) => this.#admin.listQuotas({}, this.#metadata, this.#options(), callback));
  }

  createToken(request: CreateTokenRequest): Promise<CreateTokenResponse> {
    return this.#unary((callback) => this.#admin.createToken(request, this.#metadata, this.#options(), callback));
  }

  listTokens(): Promise<ListTokensResponse> {
    return this.#unary((callback) => this.#admin.listTokens({}, this.#metadata, this.#options(), callback));
  }

  revokeToken(tokenId: string): Promise<RevokeTokenResponse> {
    return this.#unary((callback) => this.#admin.revokeToken({ tokenId }, this.#metadata, this.#options(), callback));
  }

  listEvents(request: ListEventsRequest): Promise<ListEventsResponse> {
    return this.#unary((callback) => this.#admin.listEvents(request, this.#metadata, this.#options(), callback));
  }

  listUsage(request: ListUsageRequest): Promise<ListUsageResponse> {
    return this.#unary((callback) => this.#admin.listUsage(request, this.#metadata, this.#options(), callback));
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
    for (;;) {
      const left = Math.max(0, Math.round(waitMs - (performance.now() - startedAt)));
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
        else patience = setTimeout(() => stream.cancel(), ABORT_PATIENCE_MS);
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      const settle = (): void => {
        clearTimeout(patience);
        signal?.removeEventListener("abort", onAbort);
      };
      /** Nobody wants the lease any more. */
      const giveBack = (lease: { leaseId?: string; secret?: Buffer }): void => {
        void this.#giveBack(lease).then(() => reject(cancelled(signal)));
      };
      stream.on("data", (response: AllocateResponse) => {
        this.#wasThere = true;
        if (response.granted) {
          granted = response.granted;
          this.dataEndpoints = granted.connection?.dataEndpoints ?? [];
          settle();
          if (signal?.aborted) giveBack({ leaseId: granted.lease?.id ?? "", secret: granted.secret });
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
        // It may have been granted at the same moment, under the id that it had in the queue.
        if (signal?.aborted) giveBack(queuedId === undefined ? {} : { leaseId: queuedId });
        else reject(this.#failure(error));
      });
      stream.on("end", () => {
        settle();
        if (granted === undefined && !hasFailed)
          reject(new SluiceError("INTERNAL", "The server ends a request without a grant."));
      });
    });
  }

  /** Ends a lease that nobody has heard of, if there is one. What cannot be told to the server ends by its time-out. */
  async #giveBack({ leaseId, secret }: { readonly leaseId?: string; readonly secret?: Buffer }): Promise<void> {
    if (leaseId === undefined) return;
    const request = secret === undefined ? { leaseId } : { leaseId, secret };
    const options = this.#options();
    const asked = this.#unaryOnce((callback) => this.#client.release(request, this.#metadata, options, callback));
    await asked.catch(() => {});
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
    this.#admin.close();
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

  #options(timeoutMs = REQUEST_TIMEOUT_MS): { readonly deadline: number } {
    return { deadline: Date.now() + timeoutMs };
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

  /** Asks again while a server that was there is away: for questions, and for what may be done twice. */
  async #unary<T>(start: Unary<T>, signal?: AbortSignal): Promise<T> {
    let outage: Outage | undefined;
    for (;;) {
      try {
        const response = await this.#unaryOnce(start, signal);
        this.#wasThere = true;
        return response;
      } catch (error) {
        if (!this.#isAway(error)) throw error;
        outage ??= new Outage(this.#outageMs);
        await outage.pause(error, signal);
      }
    }
  }

  #unaryOnce<T>(start: Unary<T>, signal?: AbortSignal): Promise<T> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(cancelled(signal));
        return;
      }
      this.#refuseIfClosed();
      const onAbort = (): void => call.cancel();
      const call = start((error, response) => {
        signal?.removeEventListener("abort", onAbort);
        if (error !== null) reject(signal?.aborted ? cancelled(signal) : this.#failure(error));
        else resolve(response as T);
      });
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

/** A token for a header; gRPC's own complaint would quote it. */
function headerText(token: string): string {
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

const asRequest = (key: LeaseKey): { leaseId: string; secret: Buffer } => ({
  leaseId: key.leaseId,
  secret: Buffer.from(key.secret),
});
