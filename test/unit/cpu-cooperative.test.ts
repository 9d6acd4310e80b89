/** Launches whose blocks wait for each other on the cpu device: by the library of device code that programs expect, and what is refused. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CpuMachine, failure, openCpu, ptxKernel, readWords, runPtx, writeWords } from "./cpu-machine.ts";

let machine: CpuMachine;
let blocks: number;
beforeAll(async () => {
  machine = await openCpu();
  blocks = machine.slice.attributes.attributes.find(({ attribute }) => attribute === 16)!.value;
});
afterAll(() => machine.slice.close());

/** Every block counts up, meets the others, and leaves what the count is then. */
const meeting = ptxKernel(
  `atom.global.add.u32 %r2, [%rd0], 1; mov.u32 %r3, 1; mov.u32 %r4, 0;
{ .param .b32 a; .param .b64 b; st.param.b32 [a], %r3; call (b), cudaCGGetIntrinsicHandle, (a); ld.param.b64 %rd3, [b]; }
{ .param .b64 a; .param .b32 f; .param .b32 b; st.param.b64 [a], %rd3; st.param.b32 [f], %r4; call (b), cudaCGSynchronize, (a, f); ld.param.b32 %r5, [b]; }
ld.volatile.global.u32 %r6, [%rd0]; mov.u32 %r1, %ctaid.x; mul.wide.u32 %rd1, %r1, 4; add.u64 %rd1, %rd0, %rd1; st.global.u32 [%rd1+4], %r6;`,
  {
    before: `.extern .func (.param .b64 result) cudaCGGetIntrinsicHandle (.param .b32 scope);
.extern .func (.param .b32 result) cudaCGSynchronize (.param .b64 handle, .param .b32 flags);`,
  },
);

describe("a cooperative launch", () => {
  test("lets all blocks meet, again and again", async () => {
    for (let turn = 0; turn < 5; turn++) {
      writeWords(machine, new Uint32Array(1 + blocks));
      await runPtx(machine, meeting, { grid: [blocks, 1, 1], block: 32, cooperative: true });
      expect([...readWords(machine, blocks, 4)]).toEqual(Array.from({ length: blocks }, () => 32 * blocks));
    }
  });

  test("of more blocks than run at the same time is BAD_LAUNCH, and harms nothing", async () => {
    const launch = () => runPtx(machine, meeting, { grid: [blocks + 1, 1, 1], cooperative: true });
    expect(await failure(launch)).toMatchObject({
      code: "BAD_LAUNCH",
      message: expect.stringContaining(`[${blocks + 1}] blocks`),
    });
    await runPtx(machine, meeting, { grid: [blocks, 1, 1], cooperative: true });
  });

  test("is what a barrier of the grid needs: in any other it stops the kernel", async () => {
    const own = await openCpu();
    expect(await failure(() => runPtx(own, meeting))).toMatchObject({ code: "KERNEL_TRAP" });
    await own.slice.close();
  });
});
