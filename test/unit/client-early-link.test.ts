/** Connections that are made before there is a lease: what becomes of them when it is granted, refused, or has to wait. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Control, QueuePlace } from "../../client/control.ts";
import { EarlyLink, requestLease } from "../../client/early-link.ts";
import type { Granted__Output as Granted } from "../../proto/generated/sluice/v1/Granted.ts";
import { SluiceError } from "../../shared/errors.ts";
import { encodeWelcome, FrameKind } from "../../shared/generated/calls.ts";
import { messageFrame } from "../../shared/wire/frame.ts";
import { type FakeGpu, openFakeGpu, SECRET } from "../support/client-on-fake.ts";
import { FakeExecutor, type FakeExecutorOptions } from "../support/fake-executor.ts";
import { waitFor } from "../support/wait-for.ts";

const NOWHERE = "tcp://127.0.0.1:1";

let executor: FakeExecutor;
let gpu: FakeGpu | undefined;

beforeEach(async () => {
  executor = await FakeExecutor.start({ secret: SECRET });
});

afterEach(async () => {
  await gpu?.close();
  gpu = undefined;
  await executor.close();
});

/** As much of the control plane as a connection needs. */
const controlAt = (dataEndpoints: readonly string[], allocate?: Control["allocate"]): Control =>
  ({
    server: { host: "127.0.0.1", port: 1 },
    tls: undefined,
    dataEndpoints,
    submit: () => {
      throw new Error("Nobody asks for a stream.");
    },
    allocate,
  }) as unknown as Control;

const early = (...endpoints: string[]): EarlyLink => new EarlyLink(controlAt([]), endpoints);
const untilGreeted = (count = 1) => waitFor("the connection", () => executor.accepted === count && executor.connected);
const untilClosed = () => waitFor("the connection to be closed", () => !executor.connected);

describe("a connection that is there before its lease", () => {
  it("carries the session: there is no other, and nothing was said over it before", async () => {
    const link = early(`tcp://:${executor.port}`);
    await untilGreeted();
    expect(executor.hellos).toEqual([]);
    gpu = await openFakeGpu({}, { endpoints: [executor.endpoint], early: link });
    link.drop();
    expect(executor.accepted).toBe(1);
    expect(executor.names()).toEqual(["attach"]);
    await gpu.gpu.synchronize();
    expect(gpu.session.endpoint).toBe(executor.endpoint);
  });

  it("passes over what cannot be reached, and streams of gRPC", async () => {
    const link = early("grpc://", NOWHERE, executor.endpoint);
    gpu = await openFakeGpu({}, { endpoints: ["grpc://", NOWHERE, executor.endpoint], early: link });
    expect(executor.accepted).toBe(1);
    expect(executor.hellos).toHaveLength(1);
  });

  it("is closed when the lease is to be reached elsewhere", async () => {
    const other = await FakeExecutor.start({ secret: SECRET });
    gpu = await openFakeGpu({}, { endpoints: [other.endpoint], early: early(executor.endpoint) });
    expect(other.hellos).toHaveLength(1);
    await untilClosed();
    expect(executor.hellos).toEqual([]);
    await other.close();
  });

  it("is replaced where the server has given it up meanwhile", async () => {
    for (const giveUp of [
      () => executor.cut(),
      () => executor.hangUp(),
      () => executor.refuse("HANDSHAKE_TIMEOUT", "No HELLO comes."),
      () => executor.refuse("TOO_MANY_CONNECTIONS", "There are too many."),
    ]) {
      const before = executor.accepted;
      const link = early(executor.endpoint);
      await untilGreeted(before + 1);
      giveUp();
      gpu = await openFakeGpu({}, { endpoints: [executor.endpoint], early: link });
      expect(executor.accepted).toBe(before + 2);
      await gpu.gpu.synchronize();
      gpu.session.fail(new SluiceError("CLOSED", "The test is done with it."));
    }
  });

  it("over which a stranger welcomes a HELLO that nobody has said proves nothing", async () => {
    const link = early(executor.endpoint);
    await untilGreeted();
    const nothing = { proof: new Uint8Array(32), devices: 1, executed: 0, received: 0, resumeMs: 0 };
    executor.send(messageFrame(FrameKind.WELCOME, nothing, encodeWelcome));
    await untilClosed();
    gpu = await openFakeGpu({}, { endpoints: [executor.endpoint], early: link });
    expect(executor.accepted).toBe(2);
  });

  it("is closed when nobody takes it, also while it is made", async () => {
    const link = early(executor.endpoint);
    await untilGreeted();
    link.drop();
    link.drop();
    await untilClosed();
    expect(await link.take([executor.endpoint])).toBeUndefined();
    const hasty = early(executor.endpoint);
    hasty.drop();
    expect(await hasty.take([executor.endpoint])).toBeUndefined();
    await untilClosed();
  });

  it("that is taken is not closed by whoever drops the rest", async () => {
    const link = early(executor.endpoint);
    const taken = await link.take([executor.endpoint]);
    link.drop();
    expect(taken?.isOver).toBe(false);
    expect(await link.take([executor.endpoint])).toBeUndefined();
    taken?.destroy();
    await untilClosed();
  });
});

describe("a request for a lease", () => {
  const choose = (all: readonly string[]): readonly string[] => all;
  const place: QueuePlace = { position: 1, reasons: [] };

  it("connects meanwhile to the endpoints that may be used", async () => {
    const granted = {} as Granted;
    const control = controlAt([NOWHERE, executor.endpoint], async () => {
      await untilGreeted();
      return granted;
    });
    const chosen = (all: readonly string[]) => all.filter((each) => each !== NOWHERE);
    const answer = await requestLease(control, { request: {}, choose: chosen });
    expect(answer.granted).toBe(granted);
    (await answer.early.take([executor.endpoint]))!.destroy();
  });

  it("gives the connection up once it has to wait, and tells the place all the same", async () => {
    const places: QueuePlace[] = [];
    const control = controlAt([executor.endpoint], async (_request, { onQueued }) => {
      await untilGreeted();
      onQueued?.(place);
      await untilClosed();
      return {} as Granted;
    });
    const onQueued = (at: QueuePlace): void => void places.push(at);
    const answer = await requestLease(control, { request: {}, choose, onQueued });
    expect(places).toEqual([place]);
    expect(await answer.early.take([executor.endpoint])).toBeUndefined();
  });

  it("that is refused leaves no connection", async () => {
    const control = controlAt([executor.endpoint], async () => {
      await untilGreeted();
      throw new SluiceError("NO_CAPACITY", "There is none.");
    });
    await expect(requestLease(control, { request: {}, choose })).rejects.toThrow("There is none.");
    await untilClosed();
  });
});

it("a first connection that is refused because too many are under way is tried again", async () => {
  let refusals = 2;
  const full = { code: "TOO_MANY_CONNECTIONS", message: "There are too many." } as const;
  const refusing = {
    secret: SECRET,
    get refuse() {
      return refusals-- > 0 ? full : undefined;
    },
  };
  const crowded = await FakeExecutor.start(refusing as FakeExecutorOptions);
  gpu = await openFakeGpu({}, { endpoints: [crowded.endpoint] });
  expect(crowded.hellos).toHaveLength(3);
  await crowded.close();
});
