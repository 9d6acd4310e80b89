/** Small matrices that lie spread over a warp: loaded by generic addresses, and transposed between lanes. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type CpuMachine, openCpu, ptxKernel, readWords, runPtx } from "./cpu-machine.ts";

let machine: CpuMachine;
beforeAll(async () => {
  machine = await openCpu();
});
afterAll(() => machine.slice.close());

/** %r1: the thread's word of `tile`, 8 rows of 8 halves that count up; %rd1: its row's generic address; %rd3: its word of the arena. */
const start = `mov.u32 %r2, tile; mad.lo.u32 %r1, %r0, 4, %r2; mul.lo.u32 %r3, %r0, 0x20002; add.u32 %r3, %r3, 0x10000;
  st.shared.u32 [%r1], %r3; bar.sync 0; and.b32 %r4, %r0, 7; mad.lo.u32 %r5, %r4, 16, %r2;
  cvt.u64.u32 %rd1, %r5; cvta.shared.u64 %rd1, %rd1; mul.wide.u32 %rd2, %r0, 4; add.u64 %rd3, %rd0, %rd2;`;
const before = ".shared .align 16 .b8 tile[128];";
const run = (body: string) => runPtx(machine, ptxKernel(start + body, { before }), { block: 32 });

const rows = Array.from({ length: 32 }, (_, lane) => (2 * lane) | ((2 * lane + 1) << 16));
const columns = Array.from({ length: 32 }, (_, lane) => {
  const at = (part: number) => (2 * (lane & 3) + part) * 8 + (lane >> 2);
  return at(0) | (at(1) << 16);
});

test("ldmatrix takes generic addresses of shared memory", async () => {
  await run("ldmatrix.sync.aligned.m8n8.x1.b16 {%r6}, [%rd1]; st.global.u32 [%rd3], %r6;");
  expect([...readWords(machine, 32)]).toEqual(rows);
  await run("ldmatrix.sync.aligned.m8n8.x1.trans.b16 {%r6}, [%rd1]; st.global.u32 [%rd3], %r6;");
  expect([...readWords(machine, 32)]).toEqual(columns);
});

test("movmatrix transposes what lanes hold, also into the register that it comes from", async () => {
  await run("ld.shared.u32 %r6, [%r1]; movmatrix.sync.aligned.m8n8.trans.b16 %r6, %r6; st.global.u32 [%rd3], %r6;");
  expect([...readWords(machine, 32)]).toEqual(columns);
});

test("ldmatrix refuses an address outside shared memory", async () => {
  const other = await openCpu();
  const loads = "ldmatrix.sync.aligned.m8n8.x1.b16 {%r6}, [%rd0]; st.global.u32 [%rd3], %r6;";
  await expect(runPtx(other, ptxKernel(start + loads, { before }), { block: 32 })).rejects.toMatchObject({
    code: "ILLEGAL_ADDRESS",
  });
  await other.slice.close();
});
