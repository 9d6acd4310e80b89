/** Every kernel case on the cpu device, in this process. */
import { afterAll, describe, test } from "vitest";
import { kernelCases } from "../kernels/cases.ts";
import { openCpuMachine } from "../kernels/cpu-machine.ts";
import type { KernelCase } from "../kernels/machine.ts";
import type { SliceMachine } from "../kernels/slice-machine.ts";

const KERNEL_TIMEOUT_MS = 30_000;

const open = (kernelTimeoutMs = KERNEL_TIMEOUT_MS): Promise<SliceMachine> => openCpuMachine(kernelTimeoutMs);

/** Cases that leave the machine whole share one, which also shows that a module leaves nothing behind for the next. */
let shared: SliceMachine | undefined;

async function runShared(kernelCase: KernelCase): Promise<void> {
  shared ??= await open();
  const machine = shared;
  try {
    await kernelCase.run(machine);
    await machine.reset();
  } catch (error) {
    shared = undefined;
    await machine.close();
    throw error;
  }
}

async function runAlone(kernelCase: KernelCase): Promise<void> {
  const machine = await open(kernelCase.kernelTimeoutMs);
  try {
    await kernelCase.run(machine);
  } finally {
    await machine.close();
  }
}

afterAll(() => shared?.close());

describe("kernels compiled by nvcc run correctly on the cpu device", () => {
  for (const kernelCase of kernelCases)
    test(`${kernelCase.name} (${kernelCase.ptx}.ptx)`, () =>
      kernelCase.spoils ? runAlone(kernelCase) : runShared(kernelCase));
});
