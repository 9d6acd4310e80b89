/**
 * Opening a slice on memory that its last owner has only just left: a driver may give back what a process had some time after its death, and the
 * pool, which knows of the death alone, has granted it again by then.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { toSluiceError } from "../../shared/errors.ts";

/** Drivers take milliseconds, and longer for a large slice on a busy machine. */
const SETTLING_MS_MAX = 5_000;
const PAUSE_MS = 50;

/** Tries again for a while where the device has not so much memory yet. @throws what `open` throws */
export async function openSettled<T>(open: () => Promise<T>, settlingMsMax = SETTLING_MS_MAX): Promise<T> {
  for (let waitedMs = 0; ; waitedMs += PAUSE_MS) {
    try {
      return await open();
    } catch (error) {
      if (toSluiceError(error).code !== "OUT_OF_MEMORY" || waitedMs >= settlingMsMax) throw error;
    }
    await sleep(PAUSE_MS);
  }
}
