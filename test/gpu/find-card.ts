/** Finds the card that is to be checked, and whether it can be. */
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import type { DeviceDescription } from "../../server/device/device.ts";
import { SluiceError } from "../../shared/errors.ts";
import { lookForOthers, usedBytes } from "./card-memory.ts";
import { type Card, START_LIMIT_MS } from "./group-tools.ts";
import { capabilityOf, capabilityText, runJob } from "./job.ts";
import type { Options } from "./options.ts";

/** The check's kernels are for this and later, as NVIDIA's compilers are since CUDA 13. */
const CAPABILITY_MIN = 75;
const MiB = 1024 * 1024;

/** The card that is asked for; undefined, with the reason, where there is none that can be used. */
export async function findCard(index: string): Promise<{ device: DeviceDescription } | { why: string }> {
  try {
    return { device: (await cudaDriver.discover(index))[0]! };
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code !== "DEVICE_FAILED") throw error;
    return { why: error.message };
  }
}

/** Why a card is none that can be checked, in a sentence, or what fails there already; else what of it is free beside a context, in bytes. */
export async function findRoom(
  device: DeviceDescription,
  { sizes }: Pick<Options, "sizes">,
): Promise<{ why: string } | { failure: string } | Pick<Card, "roomBytes" | "usedBefore">> {
  const capability = capabilityOf(device);
  if (capability < CAPABILITY_MIN) {
    const [least, own] = [CAPABILITY_MIN, capability].map(capabilityText);
    return {
      why: `The check's kernels need compute capability ${least} or later, and the card [${device.name}] has ${own}.`,
    };
  }
  const used = await lookForOthers(device);
  const usedBefore = await usedBytes(device);
  const { replies, failure } = await runJob({ kind: "room", device: device.id }, START_LIMIT_MS);
  const room = replies.find((reply) => reply.kind === "number")?.value ?? 0;
  if (failure !== undefined && !failure.startsWith("OUT_OF_MEMORY")) return { failure };
  if (room >= sizes.roomBytes) return { roomBytes: room, usedBefore };
  const inUse = used === undefined ? "" : `, and [${Math.round(used / MiB)} MiB] in use before it`;
  const free = `[${Math.round(room / MiB)} MiB] are free beside a context${inUse}`;
  return { why: `The check needs [${sizes.roomBytes / MiB} MiB] of the card, where ${free}; end what uses it.` };
}
