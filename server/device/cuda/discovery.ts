/**
 * Finds the GPUs of a machine for the daemon. Asks the driver and NVML only what they answer without a context: a context in the daemon would
 * take memory on every card, and would die with any fault there.
 */
import { readFileSync } from "node:fs";
import { SluiceError } from "../../../shared/errors.ts";
import type { DeviceDescription, DeviceDetails } from "../device.ts";
import { allocationGranularity } from "./arena.ts";
import { readAttribute } from "./attributes.ts";
import { ComputeMode, CUresult, DeviceAttributeNumber } from "./constants.ts";
import { type CudaLibrary, versionText } from "./library.ts";
import { nativeError } from "./native-error.ts";
import { type Nvml, type NvmlDevice, nvmlPath } from "./nvml.ts";
import { contextBytesEstimate, overheadOf } from "./overhead.ts";

/** What the driver's manual names for memory of one device, where it does not tell itself. */
const GRANULARITY_BYTES = 2 * 1024 * 1024;

const checkedWith =
  ({ api }: CudaLibrary) =>
  (result: number, doing: string): void => {
    if (result !== CUresult.SUCCESS) throw nativeError(api, result, { doing });
  };

/** The driver's UUID bytes as NVML writes them. */
export function readUuid({ api }: CudaLibrary, device: number): string {
  const bytes = Buffer.alloc(16);
  if (api.cuDeviceGetUuid_v2(bytes, device) !== CUresult.SUCCESS) return "";
  return `GPU-${bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5")}`;
}

/** The driver's devices, by ordinal. */
export function listOrdinals(library: CudaLibrary): number[] {
  const checked = checkedWith(library);
  const count = new Int32Array(1);
  checked(library.api.cuDeviceGetCount(count), "count the devices");
  return Array.from({ length: count[0]! }, (_, ordinal) => {
    const device = new Int32Array(1);
    checked(library.api.cuDeviceGet(device, ordinal), "find a device");
    return device[0]!;
  });
}

/** Indices of a spec such as `0` or `0,2`; all for an empty one. */
function selectIndices(spec: string, count: number): number[] {
  if (spec === "") return Array.from({ length: count }, (_, index) => index);
  const indices = spec.split(",").map((part) => {
    if (!/^\d{1,4}$/.test(part.trim())) {
      throw new SluiceError(
        "BAD_ARGUMENT",
        `CUDA devices are named by their indices, like cuda:0 or cuda:0,2, not by [${spec}].`,
      );
    }
    return Number(part);
  });
  const missing = indices.find((index) => index >= count);
  if (missing !== undefined) {
    throw new SluiceError("BAD_ARGUMENT", `There is no CUDA device [${missing}]; this machine shows [${count}].`);
  }
  if (new Set(indices).size < indices.length) {
    throw new SluiceError("BAD_ARGUMENT", `A CUDA device is named twice in [${spec}].`);
  }
  return indices;
}

const stateOf = (state: boolean | undefined): "enabled" | "disabled" | "unsupported" =>
  state === undefined ? "unsupported" : state ? "enabled" : "disabled";

function readName({ api }: CudaLibrary, device: number): string {
  const text = Buffer.alloc(256);
  const asked = api.cuDeviceGetName(text, text.length, device) === CUresult.SUCCESS;
  return asked ? text.toString("utf8").split("\0")[0]! : "NVIDIA GPU";
}

function readPciAddress({ api }: CudaLibrary, device: number): string {
  const text = Buffer.alloc(32);
  const asked = api.cuDeviceGetPCIBusId(text, text.length, device) === CUresult.SUCCESS;
  return asked ? text.toString("latin1").split("\0")[0]!.toLowerCase() : "";
}

/** Both write domain, bus, device and function, but with different widths of the domain. */
const samePciAddress = (a: string, b: string): boolean => {
  const normal = (address: string): string => address.toLowerCase().replace(/^0+(?=[0-9a-f]{4}:)/, "");
  return a !== "" && normal(a) === normal(b);
};

interface Found {
  readonly index: number;
  readonly device: number;
  readonly uuid: string;
  readonly pciAddress: string;
  readonly monitored: NvmlDevice | undefined;
}

