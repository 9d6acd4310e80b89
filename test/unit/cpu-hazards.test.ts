/** Where the lanes of a warp must meet, and where it would be for nothing: how many places the compiler finds in a kernel. */
import { describe, expect, test } from "vitest";
import { GraphBuilder } from "../../server/device/cpu/compile/graph.ts";
import { findHazards } from "../../server/device/cpu/compile/hazards.ts";
import { surveyBody } from "../../server/device/cpu/compile/survey.ts";
import { warpShapeOf } from "../../server/device/cpu/compile/warp-shape.ts";
import { parsePtx } from "../../server/device/cpu/ptx/parser.ts";
import { fixture } from "../kernels/support.ts";
import { bytesOf, ptxKernel } from "./cpu-machine.ts";

type Block = readonly [number, number, number];

/** How many places there are in each kernel of a module. */
function places(image: Uint8Array, block: Block): Map<string, number> {
  const kernels = parsePtx(image, surveyBody).routines.filter(({ isEntry }) => isEntry);
  return new Map(
    kernels.map((outline) => {
      const { cuts } = findHazards(new GraphBuilder().build(outline.read()), warpShapeOf(block));
      return [outline.name, [...cuts.values()].reduce((sum, { size }) => sum + size, 0)];
    }),
  );
}

/** The same for a body; %r1 is the address of the thread's word in the shared array s of 1024 words, t is one beside it. */
function placesIn(body: string, block: Block = [256, 1, 1]): number {
  const arrays = ".shared .align 4 .b8 s[4096]; .shared .align 4 .b8 t[4096];";
  const start = "mov.u32 %r10, s; mad.lo.u32 %r1, %r0, 4, %r10; mov.u32 %r2, 7;";
  return places(bytesOf(ptxKernel(`${arrays} ${start} ${body}`, { params: 2 })), block).get("k")!;
}

const LOOP = (body: string, step: string) =>
  `mov.u32 %r20, 0; LOOP: ${body} ${step} add.u32 %r20, %r20, 1; setp.lt.u32 %p1, %r20, 9; @%p1 bra LOOP;`;

describe("lanes need not meet", () => {
  test.each([
    ["where a thread reads back what is its own", "st.shared.u32 [%r1], %r2; ld.shared.u32 %r3, [%r1];"],
    ["between different variables", "st.shared.u32 [%r1], %r2; ld.shared.u32 %r3, [t+8]; st.shared.u32 [t+4], %r3;"],
    ["where later lanes write what earlier ones have read", "ld.shared.u32 %r3, [%r1+64]; st.shared.u32 [%r1], %r3;"],
    ["with a barrier between", "st.shared.u32 [%r1], %r2; bar.sync 0; ld.shared.u32 %r3, [s];"],
    ["with a warp's barrier between", "st.shared.u32 [%r1], %r2; bar.warp.sync -1; ld.shared.u32 %r3, [s];"],
    [
      "among loads, and among atomic operations",
      "ld.shared.u32 %r3, [s]; ld.shared.u32 %r3, [t]; red.shared.add.u32 [t+4], 1; red.shared.add.u32 [t+4], 1;",
    ],
    [
      "in a loop over an array in strides of the block",
      LOOP("st.shared.u32 [%r1], %r2;", "mov.u32 %r4, %ntid.x; mad.lo.u32 %r1, %r4, 4, %r1;"),
    ],
    [
      "in a loop over rows of whole warps",
      LOOP("st.shared.u32 [%r1], %r2; st.shared.u32 [%r1+128], %r2;", "add.u32 %r1, %r1, 256;"),
    ],
    [
      "in rows with padding",
      `and.b32 %r3, %r0, 31; shr.u32 %r4, %r0, 5; mul.lo.u32 %r4, %r4, 132; mad.lo.u32 %r3, %r3, 4, %r4; add.u32 %r3, %r3, %r10;
      st.shared.u32 [%r3], %r2; ld.shared.u32 %r5, [%r3];`,
    ],
    [
      "where a sum's distance halves",
      `mov.u32 %r3, %ntid.x; HALF: shr.u32 %r3, %r3, 1; setp.ge.u32 %p2, %r0, %r3; @%p2 bra SKIP;
      mad.lo.u32 %r4, %r3, 4, %r1; ld.shared.u32 %r5, [%r4]; ld.shared.u32 %r6, [%r1]; add.u32 %r5, %r5, %r6; st.shared.u32 [%r1], %r5;
      SKIP: bar.sync 0; setp.gt.u32 %p1, %r3, 1; @%p1 bra HALF;`,
    ],
    [
      "between two pointers to global memory",
      "ld.global.u32 %r3, [%rd0]; st.global.u32 [%rd1], %r3; ld.global.u32 %r3, [%rd0+4];",
    ],
    ["in a thread's own local memory", ".local .align 4 .b8 l[64]; st.local.u32 [l], %r2; ld.local.u32 %r3, [l+4];"],
  ])("%s", (_, body) => {
    expect(placesIn(body)).toBe(0);
  });

  test("in an array by rows of a block that is two-dimensional", () => {
    const body = `mov.u32 %r3, %tid.y; mov.u32 %r4, %tid.x; shl.b32 %r3, %r3, 6; mad.lo.u32 %r3, %r4, 4, %r3; add.u32 %r3, %r3, %r10;
      st.shared.u32 [%r3], %r2; ld.shared.u32 %r5, [%r3]; st.shared.u32 [%r3+1024], %r5;`;
    for (const block of [
      [16, 16, 1],
      [16, 4, 2],
    ] as const)
      expect(placesIn(body, block)).toBe(0);
    // Two rows of a warp overlap where a row is longer than the array's.
    expect(placesIn(body, [10, 6, 1])).toBeGreaterThan(0);
  });

  test("in kernels that are written by the rules", () => {
    const kept: string[] = [];
    for (const name of [
      "linear",
      "cooperative",
      "warp",
      "atomics",
      "matrices",
      "tensors",
      "numeric",
      "language",
      "heap",
    ])
      for (const [kernel, count] of places(fixture(name), [256, 1, 1])) if (count > 0) kept.push(kernel);
    // Three arrays side by side in dynamic shared memory, whose lengths only the launch knows; and volatile shared memory, where lanes meet in any case.
    expect(kept).toEqual(["reduce_int", "spin_wait"]);
  });
});

