/** The calls for cuDNN over the raw wire, on devices that have none. */
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { MiB, RawControl, RawSession, raw } from "../support/raw-client.ts";
import { rawDnn } from "../support/raw-dnn.ts";
import { rawLibrary } from "../support/raw-library.ts";
import { startServer } from "../support/server.ts";

test("devices without cuDNN say so, and what there is not cannot be used", async () => {
  await using server = await startServer({ args: ["--device", "null:1x1GiB", "--device", "cpu:1x1GiB"] });
  const control = new RawControl(server.grpc);
  const lease = await control.allocate({ devices: 2, memoryBytes: 64 * MiB, requestId: randomUUID() });
  const session = await RawSession.open(server.data, lease);
  for (const device of [0, 1]) {
    expect((await session.ask(rawLibrary.open(device))).code).toBe("NO_SUCH_DEVICE");
    expect((await session.ask(raw.attach(device))).code).toBe("OK");
    const { code, failed } = await session.ask(rawLibrary.open(device));
    expect([code, failed?.message]).toEqual(["UNSUPPORTED", expect.stringContaining("has no cuDNN")]);
    expect((await session.ask(rawDnn.describe(device + 1, { device, type: 17 }))).code).toBe("UNSUPPORTED");
    expect((await session.ask(rawLibrary.askCall({ device }))).code).toBe("UNSUPPORTED");
  }
  expect((await session.ask(rawDnn.ask(1))).code).toBe("NO_SUCH_HANDLE");
  expect((await session.ask(rawDnn.execute(1, { opcode: 53 }))).code).toBe("NO_SUCH_HANDLE");
  expect(await session.codeAfter(rawLibrary.forget(1))).toBe("NO_SUCH_HANDLE");
  await session.close();
  for (const silent of [rawDnn.execute(7), rawLibrary.call({})]) {
    const other = await RawSession.open(server.data, lease);
    expect((await other.ask(raw.attach(0))).code).toBe("OK");
    expect(await other.codeAfter(silent)).toMatch(/^(NO_SUCH_HANDLE|UNSUPPORTED)$/);
    await other.close();
  }
  await control.release(lease.id, lease.secret);
  control.close();
});
