/** Warp operations and divergent control flow. Specification of each kernel: cu/warp.cu. */
import assert from "node:assert/strict";
import type { KernelCase } from "../machine.ts";
import { blocksFor, download, equalAll, i32, loadFixture, scratch, seeded, upload } from "../support.ts";

const warp = (name: string, run: KernelCase["run"]): KernelCase => ({ name, ptx: "warp", run });

type ShuffleMode = "up" | "down" | "bfly" | "idx";

/** Source lane and validity by the specification of shfl.sync in the PTX manual. */
function shuffleSource(mode: ShuffleMode, lane: number, { b, c }: { b: number; c: number }): [number, boolean] {
  const [delta, clamp, segment] = [b & 31, c & 31, (c >> 8) & 31];
  const maxLane = (lane & segment) | (clamp & ~segment);
  const minLane = lane & segment;
  const source = {
    up: lane - delta,
    down: lane + delta,
    bfly: lane ^ delta,
    idx: minLane | (delta & ~segment & 31),
  }[mode];
  const valid = mode === "up" ? source >= maxLane : source <= maxLane;
  return [valid ? source : lane, valid];
}

const maskOf = (lanes: Iterable<number>): number => {
  let mask = 0;
  for (const lane of lanes) mask |= 1 << lane;
  return mask >>> 0;
};
const lanesWhere = (test: (lane: number) => boolean): number[] =>
  Array.from({ length: 32 }, (_, lane) => lane).filter(test);

function divergentReference(input: number): number {
  let v = input;
  let acc = 0;
  if (v < 0) return -1;
  for (let k = 0; k < (v & 63); k++) {
    if ((k ^ v) % 5 === 0) continue;
    if (k > 40 && v & 64) break;
    if (k & 1) {
      for (let j = k; j > 0; j >>= 1) {
        if ((j & 3) === 3) acc = (acc + j) | 0;
        else if (j === 8) {
          acc ^= 0x55;
          break;
        } else acc = (acc - 1) | 0;
      }
      continue;
    }
    const way = (v + k) & 7;
    if (way === 0) acc += 3;
    else if (way === 1) acc = Math.imul(acc ^ k, 3);
    else if (way === 2) acc = Math.imul(acc, 3);
    else if (way === 3) acc -= v;
    else if (way === 5) acc = Math.imul(acc, 31) + k;
    else if (way === 6) acc = acc & 1 ? -acc : acc;
    else acc += 1000;
    acc |= 0;
  }
  let guard = 0;
  while (v > 1 && guard < 200) {
    v = v & 1 ? 3 * v + 1 : v >> 1;
    guard++;
  }
  return (Math.imul(acc, 256) + guard) | 0;
}

function divergentVotesReference(values: Int32Array): Uint32Array {
  const seen = new Uint32Array(32);
  let active = lanesWhere(() => true);
  for (let round = 0; active.length > 0; round++) {
    const stay = active.filter((lane) => round < (values[lane]! & 15));
    for (const lane of stay) seen[lane] = Math.imul(seen[lane]!, 31) + maskOf(stay) + values[stay[0]!]!;
    active = stay;
  }
  return seen;
}

function partialMasksReference(v: Int32Array): Int32Array {
  const rest = lanesWhere((lane) => lane % 3 !== 0);
  const odd = rest.filter((lane) => v[lane]! & 1);
  return Int32Array.from({ length: 32 }, (_, lane) => {
    if (lane % 3 === 0) return [15, 12, 9, 6, 3].reduce((sum, offset) => sum + v[(lane + offset) % 33]!, v[lane]!);
    if (v[lane]! & 1) return v[odd[0]!]! * 1000 + odd.length;
    return -(rest.length - odd.length);
  });
}

function divergentBarriersReference(values: Int32Array, rounds: number): Int32Array {
  const v = values.slice();
  for (let r = 0; r < rounds; r++) {
    let sum = 0;
    for (let t = 0; t < v.length; t++) {
      if (v[t]! & 1) {
        for (let k = 0; k < (v[t]! & 7); k++) sum += k + r;
        v[t] = Math.trunc(v[t]! / 2) + r;
      } else {
        sum += 1;
        v[t] = v[t]! + 3;
      }
    }
    for (let t = 0; t < v.length; t++) v[t] = v[t]! ^ sum;
  }
  return v;
}

/** Applies a reference to each group of `size` elements. */
function perGroup<T extends Int32Array | Uint32Array>(
  data: Int32Array,
  { size, make }: { size: number; make: (group: Int32Array) => T },
): number[] {
  const all: number[] = [];
  for (let at = 0; at < data.length; at += size) all.push(...make(data.subarray(at, at + size)));
  return all;
}

