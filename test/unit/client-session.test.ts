/** Sessions on a fake executor: handshake, batches, answers in any order, failures, the end, back-pressure. */
import { connect as connectSocket, createServer } from "node:net";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Session } from "../../client/session.ts";
import { SluiceError } from "../../shared/errors.ts";
import { encodeFailure, FrameKind } from "../../shared/generated/calls.ts";
import { BATCH_BYTES, CLIENT_BACKLOG_BYTES_MAX } from "../../shared/limits.ts";
import { FrameWriter } from "../../shared/wire/frame.ts";
import { LEASE_ID, openFakeGpu, SECRET } from "../support/client-on-fake.ts";
import { FakeExecutor, kernelInfo } from "../support/fake-executor.ts";
import { collectGarbage } from "../support/garbage.ts";
import { inTime, waitFor } from "../support/wait-for.ts";

const MiB = 1024 * 1024;
const single = { grid: 1, block: 1 };

async function failureOf(work: Promise<unknown>): Promise<SluiceError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof SluiceError) return error;
    throw error;
  }
  throw new Error("It did not fail.");
}

/** Frames of calls since the session was opened: attach is the first. */
const framesOf = (executor: FakeExecutor): number[] => executor.frames.slice(1).map((frame) => frame.calls);

describe("the handshake", () => {
  it("proves the secret without sending it, and attaches behind HELLO without waiting", async () => {
    const fake = await openFakeGpu();
    expect(fake.executor.hellos).toHaveLength(1);
    expect(fake.executor.hellos[0]).toMatchObject({ leaseId: LEASE_ID, protocolVersion: 2 });
    expect(fake.executor.hellos[0]!.clientVersion).toMatch(/^sluice-js\/\d+\.\d+\.\d+/);
    expect(fake.executor.names()).toEqual(["attach"]);
    expect(fake.gpu).toMatchObject({
      name: "Fake",
      id: "null:0",
      kind: "null",
      index: 0,
      capability: { major: 8, minor: 0 },
    });
    expect(fake.gpu.attributes.get(16)).toBe(4);
    await fake.close();
  });

  it.each([
    [{ fingerprint: "0123456789abcdef" }, "FINGERPRINT_MISMATCH", /0123456789abcdef.*sluice-js/],
    [{ wrongProof: true }, "SERVER_IDENTITY", /does not prove/],
    [{ secret: new Uint8Array(32) }, "WRONG_SECRET", /proof is wrong/],
    [{ refuse: { code: "SESSION_BUSY", message: "Another session is attached." } }, "SESSION_BUSY", /Another session/],
  ] as const)("ends with the error of the party that objects: %j", async (options, code, words) => {
    const error = await failureOf(openFakeGpu(options));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(words);
  });

  it("can be called off while the server says nothing", async () => {
    const controller = new AbortController();
    const opening = failureOf(openFakeGpu({ silent: true }, { signal: controller.signal }));
    setTimeout(() => controller.abort(), 20);
    expect((await opening).code).toBe("CANCELLED");
  });

  it("says which address does not answer", async () => {
    const gone = await FakeExecutor.start({ secret: SECRET });
    const { endpoint } = gone;
    await gone.close();
    const error = await failureOf(openFakeGpu({}, { endpoints: [endpoint] }));
    expect(error.code).toBe("SERVER_UNREACHABLE");
    expect(error.message).toContain(endpoint);
  });

  it("takes the first endpoint that it knows and can reach, and the gRPC host where none is named", async () => {
    const executor = await FakeExecutor.start({ secret: SECRET });
    const fake = await openFakeGpu(
      {},
      { endpoints: ["carrier-pigeon://coop", "tcp://127.0.0.1:1", `tcp://:${executor.port}`], host: "127.0.0.1" },
    );
    expect(executor.names()).toEqual(["attach"]);
    await fake.close();
    await executor.close();
    const error = await failureOf(openFakeGpu({}, { endpoints: ["carrier-pigeon://coop"] }));
    expect(error.code).toBe("UNSUPPORTED");
  });

  it("takes the bytes of a stranger for what they are", async () => {
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.write("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const error = await failureOf(openFakeGpu({}, { endpoints: [`tcp://127.0.0.1:${port}`] }));
    expect(error.code).toBe("PROTOCOL_ERROR");
    await new Promise((resolve) => server.close(resolve));
  });

  it("works when the network delivers one byte at a time", async () => {
    const executor = await FakeExecutor.start({ secret: SECRET });
    const slow = createServer({ noDelay: true }, (client) => {
      const upstream = connectSocket({ host: "127.0.0.1", port: executor.port, noDelay: true });
      client.pipe(upstream);
      let last = Promise.resolve();
      upstream.on("data", (chunk: Uint8Array) => {
        for (const byte of chunk) {
          last = last.then(
            () => new Promise((resolve) => client.write(Uint8Array.of(byte), () => setImmediate(resolve))),
          );
        }
      });
      upstream.on("error", () => {});
      client.on("error", () => {});
      upstream.on("close", () => client.destroy());
    });
    await new Promise<void>((resolve) => slow.listen(0, "127.0.0.1", resolve));
    const { port } = slow.address() as { port: number };
    const fake = await openFakeGpu({}, { endpoints: [`tcp://127.0.0.1:${port}`] });
    const bytes = Uint8Array.from({ length: 99 }, (_unused, index) => index);
    expect(await fake.gpu.upload(bytes).read(Uint8Array)).toEqual(bytes);
    await fake.close();
    await executor.close();
    await new Promise((resolve) => slow.close(resolve));
  });
});

describe("batching", () => {
  it("puts all calls of one tick into one frame, without a call that needs an answer", async () => {
    const fake = await openFakeGpu();
    const buffer = fake.gpu.alloc(256);
    for (let index = 0; index < 9; index++) buffer.fill(index);
    expect(fake.executor.frames).toHaveLength(1);
    await waitFor("the batch arrives", () => fake.executor.calls.length === 11);
    expect(framesOf(fake.executor)).toEqual([10]);
    await fake.close();
  });

  it("keeps one frame across awaits of what is already there", async () => {
    const fake = await openFakeGpu();
    const buffer = fake.gpu.alloc(256);
    for (let index = 0; index < 9; index++) {
      buffer.fill(index);
      await Promise.resolve();
    }
    await waitFor("the batch arrives", () => fake.executor.calls.length === 11);
    expect(framesOf(fake.executor)).toEqual([10]);
    await fake.close();
  });

  it("lets a call that needs an answer ride with the calls before it, and reads started together share a frame", async () => {
    const fake = await openFakeGpu();
    const [a, b] = [fake.gpu.upload(new Uint8Array(8)), fake.gpu.upload(new Uint8Array(8))];
    await Promise.all([a.read(Uint8Array), b.read(Uint8Array), fake.gpu.synchronize()]);
    expect(framesOf(fake.executor)).toEqual([7]);
    expect(fake.session.batches).toBe(2);
    expect(fake.session.roundTrips).toBe(4);
    await fake.close();
  });

  it("sends at 64 KiB, within the tick", async () => {
    const fake = await openFakeGpu();
    const buffer = fake.gpu.alloc(1024);
    const data = new Uint8Array(1000);
    for (let index = 0; index < 200; index++) buffer.write(data);
    await fake.gpu.synchronize();
    const sizes = fake.executor.frames.slice(1).map((frame) => frame.bytes);
    expect(sizes.length).toBe(4);
    for (const bytes of sizes.slice(0, -1)) expect(bytes >= BATCH_BYTES && bytes < BATCH_BYTES + 2048).toBe(true);
    await fake.close();
  });

  it("numbers calls by counting and acknowledges the last answer", async () => {
    const fake = await openFakeGpu();
    await fake.gpu.synchronize();
    await fake.gpu.event().elapsed(fake.gpu.event());
    expect(fake.executor.calls.map((call) => call.sequence)).toEqual([1, 2, 3, 4, 5]);
    expect(fake.executor.frames.map((frame) => frame.ack)).toEqual([0, 1, 2]);
    await fake.close();
  });

  it("takes the bytes at the call, so that the array may be reused at once", async () => {
    const fake = await openFakeGpu();
    const data = Uint8Array.of(1, 2, 3, 4);
    const buffer = fake.gpu.upload(data);
    data.fill(9);
    expect(await buffer.read(Uint8Array)).toEqual(Uint8Array.of(1, 2, 3, 4));
    await fake.close();
  });
});

describe("answers", () => {
  it("reach their calls in whatever order they come", async () => {
    const fake = await openFakeGpu();
    const buffers = [1, 2, 3, 4].map((value) => fake.gpu.upload(new Uint8Array(16).fill(value)));
    await fake.gpu.synchronize();
    fake.executor.holding = true;
    const order: number[] = [];
    const reads = buffers.map(async (buffer, index) => {
      const bytes = await buffer.read(Uint8Array);
      order.push(index);
      return bytes[0];
    });
    await waitFor(
      "the reads arrive",
      () => fake.executor.names().filter((name) => name === "copyFromDevice").length === 4,
    );
    fake.executor.answerHeld((sequences) => sequences.toReversed());
    expect(await Promise.all(reads)).toEqual([1, 2, 3, 4]);
    expect(order).toEqual([3, 2, 1, 0]);
    await fake.close();
  });

  it("that nobody asked for, that come twice or that are malformed end the session with PROTOCOL_ERROR", async () => {
    const answer = (sequence: number) => {
      const writer = new FrameWriter();
      writer.answer({ sequence, status: 0 }, undefined, () => {});
      return writer.finish(FrameKind.ANSWERS);
    };
    for (const bytes of [
      answer(77),
      answer(1),
      new FrameWriter().finish(FrameKind.WELCOME),
      Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16),
    ]) {
      const fake = await openFakeGpu();
      fake.executor.holding = true;
      const waiting = failureOf(fake.gpu.synchronize());
      await waitFor("the call arrives", () => fake.executor.calls.length === 2);
      fake.executor.send(bytes);
      expect((await waiting).code).toBe("PROTOCOL_ERROR");
      expect(fake.failures.map((error) => error.code)).toEqual(["PROTOCOL_ERROR"]);
      expect(() => fake.gpu.alloc(16)).toThrow(SluiceError);
      await fake.close();
    }
  });

  it("however they are mangled, fail what waits and nothing else", async () => {
    const right = new FrameWriter();
    right.answer({ sequence: 2, status: 0 }, undefined, () => {});
    right.answer(
      { sequence: 3, status: 51 },
      { sequence: 3, opcode: 9, nativeCode: 0, nativeName: "", message: "No." },
      encodeFailure,
    );
    const frame = Uint8Array.from(right.finish(FrameKind.ANSWERS));
    const mutation = fc.record({ at: fc.nat(frame.length - 1), value: fc.nat(255), cut: fc.nat(frame.length) });
    await fc.assert(
      fc.asyncProperty(fc.array(mutation, { minLength: 1, maxLength: 3 }), async (mutations) => {
        const fake = await openFakeGpu();
        fake.executor.holding = true;
        const waiting = [fake.gpu.synchronize(), fake.gpu.synchronize()].map((each) =>
          each.then(
            () => "done",
            (error: unknown) => error,
          ),
        );
        await waitFor("the calls", () => fake.executor.calls.length === 3);
        const mangled = Uint8Array.from(frame);
        for (const { at, value } of mutations) mangled[at] = value;
        fake.executor.send(mangled.subarray(0, Math.max(1, mutations[0]!.cut)));
        fake.executor.hangUp();
        for (const outcome of await Promise.all(waiting))
          expect(outcome === "done" || outcome instanceof SluiceError).toBe(true);
        await waitFor("the end", () => fake.failures.length === 1);
        await fake.close();
      }),
      { numRuns: 60 },
    );
  });

  it("of a read that is too short or too long are refused", async () => {
    const fake = await openFakeGpu();
    fake.executor.holding = true;
    const waiting = failureOf(fake.gpu.alloc(16).read(Uint8Array));
    await waitFor("the read arrives", () => fake.executor.names().includes("copyFromDevice"));
    const writer = new FrameWriter();
    const sequence = fake.executor.calls.at(-1)!.sequence;
    writer.answer({ sequence, status: 0 }, undefined, (w) => {
      w.reserve(8);
      w.buffer.u32[w.length >> 2] = 8;
      w.buffer.u32[(w.length >> 2) + 1] = 0;
      w.length += 8;
      w.appendPadded(new Uint8Array(8));
    });
    fake.executor.send(writer.finish(FrameKind.ANSWERS));
    expect((await waiting).message).toContain("a read of [16] bytes with [8]");
    await fake.close();
  });

  it("that never come can be waited for with a signal; the session goes on", async () => {
    const fake = await openFakeGpu();
    fake.executor.holding = true;
    const controller = new AbortController();
    const waiting = failureOf(fake.gpu.synchronize({ signal: controller.signal }));
    await waitFor("the call arrives", () => fake.executor.calls.length === 2);
    controller.abort(new Error("enough"));
    const error = await waiting;
    expect(error.code).toBe("CANCELLED");
    expect((error.cause as Error).message).toBe("enough");
    fake.executor.answerHeld();
    await fake.gpu.synchronize();
    expect((await failureOf(fake.gpu.synchronize({ signal: AbortSignal.abort() }))).code).toBe("CANCELLED");
    await fake.close();
  });
});

