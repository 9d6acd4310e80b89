/** Every kernel case on the cpu device, in this process. */
import { afterAll, describe, test } from "vitest";
import { cpuDriver } from "../../server/device/cpu/driver.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { CASE_ARENA_BYTES, kernelCases } from "../kernels/cases.ts";
import type { KernelCase } from "../kernels/machine.ts";
import { openSliceMachine, type SliceMachine } from "../kernels/slice-machine.ts";

const KERNEL_TIMEOUT_MS = 30_000;

async function open(kernelTimeoutMs = KERNEL_TIMEOUT_MS): Promise<SliceMachine> {
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
