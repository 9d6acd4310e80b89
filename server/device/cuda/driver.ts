/**
 * The `cuda` device: real NVIDIA GPUs through the driver's documented interface. The daemon discovers and watches; executors open slices. The
 * library is loaded when it is first needed, so that machines without a GPU never notice.
 */
import { SluiceError } from "../../../shared/errors.ts";
import type { DeviceDescription, DeviceDriver, DeviceHealth, DeviceSlice, SliceOptions } from "../device.ts";
import { CudaContext } from "./context.ts";
import { discoverDevices, listOrdinals, readUuid } from "./discovery.ts";
import { HealthWatch } from "./health.ts";
import { type CudaLibrary, loadCuda } from "./library.ts";
import { Nvml } from "./nvml.ts";
import { overheadOf } from "./overhead.ts";
import { CudaSlice } from "./slice.ts";

const watches = new Map<Nvml, HealthWatch>();

/** The driver's device for a description made by another process: by UUID, since an ordinal depends on the environment. */
function findDevice(library: CudaLibrary, description: DeviceDescription): number {
  const devices = listOrdinals(library);
  const uuid = description.details?.uuid;
  const found = uuid
    ? devices.find((device) => readUuid(library, device) === uuid)
    : devices[Number(description.id.split(":")[1])];
  if (found === undefined) {
    throw new SluiceError("DEVICE_FAILED", `The driver does not show the device [${description.id}] any more.`);
  }
  return found;
}

export const cudaDriver: DeviceDriver = {
  kind: "cuda",

  /** `spec` is empty for every device, or indices in PCI order such as `0` or `0,2`. Creates no context. */
  async discover(spec: string): Promise<DeviceDescription[]> {
    return discoverDevices(loadCuda(), Nvml.load(), spec);
  },

  /** The driver's own start takes a few hundred milliseconds on a machine with many cards. Makes no context. */
  async prepare(): Promise<void> {
    loadCuda();
  },

  async open(options: SliceOptions): Promise<DeviceSlice> {
    const library = loadCuda();
    return CudaSlice.open(library, findDevice(library, options.description), options);
  },

  async health(descriptions: readonly DeviceDescription[]): Promise<DeviceHealth[]> {
    const monitor = Nvml.load();
    if (monitor === undefined) return descriptions.map(({ id }) => ({ id, problems: [], throttling: [] }));
    const watch = watches.get(monitor) ?? new HealthWatch(monitor);
    watches.set(monitor, watch);
    return watch.check(descriptions);
  },

  async measureOverhead(description: DeviceDescription): Promise<number | undefined> {
    const library = loadCuda();
    const device = findDevice(library, description);
    const monitor = Nvml.load();
    const monitored = monitor?.device(description.details?.uuid ?? "");
    if (monitor === undefined || monitored === undefined || !("handle" in monitored)) return undefined;
    const before = monitor.memory(monitored)?.usedBytes;
    const context = new CudaContext({ api: library.api, device, onFailure: () => undefined });
    const after = monitor.memory(monitored)?.usedBytes;
    context.release();
    if (before === undefined || after === undefined || after < before) return undefined;
    return overheadOf(after - before, description.granularityBytes);
  },
};
