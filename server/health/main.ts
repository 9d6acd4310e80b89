/**
 * A process that asks devices how they are, or tries whether one works. Apart from the daemon, since a driver with an ill device may take
 * seconds to answer, or never does: this process can be killed. Started by the daemon only, and ends with it.
 */
import { toSluiceError } from "../../shared/errors.ts";
import type { DeviceDescription, DeviceHealth } from "../device/device.ts";
import { loadDriver } from "../executor/drivers.ts";
import type { FromHealthProcess, ToHealthProcess } from "./health-messages.ts";

const send = (message: FromHealthProcess): Promise<void> =>
  new Promise((resolve) => {
    // Without a channel the daemon is gone, and so is this process in a moment.
    if (process.connected) process.send!(message, () => resolve());
    else resolve();
  });

let watched: readonly DeviceDescription[] = [];
let acknowledged = 0;

async function look(intervalMs: number): Promise<void> {
  const health: DeviceHealth[] = [];
  const known = acknowledged;
  for (const kind of new Set(watched.map((device) => device.kind))) {
    const driver = await loadDriver(kind);
    health.push(...((await driver.health?.(watched.filter((device) => device.kind === kind))) ?? []));
  }
  await send({ kind: "health", health, acknowledged: known });
  setTimeout(() => void look(intervalMs).catch(fail), intervalMs);
}

async function acknowledge(deviceId: string): Promise<void> {
  const kind = watched.find(({ id }) => id === deviceId)?.kind;
  if (kind !== undefined) (await loadDriver(kind)).acknowledge?.(deviceId);
  acknowledged++;
}

async function probe(device: DeviceDescription): Promise<void> {
  try {
    const { overheadBytes } = (await (await loadDriver(device.kind)).probe?.(device)) ?? {};
    await send({ kind: "probed", ...(overheadBytes === undefined ? {} : { overheadBytes }) });
  } catch (error) {
    const { code, message } = toSluiceError(error);
    await send(code === "OUT_OF_MEMORY" ? { kind: "full" } : { kind: "failed", message });
  }
  // Whatever the driver still does at an exit, it does not do it here.
  process.kill(process.pid, "SIGKILL");
}

function fail(error: unknown): void {
  console.error(error);
  process.exit(1);
}

process.on("message", (message: ToHealthProcess) => {
  if (message.kind === "probe") void probe(message.device).catch(fail);
  else if (message.kind === "watch") {
    watched = message.devices;
    void look(message.intervalMs).catch(fail);
  } else {
    void acknowledge(message.deviceId).catch(fail);
  }
});
process.on("disconnect", () => process.exit(0));
// A terminal's Ctrl-C and a service manager's stop reach every process: the daemon alone decides when this one ends.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => {});