function linksOf(nvml: Nvml | undefined, found: Found, all: readonly Found[]): DeviceDetails["nvlink"] {
  const own = found.monitored;
  if (nvml === undefined || own === undefined) return [];
  const peers = nvml.nvlinkPeers(own);
  return all.flatMap((other) => {
    if (other === found || other.monitored === undefined || !nvml.joinedByNvlink(own, other.monitored)) return [];
    const links = peers.filter((peer) => samePciAddress(peer, other.pciAddress)).length;
    return [{ device: `cuda:${other.index}`, links }];
  });
}

/** Of memory that a device has in common with the processor this part is lent; the rest is the system's, which else could not breathe. */
const SHARED_PART = 0.75;

/** Memory that can be lent: what the driver counts, less what NVML says is set aside for the system. */
function lendableBytes(library: CudaLibrary, nvml: Nvml | undefined, found: Found): number {
  const bytes = new BigUint64Array(1);
  checkedWith(library)(library.api.cuDeviceTotalMem_v2(bytes, found.device), "tell a device's memory");
  const total = Number(bytes[0]);
  if (isIntegrated(library, found)) return total * SHARED_PART;
  const memory = found.monitored === undefined ? undefined : nvml?.memory(found.monitored);
  return memory === undefined ? total : Math.min(total, memory.totalBytes - memory.reservedBytes);
}

function describe(library: CudaLibrary, nvml: Nvml | undefined, found: Found): Omit<DeviceDescription, "details"> {
  const { device } = found;
  const attribute = (number: number): number => readAttribute(library.api, device, number);
  const granularityBytes = allocationGranularity(library.api, device) ?? GRANULARITY_BYTES;
  const memoryBytes = Math.floor(lendableBytes(library, nvml, found) / granularityBytes) * granularityBytes;
  const overheadBytes = overheadOf(contextBytesEstimate, granularityBytes);
  // By Linux's heterogeneous memory management, or by page tables that processor and device share.
  const reachesHostMemory = attribute(DeviceAttributeNumber.PAGEABLE_MEMORY_ACCESS) === 1;
  return {
    id: `cuda:${found.index}`,
    kind: "cuda",
    name: readName(library, device),
    memoryBytes,
    granularityBytes,
    overheadBytes,
    overheadEstimated: true,
    capabilityMajor: attribute(DeviceAttributeNumber.COMPUTE_CAPABILITY_MAJOR),
    capabilityMinor: attribute(DeviceAttributeNumber.COMPUTE_CAPABILITY_MINOR),
    sliceBytesMax: Math.max(0, memoryBytes - overheadBytes),
    ...(reachesHostMemory ? { reachesHostMemory } : {}),
  };
}

const isIntegrated = ({ api }: CudaLibrary, { device }: Found): boolean =>
  readAttribute(api, device, DeviceAttributeNumber.INTEGRATED) === 1;

/** What an admin should know of devices that can be lent. */
function remarksOn(library: CudaLibrary, nvml: Nvml | undefined, good: readonly Found[]): string[] {
  const remarks = good
    .filter((found) => isIntegrated(library, found))
    .map(
      ({ index }) =>
        `The CUDA device [${index}] has its memory in common with the processor: [${SHARED_PART}] of it is lent, and the rest left to the system.`,
    );
  const inContainer = "in a container, NVIDIA_DRIVER_CAPABILITIES must name [utility]";
  if (nvml === undefined)
    return [
      ...remarks,
      `Nothing tells how the CUDA devices are, for NVML [${nvmlPath()}] cannot be used: one that falls ill is not noticed before a job fails; ${inContainer}.`,
    ];
  const unknown = good.filter(({ monitored }) => monitored === undefined).map(({ index }) => index);
  if (unknown.length === 0) return remarks;
  return [...remarks, `NVML does not show the CUDA devices [${unknown}], so nothing tells how they are.`];
}

