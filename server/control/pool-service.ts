/**
 * The RPCs of pool.proto over the broker: checks messages, turns words into messages, and carries streams. It keeps no state
 * beyond its streams.
 */
import type { ServerDuplexStream, ServerWritableStream } from "@grpc/grpc-js";
import type { AllocateRequest__Output } from "../../proto/generated/sluice/v1/AllocateRequest.ts";
import type { AllocateResponse } from "../../proto/generated/sluice/v1/AllocateResponse.ts";
import type { Connection } from "../../proto/generated/sluice/v1/Connection.ts";
import type { HoldRequest__Output } from "../../proto/generated/sluice/v1/HoldRequest.ts";
import type { HoldResponse } from "../../proto/generated/sluice/v1/HoldResponse.ts";
import type { PoolServiceHandlers } from "../../proto/generated/sluice/v1/PoolService.ts";
import type { WatchPoolRequest__Output } from "../../proto/generated/sluice/v1/WatchPoolRequest.ts";
import type { WatchPoolResponse } from "../../proto/generated/sluice/v1/WatchPoolResponse.ts";
import { SluiceError } from "../../shared/errors.ts";
import { HEARTBEAT_INTERVAL_MS } from "../../shared/limits.ts";
import { actFor, auditAdmin, identityOf } from "../access/guard.ts";
import type { Visibility } from "../access/visibility.ts";
import type { Lease } from "../pool/types.ts";
import type { Broker } from "./broker.ts";
import type { Clock } from "./clock.ts";
import { explanationMessage } from "./explanation.ts";
import type { History } from "./history.ts";
import { pastFor } from "./history-series.ts";
import { describeLease, deviceMessages, leaseMessages, queueMessages } from "./listings.ts";
import {
  checkText,
  noticeMessage,
  reasonMessages,
  resizedMessage,
  suspensionMessage,
  toWish,
  usageMessage,
} from "./messages.ts";
import type { PoolWatch } from "./pool-watch.ts";
import type { PriorityClasses } from "./request-terms.ts";
import { statusOf, type UnaryOptions, unary } from "./unary.ts";

export interface PoolServiceOptions extends UnaryOptions {
  readonly broker: Broker;
  readonly visibility: Visibility;
  readonly watch: PoolWatch;
  readonly history: History;
  readonly clock: Clock;
  readonly serverVersion: string;
  /** Random id of this run of the server. */
  readonly serverId: string;
  /** As in `Connection`, best first. */
  readonly dataEndpoints: readonly string[];
  /** Takes a data connection inside gRPC. */
  readonly submit: PoolServiceHandlers["Submit"];
  readonly heartbeatTimeoutMs: number;
  readonly priorityClasses: PriorityClasses;
}

type AllocateCall = ServerWritableStream<AllocateRequest__Output, AllocateResponse>;
type WatchCall = ServerWritableStream<WatchPoolRequest__Output, WatchPoolResponse>;
type HoldCall = ServerDuplexStream<HoldRequest__Output, HoldResponse>;

/** Beats of one stream that come faster count as one. */
const BEAT_STEP_MS = 10;

/** A third of the time-out, so that two beats may be lost; no more often than needed. */
const heartbeatIntervalMs = (timeoutMs: number): number =>
  Math.max(1, Math.min(HEARTBEAT_INTERVAL_MS, Math.floor(timeoutMs / 3)));

export function poolService(options: PoolServiceOptions): PoolServiceHandlers {
  return {
    Allocate: (call) => new Streams(options).allocate(call),
    Hold: (call) => new Streams(options).hold(call),
    GetLease: unary(options, ({ leaseId, secret }, call) => {
      const lease = options.broker.lease(leaseId, secret);
      actFor(call, lease.tenant);
      return { lease: describeLease(options.broker, lease), connection: connectionFor(options, lease) };
    }),
    Explain: unary(options, ({ request, queuedId }, call) => {
      if (queuedId !== "") {
        const { explanation, tenant } = options.broker.queue.explain(queuedId);
        actFor(call, tenant);
        return explanationMessage(explanation);
      }
      if (request === null) throw new SluiceError("BAD_ARGUMENT", "There is no request to explain.");
      const { broker, priorityClasses: classes } = options;
      return explanationMessage(broker.explain(toWish(request, { ...identityOf(call), classes })));
    }),
    Submit: options.submit,
    Release: unary(options, async ({ leaseId, secret }, call) => {
      actFor(call, options.broker.ownerOf(leaseId));
      const { usage, released } = await options.broker.release(leaseId, secret);
      return { usage: usageMessage(usage), released };
    }),
    Resize: unary(options, async ({ leaseId, secret, index, memoryBytes, yielded }, call) => {
      actFor(call, options.broker.ownerOf(leaseId));
      const resized = await options.broker.resize(leaseId, secret, { index, bytes: memoryBytes, yielded });
      return { resized: resizedMessage(resized) };
    }),
    Suspend: unary(options, async ({ leaseId, secret, message }, call) => {
      actFor(call, options.broker.ownerOf(leaseId));
      auditAdmin(call);
      const { role, tenant } = identityOf(call);
      const byAdmin = role === "admin";
      const why =
        checkText("message", message) || (byAdmin ? "An admin suspends the lease." : `[${tenant}] suspends it.`);
      const { suspension } = await options.broker.suspensions.suspend(leaseId, secret, { message: why, byAdmin });
      return suspension === undefined ? {} : { suspension: suspensionMessage(suspension) };
    }),
    Resume: unary(options, ({ leaseId, secret }, call) => {
      actFor(call, options.broker.ownerOf(leaseId));
      auditAdmin(call);
      const place = options.broker.suspensions.resume(leaseId, secret, identityOf(call).role === "admin");
      return { position: place?.position ?? 0, reasons: reasonMessages(place?.reasons ?? []) };
    }),
    ListDevices: unary(options, () => ({
      devices: deviceMessages(options.broker),
      serverVersion: options.serverVersion,
      serverId: options.serverId,
      dataEndpoints: [...options.dataEndpoints],
    })),
    ListLeases: unary(options, (_request, call) => {
      const { broker, visibility } = options;
      const identity = identityOf(call);
      return {
        leases: leaseMessages(broker).map((lease) => visibility.leaseSeenBy(identity, lease)),
        queue: queueMessages(broker).map((entry) => visibility.entrySeenBy(identity, entry)),
      };
    }),
    WatchPool: (call) => new Streams(options).watch(call),
    GetLeaseHistory: unary(options, ({ leaseId }, call) => {
      actFor(call, options.broker.ownerOf(leaseId));
      return { moments: options.broker.pastOf(leaseId).map(({ atMs, activity }) => ({ atMs, activity })) };
    }),
    GetHistory: unary(options, (question, call) => pastFor(options.history, identityOf(call), question)),
  };
}

