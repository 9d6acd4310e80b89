/** Every kernel case on the cpu device, in this process. */
import { describe, test } from "vitest";
import { cpuDriver } from "../../server/device/cpu/driver.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { CASE_ARENA_BYTES, kernelCases } from "../kernels/cases.ts";
import { openSliceMachine } from "../kernels/slice-machine.ts";

const KERNEL_TIMEOUT_MS = 30_000;

describe("kernels compiled by nvcc run correctly on the cpu device", () => {
  for (const kernelCase of kernelCases)
    test(`${kernelCase.name} (${kernelCase.ptx}.ptx)`, async () => {
      const [description] = await cpuDriver.discover("1x256MiB");
      const machine = await openSliceMachine({
        arenaBase: ARENA_BASE,
        arenaBytes: CASE_ARENA_BYTES,
        open: (onOutput) =>
          cpuDriver.open({
            description: description!,
            arenaBytes: CASE_ARENA_BYTES,
            arenaBase: ARENA_BASE,
            kernelTimeoutMs: kernelCase.kernelTimeoutMs ?? KERNEL_TIMEOUT_MS,
            onOutput,
          }),
      });
      try {
        await kernelCase.run(machine);
      } finally {
        await machine.close();
      }
    });
});
