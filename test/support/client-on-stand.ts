/** The client's session and device on a session stand, over a socket: no gRPC, no lease, no daemon. */
import type { ConnectionChange } from "../../client/connection.ts";
import type { Device } from "../../client/device.ts";
import { Session, type SessionOptions } from "../../client/session.ts";
import type { SluiceError } from "../../shared/errors.ts";
import { deviceOf } from "./session-device.ts";
import type { SessionStand } from "./session-stand.ts";

export interface ClientOnStand {
  readonly session: Session;
  readonly gpu: Device;
  readonly changes: ConnectionChange[];
  readonly failures: SluiceError[];
  readonly output: () => string;
}

/** `address` is `HOST:PORT`, or the path of a Unix socket: the stand's, or that of a proxy before it. */
export async function openClient(
  stand: Pick<SessionStand, "leaseId" | "secret">,
  address: string,
  options: Partial<SessionOptions> = {},
): Promise<ClientOnStand> {
  const changes: ConnectionChange[] = [];
  const failures: SluiceError[] = [];
  let output = "";
  const { session, attached } = await Session.open({
    endpoints: [address.startsWith("/") ? `unix://${address}` : `tcp://${address}`],
    host: "localhost",
    leaseId: stand.leaseId,
    secret: stand.secret,
    devices: 1,
    onOutput: (text) => {
      output += text;
    },
    onFailed: (error) => failures.push(error),
    onConnection: (change) => changes.push(change),
    reasonOfLoss: async () => undefined,
    ...options,
  });
  const { gpu } = deviceOf(session, attached[0]!, stand.leaseId);
  return { session, gpu, changes, failures, output: () => output };
}