describe("failures of calls", () => {
  it("that are the call's own leave the session as it was", async () => {
    const fake = await openFakeGpu({
      failing: (call) =>
        call.name === "moduleLoadCached" ? { code: "BAD_IMAGE", message: "Line [3] is not PTX." } : undefined,
    });
    const error = await failureOf(fake.gpu.load("junk"));
    expect(error).toMatchObject({
      code: "BAD_IMAGE",
      message: "Line [3] is not PTX.",
      details: { call: "moduleLoadCached", sequence: 3 },
    });
    await fake.gpu.synchronize();
    fake.gpu.alloc(16);
    await fake.close();
  });

  it("of an earlier call put the session in error: its code, name and sequence come with every later call", async () => {
    let failed = false;
    const fake = await openFakeGpu({
      kernels: [kernelInfo("k", [])],
      failing: (call) =>
        failed
          ? { code: "ILLEGAL_ADDRESS", message: "A kernel reads [0x10].", sequence: call.sequence - 1 }
          : undefined,
    });
    const kernel = (await fake.gpu.load("x")).kernel("k");
    const buffer = fake.gpu.alloc(16);
    failed = true;
    kernel.launch(single, []);
    const error = await failureOf(fake.gpu.synchronize());
    expect(error).toMatchObject({
      code: "ILLEGAL_ADDRESS",
      message: "A kernel reads [0x10]. The call that failed is [launch], number [5] of the session.",
      details: { call: "launch", sequence: 5, leaseId: LEASE_ID },
    });
    expect(() => kernel.launch(single, [])).toThrow(/A kernel reads/);
    expect((await failureOf(buffer.read(Uint8Array))).code).toBe("ILLEGAL_ADDRESS");
    expect((await failureOf(fake.gpu.flush())).code).toBe("ILLEGAL_ADDRESS");
    const calls = fake.session.calls;
    buffer.free();
    expect(fake.session.calls).toBe(calls);
    await fake.close();
  });

  it("that no answer has told about are told when the session is closed", async () => {
    const fake = await openFakeGpu({
      failing: (call) =>
        call.name === "memoryInfo" ? { code: "BAD_LAUNCH", message: "No.", sequence: call.sequence - 1 } : undefined,
    });
    fake.gpu.alloc(16);
    const unheard = await fake.session.close(new SluiceError("CLOSED", "Closed."));
    expect(unheard).toMatchObject({ code: "BAD_LAUNCH", details: { sequence: 2 } });
    expect(fake.failures).toEqual([]);
    await fake.close();
  });
});