function connectionFor({ dataEndpoints, heartbeatTimeoutMs }: PoolServiceOptions, lease: Lease): Connection {
  return {
    dataEndpoints: [...dataEndpoints],
    heartbeatIntervalMs: heartbeatIntervalMs(heartbeatTimeoutMs),
    heartbeatTimeoutMs: lease.detached ? 0 : heartbeatTimeoutMs,
  };
}

/** Tells a client the latest of what changes; of one that does not read, only the latest is kept. */
function latestOnly(call: AllocateCall): (message: AllocateResponse) => void {
  let latest: AllocateResponse | undefined;
  call.on("drain", () => {
    if (latest !== undefined && !call.writableEnded) call.write(latest);
    latest = undefined;
  });
  return (message) => {
    if (call.writableNeedDrain) latest = message;
    else call.write(message);
  };
}

/** The handlers of the streams. */
class Streams {
  readonly #options: PoolServiceOptions;

  constructor(options: PoolServiceOptions) {
    this.#options = options;
  }

  allocate(call: AllocateCall): void {
    const { broker, priorityClasses: classes } = this.#options;
    const fail = (error: unknown): void => {
      call.emit("error", statusOf(this.#options, error));
    };
    const tellPlace = latestOnly(call);
    try {
      const withdraw = broker.request(toWish(call.request, { ...identityOf(call), classes }), {
        requestId: call.request.requestId,
        queued: (id, { position, reasons, startsAt = 0 }) => {
          tellPlace({ queued: { position, reasons: reasonMessages(reasons), startsAtMs: startsAt, id } });
        },
        granted: ({ lease, secret, others, warnings }) => {
          if (call.cancelled) return false;
          const shown = (one: Lease) => describeLease(this.#options.broker, one);
          call.write({
            granted: {
              lease: shown(lease),
              secret,
              connection: connectionFor(this.#options, lease),
              warnings: [...warnings],
              others: others.map((other) => ({ lease: shown(other.lease), secret: other.secret })),
            },
          });
          call.end();
          return true;
        },
        refused: fail,
      });
      // Also when the client goes away, or its token ends: then nobody waits any more.
      call.on("cancelled", withdraw);
      call.on("error", withdraw);
    } catch (error) {
      fail(error);
    }
  }

  watch(call: WatchCall): void {
    try {
      const stop = this.#options.watch.open(identityOf(call), {
        intervalMs: call.request.intervalMs,
        send: (message, done) => {
          call.write(message, done);
        },
        cut: (error) => call.emit("error", statusOf(this.#options, error)),
      });
      call.on("cancelled", stop);
      call.on("error", stop);
    } catch (error) {
      call.emit("error", statusOf(this.#options, error));
    }
  }

  hold(call: HoldCall): void {
    const { broker, clock } = this.#options;
    let held: ReturnType<Broker["hold"]> | undefined;
    let over = false;
    let beatAt = Number.NEGATIVE_INFINITY;
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
      const now = clock.now();
      if (over || now - beatAt < BEAT_STEP_MS) return;
      beatAt = now;
      try {
        if (held === undefined) actFor(call, broker.lease(leaseId, secret).tenant);
        held ??= broker.hold(leaseId, secret, {
          notice: (notice) => {
            call.write({ notice: noticeMessage(notice) });
          },
          resized: (size) => {
            call.write({ resized: resizedMessage(size) });
          },
          ended: fail,
        });
        held.beat();
        // A client that does not read its beats gets no more of them.
        if (!over && !call.writableNeedDrain) call.write({ beat: { nowAtMs: now } });
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
