/** The client's session and device on a fake executor, for unit tests: no gRPC, no lease, no server. */
import type { Content } from "../../client/content.ts";
import type { Device } from "../../client/device.ts";
import { Session, type SessionOptions } from "../../client/session.ts";
import type { SluiceError } from "../../shared/errors.ts";
import { FakeExecutor, type FakeExecutorOptions } from "./fake-executor.ts";
import { deviceOf } from "./session-device.ts";

export const SECRET = new Uint8Array(32).fill(7);
export const LEASE_ID = "lease-under-test";

export interface FakeGpu {
  readonly executor: FakeExecutor;
  readonly session: Session;
  readonly content: Content;
  readonly gpu: Device;
  /** What the session told when it ended by itself. */
  readonly failures: SluiceError[];
  readonly output: string[];
  close(): Promise<void>;
}

export async function openFakeGpu(
  options: Partial<FakeExecutorOptions> = {},
  sessionOptions: Partial<SessionOptions> = {},
): Promise<FakeGpu> {
  const executor = await FakeExecutor.start({ secret: SECRET, ...options });
  const failures: SluiceError[] = [];
  const output: string[] = [];
  try {
    const { session, attached } = await Session.open({
      endpoints: [executor.endpoint],
      host: "localhost",
      leaseId: LEASE_ID,
      secret: SECRET,
      devices: 1,
      onOutput: (text) => output.push(text),
      onFailed: (error) => failures.push(error),
      reasonOfLoss: async () => undefined,
      ...sessionOptions,
    });
    const { gpu, content } = deviceOf(session, attached[0]!, LEASE_ID);
    return { executor, session, content, gpu, failures, output, close: () => executor.close() };
  } catch (error) {
    await executor.close();
    throw error;
  }
}
