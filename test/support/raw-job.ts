/**
 * A client as a process of its own, for tests that kill it: allocates, holds, attaches, says so on stdout, and stays. Arguments:
 * the server's gRPC and data address.
 */
import { MiB, RawControl, RawSession, raw } from "./raw-client.ts";

const [, , grpc, data] = process.argv;
const control = new RawControl(grpc!);
const lease = await control.allocate({ memoryBytes: 64 * MiB, name: "raw-job" });
control.hold(lease, 100);
const session = await RawSession.open(data!, lease);
await session.ask(raw.attach());
process.stdout.write(`${lease.id}\n`);
setInterval(() => {}, 1_000);
