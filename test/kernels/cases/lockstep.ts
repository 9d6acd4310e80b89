/** Programs that count on the lanes of a warp going in step. Specification of each kernel: cu/lockstep.cu. */
import type { KernelCase, KernelMachine } from "../machine.ts";
import { download, equalAll, i32, loadFixture, scratch, seeded, upload } from "../support.ts";

const LANES = 32;

interface Step {
  readonly kernel: string;
  readonly block: number | readonly [number, number, number];
  readonly sharedBytes?: number;
  /** Numbers that go before the input. */
  readonly scalars?: readonly number[];
  readonly input: Int32Array;
  readonly expected: Int32Array;
  /** Whether the kernel works on its input in place. */
  readonly inPlace?: boolean;
}

async function runStep(machine: KernelMachine, ptx: string, { inPlace = false, ...step }: Step): Promise<void> {
  const program = await loadFixture(machine, ptx);
  const input = await upload(machine, step.input);
  const output = inPlace ? input : await scratch(machine, step.expected.byteLength);
  const buffers = inPlace ? [input] : [input, output];
  const { kernel, block, sharedBytes = 0, scalars = [] } = step;
  await program.launch({ kernel, grid: 1, block, sharedBytes, args: [...scalars.map(i32), ...buffers] });
  equalAll(await download(machine, output, new Int32Array(step.expected.length)), step.expected, kernel);
}

/** With volatile and without. Without it the driver's compiler may take a load before another lane's store, and takes some. */
const inStep = (what: string, make: () => Step): KernelCase[] => [
  {
    name: `lanes in step: ${what}`,
    ptx: "lockstep",
    notOnHardware: "CUDA promises no order without volatile; that the cpu device keeps it is its own promise",
    run: (machine) => runStep(machine, "lockstep", make()),
  },
  {
    name: `lanes in step, volatile: ${what}`,
    ptx: "lockstep-volatile",
    run: (machine) => runStep(machine, "lockstep-volatile", make()),
  },
];

const numbers = (seed: number, length: number): Int32Array => {
  const random = seeded(seed);
  return Int32Array.from({ length }, () => random.int(1000) - 300);
};

/** Runs `step` for all lanes of each warp at once: it is given what was there before, and tells what a lane stores. */
function allLanes(before: Int32Array, step: (lane: number, row: Int32Array) => number): Int32Array {
  return before.map((_, thread) => {
    const first = thread - (thread % LANES);
    return step(thread % LANES, before.subarray(first, first + LANES));
  });
}

function sum(): Step {
  const input = numbers(1, 256);
  // Lanes from 16 on do not take part, so that the first sums reach half a warp and one further.
  let values = input;
  for (const distance of [16, 8, 4, 2, 1])
    values = allLanes(values, (lane, row) => row[lane]! + (lane < 16 ? row[lane + distance]! : 0));
  return { kernel: "step_sum", block: 256, input, expected: values.filter((_, thread) => thread % LANES === 0) };
}

function scan(): Step {
  const input = numbers(2, 128);
  let values = input;
  for (let distance = 1; distance < LANES; distance *= 2)
    values = allLanes(values, (lane, row) => row[lane]! + (lane >= distance ? row[lane - distance]! : 0));
  return { kernel: "step_scan", block: 128, sharedBytes: 512, input, expected: values };
}

function append(): Step {
  const [warps, count] = [3, 320];
  const input = numbers(3, warps * count);
  const expected = new Int32Array(warps * (count + 1)).fill(0xa5a5a5a5 | 0);
  for (let warp = 0; warp < warps; warp++) {
    const kept = input.slice(warp * count, (warp + 1) * count).filter((value) => (value & 3) === 1);
    expected.set([kept.length, ...kept], warp * (count + 1));
  }
  return { kernel: "step_append", block: warps * LANES, scalars: [count], input, expected };
}

function transpose(): Step {
  const input = numbers(4, 1024);
  const expected = input.map((_, index) => input[(index % LANES) * LANES + Math.floor(index / LANES)]!);
  return { kernel: "step_transpose", block: LANES, input, expected };
}

function rotate(): Step {
  const rounds = 9;
  const input = numbers(5, 64);
  let values = input;
  for (let round = 0; round < rounds; round++) {
    values = allLanes(values, (lane, row) => Math.imul(row[(lane + 31) % LANES]!, 3));
    values = allLanes(values, (lane, row) => row[(lane + 1) % LANES]! + round);
    values = allLanes(values, (lane, row) => row[lane]! ^ row[lane ^ 5]!);
  }
  return { kernel: "step_rotate", block: 64, scalars: [rounds], input, expected: values };
}

function clear(): Step {
  const input = numbers(6, LANES);
  return { kernel: "step_clear", block: LANES, input, expected: input.map((value) => (value > 0 ? value : -1)) };
}

function sort(): Step {
  const input = numbers(7, 64);
  return { kernel: "step_sort", block: LANES, input, expected: input.slice().sort(), inPlace: true };
}

function parted(): Step {
  const input = numbers(8, LANES);
  const odd = input.filter((value) => value & 1).reverse();
  const fold = (value: number) => odd.reduce((sum, other) => (Math.imul(sum, 5) + other) | 0, value);
  return {
    kernel: "step_parted",
    block: LANES,
    input,
    expected: input.map((value) => (value & 1 ? fold(value) : -value)),
  };
}

function square(): Step {
  const input = numbers(9, 64);
  const mirrored = (values: Int32Array, rows: number) =>
    values.map((value, index) => value + values[((index >> 3) ^ rows) * 8 + 7 - (index & 7)]!);
  return { kernel: "step_square", block: [8, 8, 1], input, expected: mirrored(mirrored(input, 3), 1) };
}

function called(): Step {
  const input = numbers(10, LANES);
  const expected = input.map((_, lane) => 2 * (input[(lane + 1) % LANES]! + input[lane ^ 16]!));
  return { kernel: "step_called", block: LANES, input, expected };
}

function global(): Step {
  const input = numbers(11, LANES);
  const rotated = allLanes(input, (lane, row) => row[(lane + 31) % LANES]!);
  const expected = allLanes(rotated, (lane, row) => row[lane]! + row[lane ^ 1]!);
  return { kernel: "step_global", block: LANES, input, expected, inPlace: true };
}

export const lockstepCases: readonly KernelCase[] = [
  ...inStep("the last levels of a sum", sum),
  ...inStep("a scan", scan),
  ...inStep("flags of all lanes, and appending what has one", append),
  ...inStep("a tile turned by one warp", transpose),
  ...inStep("values taken before they are overwritten", rotate),
  ...inStep("what all clear and some then fill", clear),
  ...inStep("a sort by one warp", sort),
  ...inStep("lanes that have parted from the others", parted),
  ...inStep("blocks with several rows to a warp", square),
  ...inStep("in a function of its own, by generic addresses", called),
  ...inStep("a row of global memory rotated in place", global),
];
