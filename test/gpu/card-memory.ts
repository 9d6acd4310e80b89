/** Memory of the card that is in use, as NVML tells it, and what is left of it behind a piece of work: a driver gives back late. */
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import { Nvml } from "../../server/device/cuda/nvml.ts";
import type { DeviceDescription } from "../../server/device/device.ts";
import { withinTime } from "../support/time-left.ts";
import type { Row } from "./job.ts";

export interface MemoryOf {
  readonly device: DeviceDescription;
  /** Within this time the driver gives the memory of a process back that has ended. */
  readonly returnLimitMs: number;
}

/** Why what is in use of a card says nothing, by its id. */
const silent = new Map<string, string>();

/** What others had of a card before the check, by its id, where they have some. */
const shared = new Map<string, number>();

export const sharedBytes = ({ id }: DeviceDescription): number | undefined => shared.get(id);

/** What the driver keeps of a card as long as anything uses it, by the card's id, where a group has found that. */
const kept = new Map<string, number>();

export const keptBytes = ({ id }: DeviceDescription): number => kept.get(id) ?? 0;

/** From now on so many bytes more count as the driver's. */
export function countAsKept(device: DeviceDescription, bytes: number): void {
  kept.set(device.id, keptBytes(device) + bytes);
}

/** Less than this is the driver's own. */
const OTHERS_BYTES_MIN = 64 * 1024 * 1024;

async function ask(device: DeviceDescription): Promise<number | undefined> {
  return (await cudaDriver.health!([device]))[0]!.memoryUsedBytes;
}

/**
 * Before anything is done on the card: looks whether its memory is anybody else's too, for then what is left behind a piece of work may be theirs. Returns
 * what others use, in bytes; undefined where the card does not tell.
 */
export async function lookForOthers(device: DeviceDescription): Promise<number | undefined> {
  const used = await ask(device);
  if (used === undefined) silent.set(device.id, "NVML does not tell how much of the card is in use");
  else if (used >= OTHERS_BYTES_MIN) {
    shared.set(device.id, used);
    silent.set(device.id, `others use the card, [${used}] bytes of it before the check`);
  }
  return used;
}

/** Bytes; undefined where the card does not tell, or others have some of it. */
export const usedBytes = async (device: DeviceDescription): Promise<number | undefined> =>
  silent.has(device.id) ? undefined : ask(device);

/** Waits until no more memory is used than before; tells how much is left over. */
export async function leftOver(
  { device, returnLimitMs }: MemoryOf,
  before: number | undefined,
): Promise<number | undefined> {
  if (before === undefined) return undefined;
  const deadline = performance.now() + withinTime(returnLimitMs);
  for (;;) {
    const left = ((await usedBytes(device)) ?? before) - before;
    if (left <= 0 || performance.now() > deadline) return Math.max(0, left);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The processes that have memory of the card; undefined where NVML does not tell. */
function processesOn({ details }: DeviceDescription): { bytes: number | undefined }[] | undefined {
  const shown = Nvml.showing(details?.uuid ?? "");
  return shown?.nvml.processes(shown.device);
}

/** Whether it is the driver by itself that has what is in use of the card. */
export const isDriversAlone = (device: DeviceDescription): boolean => processesOn(device)?.length === 0;

/** Whether it is a process that has memory of the card, or the driver by itself. */
function holders(device: DeviceDescription): string {
  const processes = processesOn(device);
  if (processes === undefined) return "NVML does not tell which processes have memory of it";
  const told = processes.map(({ bytes }) => `[${bytes ?? "?"}] bytes`).join(", ");
  return processes.length === 0 ? "no process has any: the driver keeps it" : `processes have of it ${told}`;
}

export const leakRow = (
  group: string,
  device: DeviceDescription,
  left: number | undefined,
  name = "bytes left on the card afterwards",
): Row => {
  const [unit, ok] = ["B", left === 0];
  if (left !== undefined) return { group, name, unit, value: left, ok, ...(ok ? {} : { note: holders(device) }) };
  return { group, name, isSkipped: true, note: silent.get(device.id) ?? "NVML does not tell" };
};
