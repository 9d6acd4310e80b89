/**
 * Devices whose kernels can reach the memory of the processes that run them, the server's: a kernel of a tenant could then do whatever the
 * server's account may. Decides whether such a device may be lent; the driver offers nothing to prevent it for one process.
 */
import { SluiceError } from "../../shared/errors.ts";

interface Device {
  readonly id: string;
  readonly reachesHostMemory?: boolean;
}

const REMEDY =
  "load the kernel module nvidia-uvm with [uvm_disable_hmm=1], or use a GPU that does not share the processor's page tables";

/**
 * What an admin should know, in sentences.
 * @throws SluiceError DEVICE_FAILED where tokens are asked for, so that people who do not trust each other may come, unless the admin accepts that.
 */
export function hostMemoryWarnings(
  devices: readonly Device[],
  { requireToken, insecure }: { readonly requireToken: boolean; readonly insecure: boolean },
): string[] {
  const ids = devices.filter(({ reachesHostMemory }) => reachesHostMemory === true).map(({ id }) => id);
  if (ids.length === 0) return [];
  const sentence = `Kernels on the devices [${ids.join(", ")}] can read and write the memory of the server's own processes`;
  if (requireToken && !insecure) {
    throw new SluiceError("DEVICE_FAILED", `${sentence}: ${REMEDY}, or give --insecure to allow that.`);
  }
  return [`${sentence}, so lend them only to whom you would give the server's account; or ${REMEDY}.`];
}