describe("the end of a session", () => {
  it("in good order executes everything first, then says goodbye", async () => {
    const fake = await openFakeGpu();
    const reading = fake.gpu.upload(Uint8Array.of(5)).read(Uint8Array);
    fake.gpu.alloc(16);
    expect(await fake.session.close(new SluiceError("CLOSED", "The lease is released."))).toBeUndefined();
    expect((await reading)[0]).toBe(5);
    expect(fake.executor.goodbyes).toBe(1);
    expect(fake.executor.names().at(-1)).toBe("memoryInfo");
    expect(() => fake.gpu.alloc(16)).toThrow(/The lease is released/);
    expect(fake.failures).toEqual([]);
    await fake.close();
  });

  it("does not hang on a server that does not answer any more", async () => {
    const fake = await openFakeGpu();
    fake.executor.holding = true;
    const waiting = failureOf(fake.gpu.synchronize());
    await waitFor("the call arrives", () => fake.executor.calls.length === 2);
    fake.executor.pause();
    const closing = fake.session.close(new SluiceError("CLOSED", "The lease is released."));
    collectGarbage();
    await inTime("the end", closing);
    expect((await waiting).code).toBe("CLOSED");
    await fake.close();
  });

  it("by a refusal tells everyone who waits the reason that the server gave", async () => {
    const fake = await openFakeGpu();
    fake.executor.holding = true;
    const waiting = [failureOf(fake.gpu.synchronize()), failureOf(fake.gpu.alloc(8).read(Uint8Array))];
    await waitFor("the calls arrive", () => fake.executor.calls.length === 4);
    fake.executor.refuse("LEASE_REVOKED", "An admin ends the lease.");
    for (const error of await Promise.all(waiting))
      expect(error).toMatchObject({ code: "LEASE_REVOKED", message: "An admin ends the lease." });
    expect(fake.failures.map((error) => error.code)).toEqual(["LEASE_REVOKED"]);
    expect(() => fake.gpu.alloc(8)).toThrow(/An admin/);
    await fake.close();
  });

  it("by a cut waits for whoever may know why, and drops nothing silently meanwhile", async () => {
    let tell: (reason: SluiceError | undefined) => void = () => {};
    const reason = new Promise<SluiceError | undefined>((resolve) => {
      tell = resolve;
    });
    let asked = false;
    const reasonOfLoss = () => {
      asked = true;
      return reason;
    };
    const fake = await openFakeGpu({}, { reasonOfLoss });
    fake.executor.holding = true;
    const before = failureOf(fake.gpu.synchronize());
    await waitFor("the call arrives", () => fake.executor.calls.length === 2);
    fake.executor.cut();
    await waitFor("the loss is noticed", () => asked);
    fake.gpu.alloc(8);
    const meanwhile = failureOf(fake.gpu.synchronize());
    const flushing = failureOf(fake.gpu.flush());
    tell(new SluiceError("EXECUTOR_FAILED", "The executor is killed."));
    expect((await before).code).toBe("EXECUTOR_FAILED");
    expect((await meanwhile).code).toBe("EXECUTOR_FAILED");
    expect((await flushing).code).toBe("EXECUTOR_FAILED");
    await fake.close();
  });

  it("by a cut without a reason is CONNECTION_LOST and names the endpoint", async () => {
    const fake = await openFakeGpu();
    fake.executor.cut();
    await waitFor("the loss is noticed", () => fake.failures.length > 0);
    expect(fake.failures[0]).toMatchObject({ code: "CONNECTION_LOST", details: { leaseId: LEASE_ID } });
    expect(fake.failures[0]!.message).toContain(fake.executor.endpoint);
    expect((await failureOf(fake.gpu.flush())).code).toBe("CONNECTION_LOST");
    await fake.session.close(new SluiceError("CLOSED", "x"));
    await fake.close();
  });

  it("prints what kernels print, before the answer behind it", async () => {
    const fake = await openFakeGpu();
    fake.executor.holding = true;
    const waiting = fake.gpu.synchronize();
    await waitFor("the call arrives", () => fake.executor.calls.length === 2);
    fake.executor.print("hello\n");
    fake.executor.print("world\n");
    fake.executor.answerHeld();
    await waiting;
    expect(fake.output).toEqual(["hello\n", "world\n"]);
    await fake.close();
  });
});

