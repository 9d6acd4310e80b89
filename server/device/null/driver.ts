/**
 * The null device: its memory is real and its kernels do nothing, for measuring what remoting alone costs. It takes PTX and
 * checks launches as a real device does. Imports shared only.
 */
import { SluiceError } from "../../../shared/errors.ts";
import { parseSize } from "../../../shared/units.ts";
import type { DeviceDescription, DeviceDriver } from "../device.ts";
import { NullSlice } from "./slice.ts";

const DEFAULT_MEMORY_BYTES = 16 * 1024 ** 3;
const GRANULARITY_BYTES = 1024 ** 2;

function describe(index: number, memoryBytes: number): DeviceDescription {
  return {
    id: `null:${index}`,
    kind: "null",
    name: "Sluice null device",
    memoryBytes,
    granularityBytes: GRANULARITY_BYTES,
    overheadBytes: 0,
    capabilityMajor: 8,
    capabilityMinor: 0,
    sliceBytesMax: memoryBytes,
  };
}

/** For trying out what an admin of so many devices sees. */
const COUNT_MAX = 256;

export const nullDriver: DeviceDriver = {
  kind: "null",

  /** `spec` is empty, or COUNTxSIZE such as `2x16GiB`. */
  async discover(spec) {
    if (spec === "") return [describe(0, DEFAULT_MEMORY_BYTES)];
    const match = /^(\d{1,3})x(.+)$/.exec(spec);
    const count = Number(match?.[1] ?? 0);
    if (match === null || count < 1 || count > COUNT_MAX) {
      throw new SluiceError(
        "BAD_ARGUMENT",
        `The device [null:${spec}] is not written as null:COUNTxSIZE, like null:2x16GiB, with a count from 1 to ${COUNT_MAX}.`,
      );
    }
    const memoryBytes = parseSize(match[2]!);
    if (memoryBytes < GRANULARITY_BYTES || memoryBytes > 1024 ** 4) {
      throw new SluiceError("BAD_ARGUMENT", `The device size [${match[2]}] is not from 1MiB to 1TiB.`);
    }
    const whole = Math.floor(memoryBytes / GRANULARITY_BYTES) * GRANULARITY_BYTES;
    return Array.from({ length: count }, (_, index) => describe(index, whole));
  },

  async open(options) {
    return new NullSlice(options);
  },
};
