/**
 * The executor process: owns the device contexts of one lease and runs its calls. Started by the daemon only, and ends with
 * it. It lives by the messages of control-messages.ts, and leaves signals to the daemon.
 */
import { Socket } from "node:net";
import type { FromExecutor, ToExecutor } from "./control-messages.ts";
import { Executor } from "./executor.ts";

/** How often the daemon hears what the lease costs. */
const USAGE_INTERVAL_MS = 1_000;

const send = (message: FromExecutor): void => {
  // Without a channel the daemon is gone, and so is this process in a moment.
  if (process.connected) process.send!(message, () => {});
};

const executor = new Executor(send);

process.on("message", (message: ToExecutor, handle: unknown) => {
  const socket = handle instanceof Socket ? handle : undefined;
  executor.receive(message, socket).then(
    (done) => {
      if (done) process.disconnect();
    },
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
process.on("disconnect", () => process.exit(0));
// A terminal's Ctrl-C and a service manager's stop reach every process: the daemon alone decides when this one ends.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => {});
setInterval(() => executor.reportUsage(), USAGE_INTERVAL_MS).unref();
