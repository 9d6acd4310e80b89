/** The heap of kernels: what it gives lies apart, what comes back can be had again, and what a kernel spoils in it harms nothing else. */
import { afterEach, describe, expect, test } from "vitest";
import { HEAP_BYTES_MIN, Heap, HeapFault, locked } from "../../server/device/cpu/run/heap.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { type CpuMachine, failure, openCpu, ptxKernel, readWords, runPtx } from "./cpu-machine.ts";

const KiB = 1024;

function random(seed: number): (bound: number) => number {
  let state = seed | 1;
  return (bound) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % bound;
  };
}

/** A heap amid memory that is not its own, which holds a pattern. */
function heapAmid(byteCount: number) {
  const offset = 4096;
  const memory = new SharedArrayBuffer(offset * 2 + byteCount);
  const bytes = new Uint8Array(memory).fill(0xa5);
  const heap = new Heap(memory, { offset, byteCount });
  heap.format();
  const untouched = () =>
    bytes.subarray(0, offset).every((byte) => byte === 0xa5) &&
    bytes.subarray(offset + byteCount).every((byte) => byte === 0xa5);
  return { heap, bytes: bytes.subarray(offset, offset + byteCount), offset, untouched };
}

/** The largest piece that can be had, by trying. */
function largest(heap: Heap, byteCount: number): number {
  for (let size = byteCount; size > 0; size -= 16) {
    const offset = heap.allocate(size);
    if (offset === 0) continue;
    heap.free(offset);
    return size;
  }
  return 0;
}

describe("a heap", () => {
  test.each([1, 2, 3, 4, 5, 6])(
    "gives pieces that lie apart and are aligned, in any order of sizes (seed %i)",
    (seed) => {
      const next = random(seed * 7919);
      const byteCount = 256 * KiB;
      const { heap, offset: start, bytes, untouched } = heapAmid(byteCount);
      const whole = largest(heap, byteCount);
      const live: { at: number; size: number; mark: number }[] = [];
      let refused = 0;
      for (let step = 0; step < 6000; step++) {
        if (live.length > 0 && next(100) < 47) {
          const [piece] = live.splice(next(live.length), 1);
          const { at, size, mark } = piece!;
          expect(bytes.subarray(at, at + size).every((byte) => byte === mark)).toBe(true);
          heap.free(at);
          continue;
        }
        const size = [next(40), next(600), next(5000), next(60_000)][next(4)]!;
        const alignment = next(8) === 0 ? 2 ** (4 + next(9)) : 16;
        const at = heap.allocate(size, alignment);
        if (at === 0) {
          refused++;
          continue;
        }
        expect((start + at) % alignment).toBe(0);
        expect(at + size).toBeLessThanOrEqual(byteCount);
        const mark = next(256);
        bytes.fill(mark, at, at + size);
        live.push({ at, size, mark });
      }
      expect(refused).toBeGreaterThan(0);
      for (const { at, size, mark } of live) {
        expect(bytes.subarray(at, at + size).every((byte) => byte === mark)).toBe(true);
        heap.free(at);
      }
      // All that was free is joined again.
      expect(largest(heap, byteCount)).toBe(whole);
      expect(untouched()).toBe(true);
    },
  );

  test("has room for nearly all its bytes, in one piece or in many", () => {
    const { heap } = heapAmid(64 * KiB);
    expect(largest(heap, 64 * KiB)).toBeGreaterThan(62 * KiB);
    const pieces: number[] = [];
    for (let at = heap.allocate(48); at !== 0; at = heap.allocate(48)) pieces.push(at);
    expect(pieces.length).toBeGreaterThan((62 * KiB) / 64);
    for (const at of pieces) heap.free(at);
    expect(largest(heap, 64 * KiB)).toBeGreaterThan(62 * KiB);
  });

  test("gives nothing for what cannot fit, however large the number is", () => {
    const { heap } = heapAmid(HEAP_BYTES_MIN);
    for (const size of [HEAP_BYTES_MIN, 2 ** 31, 2 ** 32, 2 ** 40, Number.MAX_SAFE_INTEGER])
      expect(heap.allocate(size)).toBe(0);
    expect(heap.allocate(1, 4096)).toBe(0);
    expect(heap.allocate(0)).toBeGreaterThan(0);
  });

  test("refuses to free what it has not given, or given back already", () => {
    const { heap } = heapAmid(16 * KiB);
    const at = heap.allocate(100);
    const other = heap.allocate(100);
    for (const wrong of [0, 1, 16, at + 16, at - 16, at + 8, -16, 16 * KiB, 2 ** 40, Number.NaN])
      expect(() => heap.free(wrong), String(wrong)).toThrow(HeapFault);
    heap.free(at);
    expect(() => heap.free(at)).toThrow(HeapFault);
    heap.free(other);
    expect(() => heap.free(other)).toThrow(HeapFault);
  });

  test.each([11, 12, 13, 14])(
    "that a kernel has overwritten faults or goes on, and touches nothing outside (seed %i)",
    (seed) => {
      const next = random(seed * 104_729);
      let faults = 0;
      for (let round = 0; round < 300; round++) {
        const { heap, bytes, untouched } = heapAmid(8 * KiB);
        const live: number[] = [];
        for (let step = 0; step < 60; step++) {
          if (next(4) === 0) {
            const word = new DataView(bytes.buffer, bytes.byteOffset + 4 * next(bytes.length / 4));
            word.setInt32(0, [next(2 ** 31), -next(2 ** 31), next(600), 0][next(4)]!, true);
          }
          try {
            if (next(2) === 0 && live.length > 0) heap.free(live.splice(next(live.length), 1)[0]!);
            else {
              const at = heap.allocate(next(500));
              expect(at).toBeGreaterThanOrEqual(0);
              expect(at).toBeLessThan(8 * KiB);
              if (at > 0) live.push(at);
            }
          } catch (error) {
            if (!(error instanceof HeapFault)) throw error;
            faults++;
          }
        }
        expect(untouched()).toBe(true);
      }
      expect(faults).toBeGreaterThan(0);
    },
  );

  test("lets one at a time work on it, also after a failure", () => {
    const words = new Int32Array(new SharedArrayBuffer(8));
    expect(locked(words, 1, () => words[1])).toBe(1);
    expect(() =>
      locked(words, 1, () => {
        throw new HeapFault();
      }),
    ).toThrow(HeapFault);
    expect(words[1]).toBe(0);
  });
});