export const warpCases: readonly KernelCase[] = [
  warp("shuffles of every mode, width and distance", async (machine) => {
    const program = await loadFixture(machine, "warp");
    const threads = 64;
    const data = Uint32Array.from({ length: threads }, (_, i) => Math.imul(i + 1, 2654435761));
    const input = await upload(machine, data);
    const out = await scratch(machine, threads * 32);
    for (const width of [1, 2, 4, 8, 16, 32])
      for (const delta of [0, 1, 2, 3, 7, 16, 17, 31]) {
        await program.launch({
          kernel: "shuffles",
          grid: 1,
          block: threads,
          args: [i32(width), i32(delta), input, out],
        });
        const result = await download(machine, out, new Uint32Array(threads * 8));
        const up = (32 - width) << 8;
        const expected: number[] = [];
        for (let t = 0; t < threads; t++)
          for (const [mode, c] of [
            ["up", up],
            ["down", up | 31],
            ["bfly", up | 31],
            ["idx", up | 31],
          ] as const) {
            const [source, valid] = shuffleSource(mode, t & 31, { b: delta, c });
            expected.push(data[(t & ~31) + source]!, valid ? 1 : 0);
          }
        equalAll(result, expected, `width=${width} delta=${delta}`);
      }
  }),

  warp("shuffles of 64-bit values and of a source that differs per lane", async (machine) => {
    const program = await loadFixture(machine, "warp");
    const n = 128;
    const words = BigUint64Array.from({ length: n }, (_, i) => BigInt(i) * 0x1234567890abcdn);
    const doubles = Float64Array.from({ length: n }, (_, i) => i / 3);
    const out = await scratch(machine, n * 8);
    const doublesOut = await scratch(machine, n * 8);
    const args = [await upload(machine, words), await upload(machine, doubles), out, doublesOut];
    await program.launch({ kernel: "shuffles_wide", grid: 2, block: 64, args });
    const from = (i: number, lane: number): number => (i & ~31) + (lane & 31);
    equalAll(
      await download(machine, out, new BigUint64Array(n)),
      words.map((_, i) => words[from(i, (i & 31) * 7 + 3)]!),
      "words",
    );
    const mates = doubles.map((_, i) => doubles[i ^ 5]!);
    equalAll(await download(machine, doublesOut, new Float64Array(n)), mates, "doubles");
  }),

  warp("votes and matches over a full warp", async (machine) => {
    const program = await loadFixture(machine, "warp");
    const n = 192;
    const random = seeded(4);
    const data = Int32Array.from({ length: n }, (_, i) => {
      const group = i >> 5;
      return group === 0 ? 3 : group === 1 ? 0 : group === 2 ? 15 - (i & 1) : random.int(group === 3 ? 4 : 16);
    });
    const out = await scratch(machine, n * 32);
    await program.launch({ kernel: "votes", grid: 3, block: 64, args: [await upload(machine, data), out] });
    const result = await download(machine, out, new Uint32Array(n * 8));
    for (let i = 0; i < n; i++) {
      const v = data.subarray(i & ~31, (i & ~31) + 32);
      const own = data[i]!;
      const set = (bit: number): number[] => lanesWhere((lane) => (v[lane]! & bit) !== 0);
      const same = v.every((value) => (value & 8) === (own & 8));
      const row = result.subarray(i * 8, i * 8 + 8);
      assert.equal(row[0], maskOf(set(1)), `ballot of thread ${i}`);
      assert.equal(row[1] !== 0, set(2).length === 32, `all of thread ${i}`);
      assert.equal(row[2] !== 0, set(4).length > 0, `any of thread ${i}`);
      assert.equal(row[3], maskOf(lanesWhere((lane) => v[lane] === own)), `match any of thread ${i}`);
      assert.equal(row[4], same ? 0xffffffff : 0, `match all of thread ${i}`);
      assert.equal(row[5] !== 0, same, `match all's predicate of thread ${i}`);
      assert.ok((row[6]! >>> (i & 31)) & 1, `the active mask of thread ${i} holds the thread`);
      assert.equal(row[7], 32, `population of thread ${i}`);
    }
  }),

  warp("lane numbers and masks", async (machine) => {
    const program = await loadFixture(machine, "warp");
    const threads = 80;
    const out = await scratch(machine, threads * 24);
    await program.launch({ kernel: "lane_masks", grid: 1, block: threads, args: [out] });
    const expected = Array.from({ length: threads }, (_, t) => {
      const lane = t & 31;
      const equal = (1 << lane) >>> 0;
      const below = equal - 1;
      const upTo = (below | equal) >>> 0;
      return [lane, equal, below, upTo, ~upTo >>> 0, ~below >>> 0];
    }).flat();
    equalAll(await download(machine, out, new Uint32Array(threads * 6)), expected, "masks");
  }),

  warp("warp operations with part of the warp, two groups at a time", async (machine) => {
    const program = await loadFixture(machine, "warp");
    const n = 256;
    const random = seeded(8);
    const data = Int32Array.from({ length: n }, (_, i) => (i < 32 ? 2 * i : random.int(1000)));
    // One odd value in the first warp: a mask of a single lane.
    data[7] = 31;
    const out = await scratch(machine, n * 4);
    await program.launch({ kernel: "partial_masks", grid: 2, block: 128, args: [await upload(machine, data), out] });
    const expected = perGroup(data, { size: 32, make: partialMasksReference });
    equalAll(await download(machine, out, new Int32Array(n)), expected, "values");
  }),

  warp("nested divergence, uneven loops, break, continue, switch and early exit", async (machine) => {
    const program = await loadFixture(machine, "warp");
    for (const [n, block] of [
      [1, 32],
      [1000, 128],
      [333, 50],
    ] as const) {
      const random = seeded(n);
      const data = Int32Array.from({ length: n }, (_, i) => (i % 9 === 8 ? -i : random.int(65_536)));
      const out = await scratch(machine, n * 4);
      const args = [i32(n), await upload(machine, data), out];
      await program.launch({ kernel: "divergent", grid: blocksFor(n, block), block, args });
      equalAll(await download(machine, out, new Int32Array(n)), data.map(divergentReference), `n=${n} block=${block}`);
    }
  }),

  warp("ballots and shuffles in a loop that each thread leaves in its own round", async (machine) => {
    const program = await loadFixture(machine, "warp");
    const n = 160;
    const random = seeded(12);
    const data = Int32Array.from({ length: n }, (_, i) => (i < 32 ? i : i < 64 ? 15 : random.int(1 << 20)));
    const out = await scratch(machine, n * 4);
    await program.launch({ kernel: "divergent_votes", grid: 5, block: 32, args: [await upload(machine, data), out] });
    const expected = perGroup(data, { size: 32, make: divergentVotesReference });
    equalAll(await download(machine, out, new Uint32Array(n)), expected, "values");
  }),

  warp("barriers behind divergent code", async (machine) => {
    const program = await loadFixture(machine, "warp");
    const rounds = 10;
    for (const block of [32, 77, 256]) {
      const random = seeded(block);
      const data = Int32Array.from({ length: block * 2 }, () => random.int(100_000));
      const out = await scratch(machine, data.byteLength);
      const args = [i32(rounds), await upload(machine, data), out];
      await program.launch({ kernel: "divergent_barriers", grid: 2, block, args });
      const expected = perGroup(data, { size: block, make: (group) => divergentBarriersReference(group, rounds) });
      equalAll(await download(machine, out, new Int32Array(data.length)), expected, `block=${block}`);
    }
  }),

  warp("threads that have left are not waited for at a barrier", async (machine) => {
    const program = await loadFixture(machine, "warp");
    for (const [block, keep] of [
      [64, 32],
      [96, 33],
      [128, 5],
      [50, 49],
    ] as const) {
      const data = Int32Array.from({ length: block * 2 }, (_, i) => i * 3);
      const out = await upload(machine, new Int32Array(block * 2));
      const args = [i32(keep), await upload(machine, data), out];
      await program.launch({ kernel: "early_exit_barrier", grid: 2, block, args });
      const expected = data.map((_, i) => {
        const [b, t] = [Math.floor(i / block), i % block];
        return t < keep ? data[b * block + keep - 1 - t]! : 0;
      });
      equalAll(await download(machine, out, new Int32Array(block * 2)), expected, `block=${block} keep=${keep}`);
    }
  }),

  warp("an active mask inside a branch holds only threads of that branch", async (machine) => {
    const program = await loadFixture(machine, "warp");
    const block = 48;
    const out = await upload(machine, new Uint32Array(block));
    await program.launch({ kernel: "active_masks", grid: 1, block, args: [out] });
    const masks = await download(machine, out, new Uint32Array(block));
    masks.forEach((mask, t) => {
      const warpLanes = Math.min(32, block - (t & ~31));
      const parity = maskOf(lanesWhere((lane) => lane % 2 === t % 2 && lane < warpLanes));
      assert.ok((mask >>> (t & 31)) & 1, `thread ${t} is in its own mask`);
      assert.equal((mask & ~parity) >>> 0, 0, `thread ${t}: mask ${mask.toString(16)} stays within the branch`);
    });
  }),
];
