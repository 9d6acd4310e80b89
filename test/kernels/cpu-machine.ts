/** The machine of the kernel cases on the cpu device, in this process. */
import { cpuDriver } from "../../server/device/cpu/driver.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { CASE_ARENA_BYTES } from "./cases.ts";
import { openSliceMachine, type SliceMachine } from "./slice-machine.ts";

export async function openCpuMachine(kernelTimeoutMs: number): Promise<SliceMachine> {
  const [description] = await cpuDriver.discover("1x256MiB");
  return openSliceMachine({
    arenaBase: ARENA_BASE,
    arenaBytes: CASE_ARENA_BYTES,
    open: (onOutput) =>
      cpuDriver.open({
        description: description!,
        arenaBytes: CASE_ARENA_BYTES,
        arenaBase: ARENA_BASE,
        kernelTimeoutMs,
        onOutput,
      }),
  });
}
