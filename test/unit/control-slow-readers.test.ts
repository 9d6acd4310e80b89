/** Streams of clients that do not read: what the server keeps for them, and what it leaves out. */
import { randomBytes } from "node:crypto";
import { Writable } from "node:stream";
import { Metadata } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, it } from "vitest";
import { contract } from "../../proto/load.ts";
import { Access } from "../../server/access/access.ts";
import type { Broker } from "../../server/control/broker.ts";
import { type PoolServiceOptions, poolService } from "../../server/control/pool-service.ts";
import type { RequestListener } from "../../server/control/waiting-requests.ts";
import { Store } from "../../server/store/store.ts";
import { TestClock } from "../support/test-clock.ts";

/** A stream of gRPC's server side whose reader takes a message only when it is told to. */
class StalledCall extends Writable {
  readonly metadata = new Metadata();
  readonly request: object;
  readonly taken: { queued?: { position: number }; granted?: object; beat?: object }[] = [];
  #next: (() => void) | undefined;
  cancelled = false;

  constructor(request: object) {
    super({ objectMode: true, highWaterMark: 4 });
    this.request = request;
  }

  getPeer(): string {
    return "127.0.0.1:1";
  }

  override _write(message: StalledCall["taken"][number], _encoding: string, next: () => void): void {
    this.taken.push(message);
    this.#next = next;
  }

  /** Lets the reader take all that is there. */
  async readAll(): Promise<void> {
    while (this.#next !== undefined) {
      const next = this.#next;
      this.#next = undefined;
      next();
      await new Promise(setImmediate);
    }
  }
}

let store: Store;
let clock: TestClock;
let access: Access;

beforeEach(() => {
  store = new Store(":memory:", () => {});
  clock = new TestClock();
  access = new Access({ store, clock, randomBytes, requireToken: false, requestsPerSecond: 0, tls: undefined });
});
afterEach(() => {
  access.close();
  store.close();
});

function begin(method: "Allocate" | "Hold", call: StalledCall, broker: object): void {
  const submit = (): void => {};
  const options = { broker: broker as Broker, clock, heartbeatTimeoutMs: 30_000, dataEndpoints: [], submit };
  const handlers = poolService({ ...options, onInternalError: () => {} } as unknown as PoolServiceOptions);
  const guarded = access.guard(contract.PoolService.service, handlers, "tenant");
  (guarded[method] as unknown as (call: StalledCall) => void)(call);
}

it("a waiting client that does not read gets the latest place, not every one that it had", async () => {
  const request = contract.PoolService.service.Allocate.requestDeserialize(
    contract.PoolService.service.Allocate.requestSerialize({ memoryBytes: 4096, waitMs: 1_000 }),
  );
  const call = new StalledCall(request);
  let listener: RequestListener | undefined;
  begin("Allocate", call, {
    request: (_wish: object, listens: RequestListener) => {
      listener = listens;
      return () => {};
    },
  });
  for (let position = 10_000; position > 0; position--) listener!.queued("lease-1", { position, reasons: [] });
  expect(call.writableLength).toBeLessThanOrEqual(4);
  await call.readAll();
  const positions = call.taken.map(({ queued }) => queued!.position);
  expect(positions.length).toBeLessThanOrEqual(5);
  expect(positions.at(-1)).toBe(1);
});

it("a holder that does not read gets no more beats than fit, and its lease is beaten for all the same", async () => {
  const call = new StalledCall({});
  let beats = 0;
  begin("Hold", call, {
    lease: () => ({ tenant: "local" }),
    hold: () => ({ beat: () => beats++, leave: () => {} }),
  });
  const secret = Buffer.alloc(32);
  for (let index = 0; index < 1_000; index++) {
    call.emit("data", { leaseId: "lease-1", secret });
    // What comes faster than a hundred times a second counts as one.
    call.emit("data", { leaseId: "lease-1", secret });
    clock.advance(10);
  }
  expect(beats).toBe(1_000);
  expect(call.writableLength).toBeLessThanOrEqual(4);
  await call.readAll();
  expect(call.taken.length).toBeLessThanOrEqual(5);
});
