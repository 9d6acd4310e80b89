/** Vectors that one worker writes and another reads: they are seen whole, as hardware moves them, and programs count on it. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { cpuDriver } from "../../server/device/cpu/driver.ts";
import { CpuSlice } from "../../server/device/cpu/slice.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { ptxKernel, readWords, runPtx, writeWords } from "./cpu-machine.ts";

let machine: { slice: CpuSlice };
beforeAll(async () => {
  const [description] = await cpuDriver.discover("1x64MiB");
  const options = { arenaBytes: 2 ** 20, arenaBase: ARENA_BASE, kernelTimeoutMs: 20_000, onOutput: () => {} };
  machine = { slice: new CpuSlice({ description: description!, ...options }, 2) };
});
afterAll(() => machine.slice.close());

const ROUNDS = 4_000_000;

/** Two blocks: one writes vectors of equal numbers until the other has read that often, which counts those that are not. */
function racing({ load, store, count, bits }: { load: string; store: string; count: number; bits: 32 | 64 }): string {
  const registers = (first: number) => Array.from({ length: count }, (_, each) => `%w${first + each}`);
  const [own, read] = [registers(0), registers(8)];
  return ptxKernel(`.reg .b${bits} %w<16>;
    mov.u32 %r1, %ctaid.x; mov.u32 %r2, 0; mov.u32 %r3, 0; atom.global.add.u32 %r4, [%rd0+64], 1;
    MEET: ld.volatile.global.u32 %r4, [%rd0+64]; setp.lt.u32 %p1, %r4, 2; @%p1 bra MEET;
    setp.ne.u32 %p2, %r1, 0; @%p2 bra READ;
    WRITE: add.u32 %r2, %r2, 1; ${own.map((each) => `cvt.u${bits}.u32 ${each}, %r2;`).join(" ")} ${store} [%rd0], {${own.join(", ")}};
    ld.volatile.global.u32 %r4, [%rd0+68]; setp.eq.u32 %p1, %r4, 0; @%p1 bra WRITE; ret;
    READ: ${load} {${read.join(", ")}}, [%rd0]; mov.b32 %r5, 0;
    ${read.map((each) => `setp.ne.u${bits} %p3, ${each}, ${read[0]}; @%p3 mov.b32 %r5, 1;`).join(" ")}
    add.u32 %r3, %r3, %r5; add.u32 %r2, %r2, 1; setp.lt.u32 %p1, %r2, ${ROUNDS}; @%p1 bra READ;
    st.global.u32 [%rd0+72], %r3; st.volatile.global.u32 [%rd0+68], 1;`);
}

test.each([
  ["ld.relaxed.gpu.v2.u64", "st.relaxed.gpu.v2.u64", 2, 64],
  ["ld.volatile.global.v4.u32", "st.volatile.global.v4.u32", 4, 32],
  ["ld.global.cg.v4.u32", "st.global.cg.v4.u32", 4, 32],
  ["ld.acquire.sys.v2.u32", "st.release.sys.v2.u32", 2, 32],
] as const)("%s sees all of what %s has written, or nothing of it", async (load, store, count, bits) => {
  writeWords(
    machine,
    Array.from({ length: 32 }, () => 0),
  );
  await runPtx(machine, racing({ load, store, count, bits }), { grid: [2, 1, 1] });
  expect(readWords(machine, 1, 72)[0]).toBe(0);
});

test.each([
  ["v2.b64", "v2.u64"],
  ["v4.b32", "v4.f32"],
  ["v2.b32", "v2.u32"],
  ["v4.b16", "v4.u16"],
  ["v2.b16", "v2.u16"],
  ["v4.b8", "v4.u8"],
  ["v2.b8", "v2.u8"],
  ["v4.b64", "v4.b64"],
])("an ordered access by %s moves each number to its place", async (store, load) => {
  const count = Number(load[1]);
  const bits = Number(/\d+$/.exec(load)![0]);
  const held = Math.max(bits, 16);
  const kind = load.includes("f") ? "f32" : `b${held}`;
  const list = Array.from({ length: count }, (_, each) => `%w${each}`).join(", ");
  const back = Array.from({ length: count }, (_, each) => `%w${count - 1 - each}`).join(", ");
  const bytes = (count * bits) / 8;
  writeWords(
    machine,
    Array.from({ length: 32 }, (_, word) => 0x8192_a3b4 + word * 0x0101_0107),
  );
  await runPtx(
    machine,
    ptxKernel(
      `.reg .${kind} %w<8>; ld.relaxed.gpu.global.${load} {${list}}, [%rd0]; st.relaxed.gpu.global.${store} [%rd0+64], {${back}};`,
    ),
  );
  const all = new Uint8Array(readWords(machine, 32).buffer);
  const wanted = Array.from({ length: count }, (_, each) => [...all.slice((each * bits) / 8, ((each + 1) * bits) / 8)])
    .reverse()
    .flat();
  expect([...all.slice(64, 64 + bytes)]).toEqual(wanted);
});
