/** The device runtime's functions by which the blocks of a cooperative launch wait for each other, as numba calls them. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { hostProcessors } from "../../server/device/host-processors.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { bytesOf, type CpuMachine, failure, openCpu, ptxKernel, readWords } from "./cpu-machine.ts";

let machine: CpuMachine;
beforeAll(async () => {
  machine = await openCpu();
});
afterAll(() => machine.slice.close());

const before = `.extern .func (.param .b64 r) cudaCGGetIntrinsicHandle(.param .b32 a);
  .extern .func (.param .b32 r) cudaCGSynchronize(.param .b64 a, .param .b32 b);`;
/** Each block adds to its own word in each round what the block opposite had there in the round before. */
const body = `mov.u32 %r1, %ctaid.x; mov.u32 %r2, %nctaid.x; sub.u32 %r3, %r2, 1; sub.u32 %r3, %r3, %r1;
  mul.wide.u32 %rd1, %r1, 4; add.u64 %rd2, %rd0, %rd1; mul.wide.u32 %rd1, %r3, 4; add.u64 %rd3, %rd0, %rd1;
  { .param .b32 a; .param .b64 r; st.param.b32 [a], 1; call.uni (r), cudaCGGetIntrinsicHandle, (a); ld.param.b64 %rd5, [r]; }
  add.u32 %r4, %r1, 1; mov.u32 %r5, 0; setp.ne.u32 %p1, %r0, 0; @!%p1 st.volatile.global.u32 [%rd2], %r4;
  ROUND: { .param .b64 h; .param .b32 f; .param .b32 r; st.param.b64 [h], %rd5; st.param.b32 [f], 0; call.uni (r), cudaCGSynchronize, (h, f); }
  ld.volatile.global.u32 %r6, [%rd3];
  { .param .b64 h; .param .b32 f; .param .b32 r; st.param.b64 [h], %rd5; st.param.b32 [f], 0; call.uni (r), cudaCGSynchronize, (h, f); }
  add.u32 %r4, %r4, %r6; @!%p1 st.volatile.global.u32 [%rd2], %r4;
  add.u32 %r5, %r5, 1; setp.lt.u32 %p2, %r5, 4; @%p2 bra ROUND;`;

async function launch(options: { blocks: number; cooperative: boolean }): Promise<void> {
  const module = await machine.slice.loadModule(bytesOf(ptxKernel(body, { before })));
  const params = new Uint8Array(BigUint64Array.of(BigInt(ARENA_BASE)).buffer);
  const shape = { grid: [options.blocks, 1, 1], block: [64, 1, 1], sharedBytes: 0, stream: undefined } as const;
  await machine.slice.launch({ module, kernel: 0, params, ...shape, cooperative: options.cooperative });
  await machine.slice.unloadModule(module);
}

test("blocks of a cooperative launch see what the others wrote before they met", async () => {
  const blocks = Math.min(2, Math.max(1, Math.floor(hostProcessors())));
  await launch({ blocks, cooperative: true });
  let words = Array.from({ length: blocks }, (_, block) => block + 1);
  for (let round = 0; round < 4; round++) words = words.map((word, block) => word + words[blocks - 1 - block]!);
  expect([...readWords(machine, blocks)]).toEqual(words);
});

test("blocks of an ordinary launch cannot wait for each other, and are told", async () => {
  const refused = await failure(() => launch({ blocks: 2, cooperative: false }));
  expect(refused.code).toBe("KERNEL_TRAP");
});
