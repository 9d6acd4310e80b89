/**
 * Products that the server's library cannot compute: whoever reads behind one is told, in whatever way the program waits, nobody is shown what was
 * not computed for good, and the session goes on. The client's session and the server's over real sockets.
 */
import { afterEach, beforeEach, expect, test } from "vitest";
import { SluiceError } from "../../shared/errors.ts";
import { type ClientOnStand, openClient } from "../support/client-on-stand.ts";
import { CuttingProxy } from "../support/cutting-proxy.ts";
import { CHAIN, chained, SessionStand } from "../support/session-stand.ts";
import { waitFor } from "../support/wait-for.ts";

let stand: SessionStand;
let proxy: CuttingProxy;
let client: ClientOnStand;
const single = { grid: 1, block: 1 };
const refusal = { code: "UNSUPPORTED", details: { call: "multiply", sequence: expect.any(Number) } };
/** What the library says of each product; undefined: it computes it. */
let answers: (SluiceError | undefined)[] = [];

beforeEach(async () => {
  answers = [];
  const onMultiply = (): void => {
    const error = answers.shift();
    if (error !== undefined) throw error;
  };
  stand = await SessionStand.start({ onMultiply });
  proxy = await CuttingProxy.to(stand.address);
  client = await openClient(stand, proxy.address);
});

afterEach(async () => {
  await proxy.close();
  await stand.close();
});

const unsupported = (): SluiceError => new SluiceError("UNSUPPORTED", "The library has no such product.");
const closed = (): SluiceError => new SluiceError("CLOSED", "The test is over.");

function product(): void {
  const { gpu } = client;
  gpu.multiply({ m: 2, n: 2, k: 2, a: gpu.alloc(16), b: gpu.alloc(16), c: gpu.alloc(16) });
}

async function goesOn(): Promise<void> {
  const { gpu, session, failures } = client;
  expect(await gpu.upload(Uint8Array.of(7)).read(Uint8Array)).toEqual(Uint8Array.of(7));
  await gpu.synchronize();
  product();
  await gpu.synchronize();
  expect({ failures, isBroken: session.isBroken }).toEqual({ failures: [], isBroken: false });
  expect(await session.close(closed())).toBeUndefined();
}

test.each(["UNSUPPORTED", "OUT_OF_MEMORY"] as const)(
  "a product that fails with %s fails what waits behind it, and no more",
  async (code) => {
    const { gpu } = client;
    const kept = gpu.upload(Uint8Array.of(1, 2, 3));
    const before = kept.read(Uint8Array);
    answers = [new SluiceError(code, "It cannot be computed.")];
    product();
    const behind = [kept.read(Uint8Array), gpu.synchronize(), kept.read(Uint8Array)];
    for (const { status, reason } of (await Promise.allSettled(behind)) as PromiseRejectedResult[]) {
      expect({ status, reason }).toMatchObject({ status: "rejected", reason: { ...refusal, code } });
    }
    expect(await before).toEqual(Uint8Array.of(1, 2, 3));
    expect(await kept.read(Uint8Array)).toEqual(Uint8Array.of(1, 2, 3));
    await goesOn();
  },
);

test("what comes behind a refused product is executed, once, and what it makes can be used", async () => {
  const { gpu } = client;
  const chain = (await gpu.load(CHAIN)).kernel("chain");
  answers = [unsupported()];
  product();
  const cell = gpu.upload(Uint32Array.of(1));
  const stream = gpu.stream();
  chain.launch({ ...single, stream }, [cell, 1]);
  const loading = gpu.load(CHAIN);
  await expect(stream.synchronize()).rejects.toMatchObject(refusal);
  (await loading).kernel("chain").launch({ ...single, stream }, [cell, 2]);
  expect((await cell.read(Uint32Array))[0]).toBe(chained(chained(1, 1), 2));
  expect(stand.launches).toBe(2);
  await goesOn();
});

test("one that nobody waits behind is told by the next call, once, whichever it is", async () => {
  const { gpu, session } = client;
  const buffer = gpu.alloc(16);
  const calls: (() => unknown)[] = [
    () => buffer.fill(1),
    () => buffer.read(Uint8Array),
    () => gpu.synchronize(),
    product,
  ];
  for (const call of calls) {
    const { bytesReceived } = session;
    answers = [unsupported()];
    product();
    await gpu.flush();
    await waitFor("the refusal", () => session.bytesReceived > bytesReceived + 64);
    const told = await Promise.resolve()
      .then(call)
      .then(
        () => undefined,
        (error: unknown) => error,
      );
    expect(told).toMatchObject(refusal);
    await call();
  }
  await goesOn();
});

test("one that nobody hears of is told when the session is closed", async () => {
  const { gpu, session } = client;
  answers = [unsupported()];
  product();
  expect(await session.close(closed())).toMatchObject(refusal);
  expect(gpu).toBeDefined();
});

test("one that is known when the session is closed, and that nobody has heard of, is told then", async () => {
  const { gpu, session } = client;
  const { bytesReceived } = session;
  answers = [unsupported()];
  product();
  // Its answer vouches for nothing.
  await gpu.load(CHAIN);
  await waitFor("the refusal", () => session.bytesReceived > bytesReceived + 64);
  expect(await session.close(closed())).toMatchObject(refusal);
});

test("a product in a recording is refused by its replay, which names it, and another replay may work", async () => {
  const { gpu } = client;
  const [a, b, c] = [gpu.alloc(16), gpu.alloc(16), gpu.upload(Uint32Array.of(0))];
  const chain = (await gpu.load(CHAIN)).kernel("chain");
  const step = gpu.record({ cell: c }, ({ cell }) => {
    chain.launch(single, [cell, 1]);
    gpu.multiply({ m: 1, n: 1, k: 1, a, b, c: a.at(4) });
    chain.launch(single, [cell, 2]);
  });
  answers = [unsupported()];
  step.replay({});
  await expect(c.read(Uint32Array)).rejects.toMatchObject({
    code: "UNSUPPORTED",
    message: expect.stringContaining("The call [1] [multiply] of the recording"),
  });
  step.replay({});
  expect((await c.read(Uint32Array))[0]).toBe(chained(chained(chained(0, 1), 1), 2));
  await goesOn();
});

test("a refusal arrives, once, over whatever breaks meanwhile", async () => {
  const { gpu, session } = client;
  const buffer = gpu.upload(Uint8Array.of(1));
  for (let round = 0; round < 60; round++) {
    const next = proxy.connections;
    // From within the handshake to behind the refusal.
    const cut = { direction: round % 2 === 0 ? "down" : "up", afterBytes: 100 + round * 9, how: "reset" } as const;
    proxy.plan = (connection) => (connection === next ? cut : undefined);
    proxy.cutAll();
    answers = [undefined, unsupported()];
    product();
    product();
    await expect(buffer.read(Uint8Array)).rejects.toMatchObject(refusal);
    expect(await buffer.read(Uint8Array)).toEqual(Uint8Array.of(1));
  }
  expect(session.reconnects).toBeGreaterThan(50);
  await goesOn();
});

test("a failure that is no refusal still ends the session's work", async () => {
  const { gpu } = client;
  answers = [new SluiceError("DEVICE_FAILED", "It broke.")];
  product();
  await expect(gpu.synchronize()).rejects.toMatchObject({ code: "DEVICE_FAILED" });
  await expect(gpu.synchronize()).rejects.toMatchObject({ code: "DEVICE_FAILED" });
  expect(() => product()).toThrow(expect.objectContaining({ code: "DEVICE_FAILED" }));
});
