/**
 * The `cuda` device: real NVIDIA GPUs through the driver's documented interface. The daemon discovers and watches; executors open slices. The
 * library is loaded when it is first needed, so that machines without a GPU never notice.
 */
import { SluiceError } from "../../../shared/errors.ts";
import { ARENA_BASE } from "../../../shared/limits.ts";
import type { DeviceDescription, DeviceDriver, DeviceHealth, DeviceSlice, SliceOptions } from "../device.ts";
import { prepareAttributes } from "./attributes.ts";
import { discoverDevices, listOrdinals, readUuid, withReason } from "./discovery.ts";
import { HealthWatch } from "./health.ts";
import { type CudaLibrary, loadCuda } from "./library.ts";
import { Nvml } from "./nvml.ts";
import { overheadOf } from "./overhead.ts";
import { CudaSlice } from "./slice.ts";
import { tryKernel } from "./trial.ts";

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

/** No driver's context takes as little, or as much. */
const CONTEXT_BYTES_MIN = 64 * 1024 ** 2;
const CONTEXT_BYTES_MAX = 4 * 1024 ** 3;
/** A lease that has just ended, as with the server before, gives its memory back once: the next look is undisturbed. */
const LOOKS_MAX = 3;

/** Memory that anybody uses on the device; undefined where NVML does not tell. */
function usedBytes(description: DeviceDescription): number | undefined {
  const shown = Nvml.showing(description.details?.uuid ?? "");
  return shown?.nvml.memory(shown.device)?.usedBytes;
}

/** A fresh slice holds zeros, and then what is written to it. */
async function checkMemory(slice: CudaSlice, { id, granularityBytes }: DeviceDescription): Promise<void> {
  const bytes = new Uint8Array(granularityBytes);
  const expect = async (wanted: number): Promise<void> => {
    await slice.read(slice.arenaBase, bytes, undefined);
    // Each as the one before it: a call for each byte takes longer than all else here.
    if (bytes[0] === wanted && Buffer.compare(bytes.subarray(1), bytes.subarray(0, -1)) === 0) return;
    throw new SluiceError("DEVICE_FAILED", `The memory of the device [${id}] does not hold what is written to it.`);
  };
  await expect(0);
  slice.fill({ address: slice.arenaBase, count: granularityBytes, width: 1, value: 0xa5 }, undefined);
  await expect(0xa5);
}

/** Opens a slice and sees that it works; tells what a context takes of the card, if NVML tells what is in use. */
async function openForALook(description: DeviceDescription): Promise<number | undefined> {
  const library = loadCuda();
  const device = findDevice(library, description);
  const before = usedBytes(description);
  const slice = await CudaSlice.open(library, device, {
    description,
    arenaBytes: description.granularityBytes,
    arenaBase: ARENA_BASE,
    kernelTimeoutMs: 0,
    onOutput: () => undefined,
  });
  let after: number | undefined;
  try {
    await checkMemory(slice, description);
    await tryKernel(slice, description.id);
    after = usedBytes(description);
  } finally {
    await slice.close();
  }
  if (before === undefined || after === undefined) return undefined;
  return after - before - description.granularityBytes;
}

export const cudaDriver: DeviceDriver = {
  kind: "cuda",

  /** `spec` is empty for every device, or indices in PCI order such as `0` or `0,2`. Creates no context. */
  async discover(spec: string, remark?: (sentence: string) => void): Promise<DeviceDescription[]> {
    const nvml = Nvml.load();
    try {
      return discoverDevices(loadCuda(), nvml, { spec, remark });
    } catch (error) {
      throw withReason(error, nvml);
    }
  },

  /** The driver's own start takes a few hundred milliseconds on a machine with many cards. Makes no context. */
  async prepare(): Promise<void> {
    const library = loadCuda();
    for (const device of listOrdinals(library)) prepareAttributes(library, device);
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

  acknowledge(deviceId: string): void {
    for (const watch of watches.values()) watch.forget(deviceId);
  },

  async probe(description: DeviceDescription): Promise<{ overheadBytes?: number }> {
    for (let left = LOOKS_MAX; left > 0; left--) {
      const contextBytes = await openForALook(description);
      if (contextBytes === undefined) return {};
      // Beyond these bounds somebody else has taken or given memory meanwhile.
      if (contextBytes >= CONTEXT_BYTES_MIN && contextBytes <= CONTEXT_BYTES_MAX)
        return { overheadBytes: overheadOf(contextBytes, description.granularityBytes) };
    }
    return {};
  },
};
