/**
 * A server of gRPC that says what a test makes it say: for races between servers that no real one can be brought to. It keeps no pool; it
 * remembers what it was asked, and what it was told to release.
 */
import { Server, ServerCredentials, type ServerWritableStream } from "@grpc/grpc-js";
import type { AllocateRequest__Output as AllocateRequest } from "../../proto/generated/sluice/v1/AllocateRequest.ts";
import type { AllocateResponse } from "../../proto/generated/sluice/v1/AllocateResponse.ts";
import type { PoolServiceHandlers } from "../../proto/generated/sluice/v1/PoolService.ts";
import type { ReleaseRequest__Output as ReleaseRequest } from "../../proto/generated/sluice/v1/ReleaseRequest.ts";
import { contract, toStatus } from "../../proto/load.ts";
import { type ErrorCode, SluiceError } from "../../shared/errors.ts";

export const GiB = 2 ** 30;

/** A request that the server has been asked for. */
export class AskedLease {
  readonly request: AllocateRequest;
  readonly #call: ServerWritableStream<AllocateRequest, AllocateResponse>;
  isCancelled = false;

  constructor(call: ServerWritableStream<AllocateRequest, AllocateResponse>) {
    this.#call = call;
    this.request = call.request;
    call.on("cancelled", () => {
      this.isCancelled = true;
    });
    call.on("error", () => {});
  }

  queue(id: string, position = 1): void {
    this.#call.write({ queued: { id, position, reasons: [] } });
  }

  /** As the real one, it grants nothing to who is gone: false. */
  grant(id: string, others: readonly string[] = []): boolean {
    if (this.isCancelled) return false;
    this.#call.write({ granted: { ...grantOf(id), connection: { dataEndpoints: [] }, others: others.map(grantOf) } });
    this.#call.end();
    return true;
  }

  refuse(code: ErrorCode, message = "No."): void {
    this.#call.emit("error", toStatus(new SluiceError(code, message)));
  }
}

const grantOf = (id: string) => ({ lease: { id }, secret: Buffer.alloc(32, id) });

type Explanation = "now" | "later" | "hang" | SluiceError;

export class FakeServer {
  /** HOST:PORT. */
  readonly address: string;
  readonly asked: AskedLease[] = [];
  readonly released: ReleaseRequest[] = [];
  /** What it would do with a request. */
  explains: Explanation = "now";
  /** Of its only device `null:0`. */
  freeBytes = 4 * GiB;
  leaseIds: readonly string[] = [];
  /** What a test has granted, if it notes so. */
  readonly grantedIds: string[] = [];
  isStopped = false;
  /** Called for each request. Default: it is left for the test to answer. */
  onAsked: (asked: AskedLease) => void = () => {};
  readonly #server: Server;

  private constructor(server: Server, address: string) {
    this.#server = server;
    this.address = address;
  }

  static async start(address = "127.0.0.1:0"): Promise<FakeServer> {
    const server = new Server();
    let fake: FakeServer | undefined;
    server.addService(contract.PoolService.service, handlers(() => fake!) as PoolServiceHandlers);
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    fake = new FakeServer(server, `127.0.0.1:${port}`);
    return fake;
  }

  get releasedIds(): string[] {
    return this.released.map(({ leaseId }) => leaseId);
  }

  /** As a server that is killed: its connections break. */
  stop(): void {
    this.isStopped = true;
    this.#server.forceShutdown();
  }
}

function handlers(fake: () => FakeServer): Partial<PoolServiceHandlers> {
  return {
    Explain: (_call, callback) => {
      const { explains } = fake();
      if (explains === "hang") return;
      if (explains === "now") callback(null, { granted: { slices: [{ deviceId: "null:0", memoryBytes: GiB }] } });
      else if (explains === "later") callback(null, { queued: { position: 1 } });
      else if (explains.code === "UNAUTHENTICATED") callback(toStatus(explains));
      else {
        const { code, message, details } = explains;
        callback(null, { refused: { code, message, reasons: [...(details.reasons ?? [])] } });
      }
    },
    ListDevices: (_call, callback) => {
      const { explains, freeBytes } = fake();
      if (explains === "hang") return;
      if (explains instanceof SluiceError && explains.code === "UNAUTHENTICATED") callback(toStatus(explains));
      else callback(null, { devices: [{ id: "null:0", memoryBytes: 8 * GiB, freeBytes }] });
    },
    ListLeases: (_call, callback) => {
      if (fake().explains !== "hang") callback(null, { leases: fake().leaseIds.map((id) => ({ id })) });
    },
    Allocate: (call) => {
      const asked = new AskedLease(call);
      fake().asked.push(asked);
      fake().onAsked(asked);
    },
    Release: (call, callback) => {
      fake().released.push(call.request);
      if (fake().leaseIds.includes(call.request.leaseId) || call.request.secret.length > 0) {
        callback(null, { released: true });
      } else callback(toStatus(new SluiceError("LEASE_NOT_FOUND", `There is no lease [${call.request.leaseId}].`)));
    },
  };
}