/** Why the driver is there and shows no GPU, as far as the environment and NVML tell; other errors as they are. */
export function withReason(error: unknown, nvml: Nvml | undefined): unknown {
  if (!(error instanceof SluiceError) || error.details.nativeCode !== CUresult.NO_DEVICE) return error;
  const visible = process.env["CUDA_VISIBLE_DEVICES"];
  const cards = nvml?.cards() ?? [];
  let reason: string | undefined;
  if (visible !== undefined) reason = `CUDA_VISIBLE_DEVICES is [${visible}], and names none that is there`;
  else if (cards.length > 0 && cards.every((isCut) => isCut))
    reason = "MIG is on, and no card is cut into instances: make some by nvidia-smi mig, or turn it off";
  else if (cards.length > 0)
    reason = `NVML shows [${cards.length}], so look at the rights on /dev/nvidia*, and at nvidia-uvm`;
  if (reason === undefined) return error;
  const sentence = `The NVIDIA driver is there, but it shows this process no GPU: ${reason}.`;
  return new SluiceError("DEVICE_FAILED", sentence, error.details);
}

/** The version in what the kernel's module says of itself, of either kind; empty where there is none. */
export const driverVersionIn = (text: string): string =>
  /Kernel Module.*?\s(\d{3,}\.\d+(?:\.\d+)?)\s/.exec(text)?.[1] ?? "";

/** As the kernel's module tells it, where NVML does not. */
function readDriverVersion(): string {
  try {
    return driverVersionIn(readFileSync("/proc/driver/nvidia/version", "utf8"));
  } catch {
    return "";
  }
}

/** Why a device cannot be lent at all, as a sentence; undefined for a good one. */
function unfit(library: CudaLibrary, found: Found): string | undefined {
  const mode = readAttribute(library.api, found.device, DeviceAttributeNumber.COMPUTE_MODE);
  if (mode === ComputeMode.PROHIBITED || mode === ComputeMode.EXCLUSIVE_PROCESS) {
    const allowed =
      mode === ComputeMode.PROHIBITED ? "no program" : "one process at a time, and each lease has its own";
    return `The CUDA device [${found.index}] is set to allow ${allowed}; change its compute mode by \`nvidia-smi -i ${found.pciAddress || found.index} -c DEFAULT\`.`;
  }
  const managed = DeviceAttributeNumber.VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED;
  if (readAttribute(library.api, found.device, managed) === 0) {
    return `The CUDA device [${found.index}] has no virtual memory management, which exact shares need; a virtual GPU (vGPU) may have none.`;
  }
  return undefined;
}

/**
 * The devices of a spec. With an empty spec, devices that cannot be lent are left out as long as one can; `remark` hears why.
 * @throws SluiceError BAD_ARGUMENT for a bad spec, DEVICE_FAILED when a device asked for, or every device, cannot be lent.
 */
export function discoverDevices(
  library: CudaLibrary,
  nvml: Nvml | undefined,
  {
    spec,
    remark = () => undefined,
  }: { readonly spec: string; readonly remark: ((sentence: string) => void) | undefined },
): DeviceDescription[] {
  const ordinals = listOrdinals(library);
  const all: Found[] = ordinals.map((device, index) => {
    const uuid = readUuid(library, device);
    const monitored = nvml?.device(uuid);
    return {
      index,
      device,
      uuid,
      pciAddress: readPciAddress(library, device),
      monitored: monitored !== undefined && "handle" in monitored ? monitored : undefined,
    };
  });
  const asked = selectIndices(spec, all.length).map((index) => all[index]!);
  const problems = asked.map((found) => unfit(library, found));
  const good = asked.filter((_, position) => problems[position] === undefined);
  const problem = problems.find((sentence) => sentence !== undefined);
  if (problem !== undefined && (spec !== "" || good.length === 0)) throw new SluiceError("DEVICE_FAILED", problem);
  if (good.length === 0) throw new SluiceError("DEVICE_FAILED", "The NVIDIA driver shows this process no GPU.");
  for (const sentence of [...problems, ...remarksOn(library, nvml, good)]) if (sentence !== undefined) remark(sentence);
  const driverVersion = nvml?.driverVersion() ?? readDriverVersion();
  return good.map((found) => ({
    ...describe(library, nvml, found),
    details: {
      uuid: found.uuid,
      pciAddress: found.pciAddress,
      driverVersion,
      cudaVersion: versionText(library.driverVersion),
      multiprocessors: readAttribute(library.api, found.device, DeviceAttributeNumber.MULTIPROCESSOR_COUNT),
      mig: stateOf(found.monitored === undefined ? undefined : nvml?.mig(found.monitored)),
      ecc: stateOf(found.monitored === undefined ? undefined : nvml?.ecc(found.monitored)),
      nvlink: linksOf(nvml, found, all),
    },
  }));
}
