/**
 * The RPCs of pool.proto over the broker: checks messages, turns words into messages, and carries streams. It keeps no state
 * beyond its streams.
 */
import type { ServerDuplexStream, ServerUnaryCall, ServerWritableStream, sendUnaryData } from "@grpc/grpc-js";
import type { AllocateRequest__Output } from "../../proto/generated/sluice/v1/AllocateRequest.ts";
import type { AllocateResponse } from "../../proto/generated/sluice/v1/AllocateResponse.ts";
import type { Connection } from "../../proto/generated/sluice/v1/Connection.ts";
import type { HoldRequest__Output } from "../../proto/generated/sluice/v1/HoldRequest.ts";
import type { HoldResponse } from "../../proto/generated/sluice/v1/HoldResponse.ts";
import type { PoolServiceHandlers } from "../../proto/generated/sluice/v1/PoolService.ts";
import type { WatchPoolRequest__Output } from "../../proto/generated/sluice/v1/WatchPoolRequest.ts";
import type { WatchPoolResponse } from "../../proto/generated/sluice/v1/WatchPoolResponse.ts";
import { toStatus } from "../../proto/load.ts";
import { SluiceError, toSluiceError } from "../../shared/errors.ts";
import { HEARTBEAT_INTERVAL_MS } from "../../shared/limits.ts";
import { bearerOf } from "../access/bearer.ts";
import type { Gate } from "../access/identity.ts";
import type { Lease } from "../pool/types.ts";
import type { Broker } from "./broker.ts";
import type { Clock } from "./clock.ts";
import { explanationMessage } from "./explanation.ts";
import { describeLease, deviceMessages, leaseMessages, queueMessages } from "./listings.ts";
import { noticeMessage, reasonMessages, toWish, usageMessage } from "./messages.ts";
import type { PoolWatch } from "./pool-watch.ts";
import type { PriorityClasses } from "./request-terms.ts";

export interface PoolServiceOptions {
  readonly broker: Broker;
  readonly watch: PoolWatch;
  readonly gate: Gate;
  readonly clock: Clock;
  readonly serverVersion: string;
  /** Random id of this run of the server. */
  readonly serverId: string;
  /** As in `Connection`, best first. */
  readonly dataEndpoints: readonly string[];
  readonly heartbeatTimeoutMs: number;
  readonly priorityClasses: PriorityClasses;
  readonly onInternalError: (error: SluiceError) => void;
}

type AllocateCall = ServerWritableStream<AllocateRequest__Output, AllocateResponse>;
type WatchCall = ServerWritableStream<WatchPoolRequest__Output, WatchPoolResponse>;
type HoldCall = ServerDuplexStream<HoldRequest__Output, HoldResponse>;

/** A third of the time-out, so that two beats may be lost; no more often than needed. */
const heartbeatIntervalMs = (timeoutMs: number): number =>
  Math.max(1, Math.min(HEARTBEAT_INTERVAL_MS, Math.floor(timeoutMs / 3)));

export function poolService(options: PoolServiceOptions): PoolServiceHandlers {
  return {
    Allocate: (call) => new Streams(options).allocate(call),
    Hold: (call) => new Streams(options).hold(call),
    GetLease: unary(options, ({ leaseId, secret }) => {
      const lease = options.broker.lease(leaseId, secret);
      return { lease: describeLease(options.broker, lease), connection: connectionFor(options, lease) };
    }),
    Explain: unary(options, ({ request }) => {
      if (request === null) throw new SluiceError("BAD_ARGUMENT", "There is no request to explain.");
      return explanationMessage(options.broker.explain(toWish(request, options.priorityClasses)));
    }),
    Release: unary(options, async ({ leaseId, secret }) => {
      const { usage, released } = await options.broker.release(leaseId, secret);
      return { usage: usageMessage(usage), released };
    }),
    ListDevices: unary(options, () => ({
      devices: deviceMessages(options.broker),
      serverVersion: options.serverVersion,
      serverId: options.serverId,
    })),
    ListLeases: unary(options, () => ({
      leases: leaseMessages(options.broker),
      queue: queueMessages(options.broker),
    })),
    WatchPool: (call) => new Streams(options).watch(call),
  };
}