describe("a kernel", () => {
  let machine: CpuMachine | undefined;
  afterEach(() => machine?.slice.close());
  const externs = `.extern .func (.param .b64 r) malloc(.param .b64 n);
.extern .func free(.param .b64 p);`;
  const malloc = (bytes: string, into: string): string =>
    `{ .param .b64 n; .param .b64 r; st.param.b64 [n], ${bytes}; call.uni (r), malloc, (n); ld.param.b64 ${into}, [r]; }`;
  const free = (pointer: string): string => `{ .param .b64 p; st.param.b64 [p], ${pointer};\ncall.uni free, (p); }`;
  const kernel = (body: string): string => ptxKernel(body, { before: externs });
  const HEAP = ARENA_BASE + 64 * KiB;

  test("without a heap gets null, and may free it", async () => {
    machine = await openCpu();
    await runPtx(machine, kernel(`${malloc("16", "%rd1")} st.global.u64 [%rd0], %rd1; ${free("%rd1")}`));
    expect([...readWords(machine, 2)]).toEqual([0, 0]);
  });

  test.each([
    ["frees twice", (pointer: string) => `${free(pointer)} ${free(pointer)}`],
    ["frees the middle of a piece", (pointer: string) => `add.s64 ${pointer}, ${pointer}, 16; ${free(pointer)}`],
    ["frees what another allocator gave", () => free("%rd0")],
    ["frees an address in the code's window", () => `mov.u64 %rd2, 0x400000010; ${free("%rd2")}`],
  ])("that %s faults with the address and the line, and no other slice notices", async (_, body) => {
    machine = await openCpu();
    machine.slice.setHeap!(HEAP, 64 * KiB);
    const { code, message } = await failure(() => runPtx(machine!, kernel(`${malloc("64", "%rd1")} ${body("%rd1")}`)));
    expect(code).toBe("ILLEGAL_ADDRESS");
    expect(message).toMatch(/accesses \[0x[0-9a-f]+\] in PTX line \[\d+\]/);
  });

  test("may have functions of its own called malloc and free", async () => {
    machine = await openCpu();
    const own = `.func (.param .b64 r) malloc(.param .b64 n) { .reg .b64 %a; ld.param.b64 %a, [n]; add.s64 %a, %a, 1; st.param.b64 [r], %a; ret; }`;
    await runPtx(machine, ptxKernel(`${malloc("41", "%rd1")} st.global.u64 [%rd0], %rd1;`, { before: own }));
    expect(readWords(machine, 1)[0]).toBe(42);
  });

  test("uses a heap that stays where it is when the slice grows", async () => {
    machine = await openCpu();
    machine.slice.setHeap!(HEAP, 64 * KiB);
    await runPtx(machine, kernel(`${malloc("64", "%rd1")} st.global.u64 [%rd0], %rd1; st.u32 [%rd1], 77;`));
    await machine.slice.resize!(2 * KiB * KiB);
    await runPtx(
      machine,
      kernel(`ld.global.u64 %rd1, [%rd0]; ld.u32 %r1, [%rd1]; st.global.u32 [%rd0+8], %r1; ${free("%rd1")}`),
    );
    expect(readWords(machine, 3)[2]).toBe(77);
  });

  test("can only have a heap that is large enough for itself", async () => {
    machine = await openCpu();
    const tooSmall = await failure(() => machine!.slice.setHeap!(HEAP, 256));
    expect(tooSmall).toMatchObject({ code: "BAD_ARGUMENT", message: expect.stringContaining(`[${HEAP_BYTES_MIN}]`) });
    expect((await failure(() => machine!.slice.setHeap!(ARENA_BASE - 4096, 8192))).code).toBe("ADDRESS_OUTSIDE_ARENA");
  });
});