describe("back-pressure", () => {
  it("refuses a call once the client holds as much as it may, and lets it pass again when that is sent", async () => {
    const fake = await openFakeGpu({ arenaBytes: 4 * MiB });
    const buffer = fake.gpu.alloc(MiB);
    await fake.gpu.synchronize();
    fake.executor.pause();
    const data = new Uint8Array(MiB);
    let written = 0;
    let refused: SluiceError | undefined;
    while (refused === undefined && written < 200) {
      try {
        buffer.write(data);
        written++;
      } catch (error) {
        refused = error as SluiceError;
      }
    }
    expect(refused?.code).toBe("BACKLOG_FULL");
    expect(written).toBeGreaterThanOrEqual(CLIENT_BACKLOG_BYTES_MAX / MiB);
    expect(fake.session.queuedBytes).toBeLessThan(CLIENT_BACKLOG_BYTES_MAX + 2 * MiB);
    expect(() => fake.gpu.alloc(16)).toThrow(/not acknowledged yet/);
    const free = fake.gpu.memoryInfo().freeBytes;
    buffer.free();
    expect(fake.gpu.memoryInfo().freeBytes).toBe(free + MiB);
    const flushing = fake.gpu.flush();
    fake.executor.resume();
    await flushing;
    expect(fake.session.queuedBytes).toBe(0);
    await fake.gpu.synchronize();
    expect(fake.executor.names().filter((name) => name === "copyToDevice")).toHaveLength(written);
    await fake.close();
  });

  it("accepts one larger upload while there is room, whole", async () => {
    const bytes = CLIENT_BACKLOG_BYTES_MAX + 5 * MiB;
    const fake = await openFakeGpu({ arenaBytes: bytes });
    const data = new Uint8Array(bytes);
    for (let at = 0; at < bytes; at += MiB) data[at] = at / MiB;
    const buffer = fake.gpu.upload(data);
    expect(() => buffer.fill(1)).toThrow(/not acknowledged yet/);
    await fake.gpu.flush();
    const back = await buffer.read(Uint8Array);
    expect(Buffer.compare(back, data)).toBe(0);
    await fake.close();
  });

  it("tells whoever waits for room that the session has ended", async () => {
    const fake = await openFakeGpu({ arenaBytes: 4 * MiB });
    const buffer = fake.gpu.alloc(MiB);
    fake.executor.pause();
    for (let index = 0; index < 20; index++) buffer.write(new Uint8Array(MiB));
    const flushing = failureOf(fake.gpu.flush());
    const timed = failureOf(fake.gpu.flush({ signal: AbortSignal.timeout(10) }));
    expect((await timed).code).toBe("CANCELLED");
    fake.session.fail(new SluiceError("LEASE_EXPIRED", "No heartbeat came."));
    expect((await flushing).code).toBe("LEASE_EXPIRED");
    await fake.close();
  });
});

it("a session that cannot be opened leaves nothing behind that keeps the program alive", async () => {
  const executor = await FakeExecutor.start({ secret: SECRET, wrongProof: true });
  const opening = Session.open({
    endpoints: [executor.endpoint],
    host: "localhost",
    leaseId: LEASE_ID,
    secret: SECRET,
    devices: 1,
    onOutput: () => {},
    onFailed: () => {},
    reasonOfLoss: async () => undefined,
  });
  expect((await failureOf(opening)).code).toBe("SERVER_IDENTITY");
  await waitFor("the connection is closed", () => !executor.connected);
  await executor.close();
});
