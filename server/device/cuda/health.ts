/**
 * Whether the GPUs are well, by NVML: without a context and without touching what runs there. What one tenant's kernel does wrong is no
 * illness of the device; what the device, its memory or its links do wrong is.
 */
import type { DeviceDescription, DeviceHealth } from "../device.ts";
import { clockReasons, NvmlReturn } from "./constants.ts";
import type { Nvml, NvmlDevice } from "./nvml.ts";

/**
 * Xids that a program causes by its own faults, by NVIDIA's catalogue: graphics or compute exception, page fault, reset of a channel,
 * preemptive removal, video decoder exception, context switch time-out.
 */
const programXids = new Set([13, 31, 43, 45, 68, 109]);

export class HealthWatch {
  readonly #nvml: Nvml;
  /** Memory errors when the device was first asked, or when an admin has looked at it last. */
  readonly #uncorrected = new Map<string, number>();
  /** What a device has once reported stays true until an admin has looked at it. */
  readonly #xids = new Map<string, Set<number>>();
  /** Devices that NVML has shown: one that it never knew, as in some containers, is not lost. */
  readonly #shown = new Set<string>();

  constructor(nvml: Nvml) {
    this.#nvml = nvml;
  }

  check(descriptions: readonly DeviceDescription[]): DeviceHealth[] {
    // Of a device without a name nothing can be asked, which is no illness.
    const found = descriptions.map(({ details }) =>
      details?.uuid ? this.#nvml.device(details.uuid) : { status: NvmlReturn.SUCCESS },
    );
    const devices = found.filter((device): device is NvmlDevice => "handle" in device);
    for (const { card, xid } of this.#nvml.takeXids(devices)) {
      const index = found.findIndex((device) => "handle" in device && device.card === card);
      if (index >= 0 && !programXids.has(xid)) this.#xidsOf(descriptions[index]!.id).add(xid);
    }
    return descriptions.map((description, index) => {
      const device = found[index]!;
      const { id } = description;
      if (!("handle" in device)) {
        const isUnknown = device.status === NvmlReturn.NOT_FOUND && !this.#shown.has(id);
        return { id, problems: isUnknown ? [] : lostProblems(device.status), throttling: [] };
      }
      this.#shown.add(id);
      return this.#checkOne(description.id, device);
    });
  }

  /** An admin has looked at the device: only what it reports from now on counts. */
  forget(id: string): void {
    this.#xids.delete(id);
    this.#uncorrected.delete(id);
  }

  #xidsOf(id: string): Set<number> {
    const known = this.#xids.get(id) ?? new Set();
    this.#xids.set(id, known);
    return known;
  }

  #checkOne(id: string, device: NvmlDevice): DeviceHealth {
    const nvml = this.#nvml;
    const problems = lostProblems(nvml.status(device));
    for (const xid of this.#xidsOf(id)) problems.push(`The driver reports the hardware error Xid [${xid}].`);
    if (nvml.remapFailed(device) === true) problems.push("Replacing bad rows of the device's memory has failed.");
    const uncorrectedErrors = nvml.uncorrectedErrors(device);
    if (uncorrectedErrors !== undefined) {
      const before = this.#uncorrected.get(id) ?? uncorrectedErrors;
      this.#uncorrected.set(id, before);
      if (uncorrectedErrors > before) {
        problems.push(`The device's memory has [${uncorrectedErrors - before}] new errors that cannot be corrected.`);
      }
    }
    const reasons = nvml.clockReasons(device) ?? 0;
    const temperatureCelsius = nvml.temperatureCelsius(device);
    const powerWatts = nvml.powerWatts(device);
    const utilization = nvml.utilization(device);
    const memoryUsedBytes = nvml.memory(device)?.usedBytes;
    return {
      id,
      problems,
      throttling: clockReasons.filter(([bit]) => (reasons & bit) !== 0).map(([, words]) => words),
      ...(temperatureCelsius === undefined ? {} : { temperatureCelsius }),
      ...(powerWatts === undefined ? {} : { powerWatts }),
      ...(utilization === undefined ? {} : { utilization }),
      ...(memoryUsedBytes === undefined ? {} : { memoryUsedBytes }),
      ...(uncorrectedErrors === undefined ? {} : { uncorrectedErrors }),
    };
  }
}

/** What NVML's status says of a device as a whole; a question that it merely cannot answer says nothing. */
function lostProblems(status: number): string[] {
  if (status === NvmlReturn.GPU_IS_LOST) return ["The device has fallen off the bus."];
  if (status === NvmlReturn.RESET_REQUIRED) return ["The device needs a reset."];
  if (status === NvmlReturn.NOT_FOUND) return ["The driver does not show the device any more."];
  return [];
}