describe("lanes must meet", () => {
  test.each([
    ["before a read of what another lane has stored", 1, "st.shared.u32 [%r1], %r2; ld.shared.u32 %r3, [%r1+4];"],
    [
      "before a store over what another lane has yet to read",
      1,
      "ld.shared.u32 %r3, [%r1+-4]; st.shared.u32 [%r1], %r3;",
    ],
    ["before a store over another lane's", 1, "st.shared.u32 [%r1+-4], %r2; st.shared.u32 [%r1], %r2;"],
    [
      "where one address is unknown",
      1,
      "st.shared.u32 [%r1], %r2; ld.global.u32 %r3, [%rd0]; ld.shared.u32 %r4, [%r3];",
    ],
    [
      "where a word is part of what was stored",
      1,
      "mad.lo.u32 %r3, %r0, 2, %r10; st.shared.u16 [%r3], 1; ld.shared.u32 %r4, [%r1];",
    ],
    ["around atomic operations", 2, "st.shared.u32 [s], %r2; red.shared.add.u32 [s], 1; ld.shared.u32 %r3, [s];"],
    [
      "by generic addresses too",
      1,
      "cvt.u64.u32 %rd3, %r1; cvta.shared.u64 %rd4, %rd3; st.u32 [%rd4], %r2; ld.u32 %r3, [%rd4+4];",
    ],
    [
      "in each round of a loop, and behind it",
      2,
      LOOP("ld.shared.u32 %r3, [%r1+4]; add.u32 %r2, %r2, %r3; st.shared.u32 [%r1], %r2;", ""),
    ],
    [
      "once before a loop that reads what was stored there",
      1,
      `st.shared.u32 [%r1], %r2; mov.u32 %r5, s; ${LOOP("ld.shared.u32 %r3, [%r5];", "add.u32 %r5, %r5, 4;")}`,
    ],
    [
      "in global memory by one pointer",
      1,
      "mul.wide.u32 %rd3, %r0, 4; add.u64 %rd3, %rd3, %rd0; ld.global.u32 %r3, [%rd3+-4]; st.global.u32 [%rd3], %r3;",
    ],
  ])("%s", (_, count, body) => {
    expect(placesIn(body)).toBe(count);
  });
});
