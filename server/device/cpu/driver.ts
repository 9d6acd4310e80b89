/** The `cpu` device: real PTX on the CPU, compiled to WebAssembly. Everything works with it on a machine without a GPU. */
import os from "node:os";
import { SluiceError } from "../../../shared/errors.ts";
import type { DeviceDescription, DeviceDriver, DeviceSlice, SliceOptions } from "../device.ts";
import { hostProcessors } from "../host-processors.ts";
import { CAPABILITY } from "./attributes.ts";
import { warmCompiler } from "./module.ts";
import { WORKERS_MAX } from "./run/control.ts";
import { arenaBytesMax, PAGE_BYTES } from "./run/layout.ts";
import { keepSpareWorkers } from "./run/worker-pool.ts";
import { CpuSlice } from "./slice.ts";

const GiB = 2 ** 30;

/** A device without a size has this much, or half of the machine's memory where that is less. One lease can have all of it. */
const MEMORY_BYTES_DEFAULT = 3.5 * GiB;
const DEVICES_MAX = 64;
/** A device may be larger than a slice of it can be. */
const MEMORY_BYTES_MAX = 2 ** 43;

/** A worker that waits takes some MiB; the others of a large machine start when a launch wants them. */
const SPARE_WORKERS_MAX = 4;

const units: Record<string, number> = { KiB: 2 ** 10, MiB: 2 ** 20, GiB, TiB: 2 ** 40 };

/** Blocks that run at once in one slice. */
const workerCount = (): number => Math.min(Math.max(1, Math.floor(hostProcessors())), WORKERS_MAX);

export const cpuDriver: DeviceDriver = {
  kind: "cpu",

  async discover(spec: string): Promise<DeviceDescription[]> {
    const { count, memoryBytes } = readSpec(spec);
    const model = os.cpus()[0]?.model.trim() || "CPU";
    return Array.from({ length: count }, (_, index) => ({
      id: `cpu:${index}`,
      kind: "cpu",
      name: `Sluice CPU (${model})`,
      memoryBytes,
      granularityBytes: PAGE_BYTES,
      overheadBytes: 0,
      capabilityMajor: CAPABILITY.major,
      capabilityMinor: CAPABILITY.minor,
      sliceBytesMax: Math.min(memoryBytes, arenaBytesMax(workerCount())),
    }));
  },

  /** Probes the machine, compiles one small kernel, so that the compiler itself is warm, and starts workers for the first slice. */
  async prepare(): Promise<void> {
    keepSpareWorkers(Math.min(workerCount(), SPARE_WORKERS_MAX));
    warmCompiler();
  },

  async open(options: SliceOptions): Promise<DeviceSlice> {
    return new CpuSlice(options, workerCount());
  },
};

/** `""`, `2GiB`, `4x2GiB` or `4x`: a number of devices and the memory of each. */
function readSpec(spec: string): { count: number; memoryBytes: number } {
  const match = /^(?:(\d{1,3})x)?(?:(\d{1,6}(?:\.\d{1,6})?)(KiB|MiB|GiB|TiB))?$/.exec(spec);
  if (match === null) {
    throw new SluiceError("BAD_ARGUMENT", `The devices [cpu:${spec}] are not like [cpu], [cpu:2GiB] or [cpu:4x2GiB].`);
  }
  const [, countText, sizeText, unit] = match;
  const count = countText === undefined ? 1 : Number(countText);
  if (count < 1 || count > DEVICES_MAX) {
    throw new SluiceError("BAD_ARGUMENT", `The number of devices [${count}] is not between [1] and [${DEVICES_MAX}].`);
  }
  const half = os.totalmem() / 2;
  const wanted = sizeText === undefined ? Math.min(MEMORY_BYTES_DEFAULT, half) : Number(sizeText) * units[unit!]!;
  const memoryBytes = Math.floor(wanted / PAGE_BYTES) * PAGE_BYTES;
  if (memoryBytes < PAGE_BYTES || memoryBytes > MEMORY_BYTES_MAX) {
    throw new SluiceError("BAD_ARGUMENT", `The memory [${sizeText}${unit}] of a cpu device is too small or too large.`);
  }
  return { count, memoryBytes };
}
