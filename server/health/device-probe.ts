/**
 * Tries devices in processes of their own: before the first lease, for what a lease costs beside its slice, and after an executor died, for
 * whether the device still works. A probe that does not end is killed, and its device counts as one that does not work.
 */
import type { Clock } from "../control/clock.ts";
import type { DeviceDescription, DeviceHealth } from "../device/device.ts";
import { HealthProcess } from "./health-process.ts";

/** A driver that was asleep takes seconds for the first context of a machine with many cards. */
const PROBE_MS_MAX = 60_000;

export type ProbeResult =
  | { readonly works: true; readonly overheadBytes: number | undefined; readonly isFull?: boolean }
  | { readonly works: false; readonly problem: string };

/** Whether a device is hardware that can fail; all others are as well as this machine. */
export const isHardware = ({ details }: DeviceDescription): boolean => details !== undefined;

export async function probeDevice(
  device: DeviceDescription,
  { clock, timeoutMs = PROBE_MS_MAX }: { readonly clock: Clock; readonly timeoutMs?: number },
): Promise<ProbeResult> {
  let result: ProbeResult | undefined;
  const child = new HealthProcess((message) => {
    if (message.kind === "probed") result = { works: true, overheadBytes: message.overheadBytes };
    // Not the device's fault, and no sign of one: it answers as it should.
    else if (message.kind === "full") result = { works: true, overheadBytes: undefined, isFull: true };
    else if (message.kind === "failed") result = { works: false, problem: message.message };
  });
  const cancel = clock.schedule(timeoutMs, () => {
    result ??= { works: false, problem: `The driver does not open a context within [${timeoutMs}] ms.` };
    child.kill();
  });
  child.send({ kind: "probe", device });
  const how = await child.exited;
  cancel();
  return result ?? { works: false, problem: `The process that tries the device dies [${how}].` };
}

/**
 * Tries every device that is hardware. What does not work is told; for what does, the charge of a lease beside its slice is the measured one.
 * @returns the devices in the same order
 */
export async function measureDevices(
  devices: readonly DeviceDescription[],
  { clock, log, onProblem }: MeasureOptions,
): Promise<DeviceDescription[]> {
  return Promise.all(
    devices.map(async (device) => {
      if (!isHardware(device)) return device;
      const probed = await probeDevice(device, { clock });
      if (!probed.works) onProblem({ id: device.id, problems: [probed.problem], throttling: [] });
      if (probed.works && probed.isFull === true) {
        log.warn(
          { device: device.id },
          "The device has no room for a lease now: its memory is used by others, or by leases of before",
        );
      }
      const overheadBytes = probed.works ? probed.overheadBytes : undefined;
      if (overheadBytes === undefined) {
        log.warn(
          { device: device.id, bytes: device.overheadBytes },
          "What a lease takes beside its slice is estimated",
        );
        return device;
      }
      log.info({ device: device.id, bytes: overheadBytes }, "What a lease takes beside its slice is measured");
      const sliceBytesMax = Math.max(0, device.sliceBytesMax + device.overheadBytes - overheadBytes);
      return { ...device, overheadBytes, overheadEstimated: false, sliceBytesMax };
    }),
  );
}

interface MeasureOptions {
  readonly clock: Clock;
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
  readonly onProblem: (health: DeviceHealth) => void;
}