function connectionFor({ dataEndpoints, heartbeatTimeoutMs }: PoolServiceOptions, lease: Lease): Connection {
  return {
    dataEndpoints: [...dataEndpoints],
    heartbeatIntervalMs: heartbeatIntervalMs(heartbeatTimeoutMs),
    heartbeatTimeoutMs: lease.detached ? 0 : heartbeatTimeoutMs,
  };
}

/** The error as a status; Sluice's own faults are also logged. */
function statusOf({ onInternalError }: PoolServiceOptions, cause: unknown): ReturnType<typeof toStatus> {
  const error = toSluiceError(cause);
  if (error.code === "INTERNAL") onInternalError(error);
  return toStatus(error);
}

/** A unary handler from a function that returns the answer or throws. */
function unary<Request, Response>(
  options: PoolServiceOptions,
  run: (request: Request) => Response | Promise<Response>,
) {
  return (call: ServerUnaryCall<Request, Response>, done: sendUnaryData<Response>): void => {
    Promise.resolve()
      .then(() => run(call.request))
      .then(
        (response) => done(null, response),
        (error: unknown) => done(statusOf(options, error)),
      );
  };
}

/** The handlers of the two streams. */
class Streams {
  readonly #options: PoolServiceOptions;

  constructor(options: PoolServiceOptions) {
    this.#options = options;
  }

  allocate(call: AllocateCall): void {
    const { broker, priorityClasses } = this.#options;
    const fail = (error: unknown): void => {
      call.emit("error", statusOf(this.#options, error));
    };
    try {
      const withdraw = broker.request(toWish(call.request, priorityClasses), {
        requestId: call.request.requestId,
        queued: (id, { position, reasons, startsAt = 0 }) => {
          call.write({ queued: { position, reasons: reasonMessages(reasons), startsAtMs: startsAt, id } });
        },
        granted: ({ lease, secret, warnings }) => {
          if (call.cancelled) return false;
          const connection = connectionFor(this.#options, lease);
          call.write({
            granted: { lease: describeLease(this.#options.broker, lease), secret, connection, warnings: [...warnings] },
          });
          call.end();
          return true;
        },
        refused: fail,
      });
      // Also when the client goes away: then nobody waits any more.
      call.on("cancelled", withdraw);
    } catch (error) {
      fail(error);
    }
  }

  watch(call: WatchCall): void {
    try {
      const { gate, watch } = this.#options;
      const stop = watch.open(gate.identify(bearerOf(call.metadata), call.getPeer()), {
        intervalMs: call.request.intervalMs,
        send: (message, done) => {
          call.write(message, done);
        },
        cut: (error) => call.emit("error", statusOf(this.#options, error)),
      });
      call.on("cancelled", stop);
    } catch (error) {
      call.emit("error", statusOf(this.#options, error));
    }
  }

  hold(call: HoldCall): void {
    const { broker, clock } = this.#options;
    let held: ReturnType<Broker["hold"]> | undefined;
    let over = false;
    const leave = (): void => {
      over = true;
      held?.leave();
    };
    const fail = (error: unknown): void => {
      if (over) return;
      leave();
      call.emit("error", statusOf(this.#options, error));
    };
    call.on("data", ({ leaseId, secret }: HoldRequest__Output) => {
      if (over) return;
      try {
        held ??= broker.hold(leaseId, secret, {
          notice: (notice) => {
            call.write({ notice: noticeMessage(notice) });
          },
          ended: fail,
        });
        held.beat();
        if (!over) call.write({ beat: { nowAtMs: clock.now() } });
      } catch (error) {
        fail(error);
      }
    });
    call.on("end", () => {
      if (over) return;
      leave();
      call.end();
    });
    call.on("cancelled", leave);
    call.on("error", leave);
  }
}
