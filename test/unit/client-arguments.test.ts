/** Kernel arguments, as the fake executor receives them packed, and every way in which they can be wrong. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { KernelArgument } from "../../client/arguments.ts";
import type { DeviceBuffer } from "../../client/buffer.ts";
import type { Kernel } from "../../client/module.ts";
import { SluiceError } from "../../shared/errors.ts";
import { type FakeGpu, openFakeGpu } from "../support/client-on-fake.ts";
import { ARENA_BASE, kernelInfo } from "../support/fake-executor.ts";
import { waitFor } from "../support/wait-for.ts";

const UNKNOWN = 0;
const UNSIGNED = 1;
const SIGNED = 2;
const FLOAT = 3;
const BYTES = 4;
const POINTER = 5;

const one = (type: number, size: number) => kernelInfo(`k${type}_${size}`, [[type, size]]);
const kernels = [
  kernelInfo("mixed", [
    [UNSIGNED, 1],
    [SIGNED, 2],
    [UNSIGNED, 4],
    [FLOAT, 4],
    [UNSIGNED, 1],
    [FLOAT, 8],
    [POINTER, 8],
    [BYTES, 12],
    [SIGNED, 8],
  ]),
  kernelInfo("none", []),
  ...[1, 2, 4, 8].flatMap((size) => [one(UNSIGNED, size), one(SIGNED, size), one(UNKNOWN, size)]),
  one(FLOAT, 4),
  one(FLOAT, 8),
  one(FLOAT, 2),
  one(POINTER, 8),
  one(BYTES, 16),
];

let fake: FakeGpu;
let kernel: (name: string) => Kernel;
let buffer: DeviceBuffer;

beforeAll(async () => {
  fake = await openFakeGpu({ kernels });
  const module = await fake.gpu.load("// any");
  kernel = (name) => module.kernel(name);
  buffer = fake.gpu.alloc(1024);
});
afterAll(() => fake.close());

/** Launches and returns the packed parameters as the executor received them. */
async function packed(name: string, args: readonly KernelArgument[]): Promise<DataView> {
  const before = fake.executor.launches.length;
  kernel(name).launch({ grid: 1, block: 1 }, args);
  await waitFor("the launch arrives", () => fake.executor.launches.length > before);
  const { params } = fake.executor.launches.at(-1)!;
  return new DataView(params.buffer, params.byteOffset, params.byteLength);
}

function refusal(name: string, args: readonly unknown[]): SluiceError {
  const before = fake.session.calls;
  try {
    kernel(name).launch({ grid: 1, block: 1 }, args as KernelArgument[]);
  } catch (error) {
    expect(fake.session.calls).toBe(before);
    if (error instanceof SluiceError) return error;
    throw error;
  }
  throw new Error("The launch was not refused.");
}

describe("kernel arguments", () => {
  it("are packed at the offsets of the kernel's parameters, with zeros in the gaps", async () => {
    // What was in the batch before must not shine through.
    fake.gpu.upload(new Uint8Array(512).fill(0xff));
    await fake.gpu.synchronize();
    const struct = Uint8Array.from({ length: 12 }, (_unused, index) => index + 1);
    const view = await packed("mixed", [200, -2, 4_000_000_000, 1.5, 255, Math.PI, buffer.at(16), struct, -5n]);
    expect(view.byteLength).toBe(56);
    expect(view.getUint8(0)).toBe(200);
    expect(view.getUint8(1)).toBe(0);
    expect(view.getInt16(2, true)).toBe(-2);
    expect(view.getUint32(4, true)).toBe(4_000_000_000);
    expect(view.getFloat32(8, true)).toBe(1.5);
    expect(view.getUint8(12)).toBe(255);
    expect(view.getUint8(13) + view.getUint16(14)).toBe(0);
    expect(view.getFloat64(16, true)).toBe(Math.PI);
    expect(view.getBigUint64(24, true)).toBe(BigInt(buffer.address + 16));
    expect([...new Uint8Array(view.buffer, view.byteOffset + 32, 12)]).toEqual([...struct]);
    expect(view.getUint32(44, true)).toBe(0);
    expect(view.getBigInt64(48, true)).toBe(-5n);
  });

  it("may be none", async () => {
    expect((await packed("none", [])).byteLength).toBe(0);
  });

  it.each([
    [1, -128, 255],
    [2, -32_768, 65_535],
    [4, -(2 ** 31), 2 ** 32 - 1],
  ])("of [%s] unsigned bytes take C's int as well: %s to %s", async (size, lowest, highest) => {
    const name = `k${UNSIGNED}_${size}`;
    const read = (view: DataView) =>
      size === 1 ? view.getUint8(0) : size === 2 ? view.getUint16(0, true) : view.getUint32(0, true);
    expect(read(await packed(name, [lowest]))).toBe(2 ** (8 * size - 1));
    expect(read(await packed(name, [highest]))).toBe(2 ** (8 * size) - 1);
    expect(read(await packed(name, [-1]))).toBe(2 ** (8 * size) - 1);
    for (const wrong of [lowest - 1, highest + 1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(refusal(name, [wrong]).code).toBe("BAD_KERNEL_ARGUMENTS");
    }
  });

  it.each([1, 2, 4])("of [%s] signed bytes refuse what only fits unsigned", async (size) => {
    const name = `k${SIGNED}_${size}`;
    await packed(name, [2 ** (8 * size - 1) - 1]);
    await packed(name, [-(2 ** (8 * size - 1))]);
    expect(refusal(name, [2 ** (8 * size - 1)]).code).toBe("BAD_KERNEL_ARGUMENTS");
  });

  it("of 8 bytes take bigints over the whole range and numbers while they are exact", async () => {
    for (const value of [0n, -1n, 2n ** 64n - 1n, -(2n ** 63n), 0x1234_5678_9abc_def0n]) {
      expect((await packed("k1_8", [value])).getBigUint64(0, true)).toBe(BigInt.asUintN(64, value));
    }
    for (const value of [0, -1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, -(2 ** 32)]) {
      expect((await packed("k2_8", [value])).getBigInt64(0, true)).toBe(BigInt(value));
    }
    for (const wrong of [2 ** 53, 2n ** 64n, -(2n ** 63n) - 1n, 1.5]) {
      expect(refusal("k1_8", [wrong]).code).toBe("BAD_KERNEL_ARGUMENTS");
    }
    expect(refusal("k2_8", [2n ** 63n]).code).toBe("BAD_KERNEL_ARGUMENTS");
  });

  it("of a float pass infinities on, and let no number become one", async () => {
    for (const value of [0, -0, 1.5, 3.4e38, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN]) {
      expect((await packed("k3_4", [value])).getFloat32(0, true)).toBe(Math.fround(value));
    }
    expect((await packed("k3_8", [1e300])).getFloat64(0, true)).toBe(1e300);
    expect(refusal("k3_4", [1e39]).message).toContain("a float of [4] bytes, and the number [1e+39] is given");
    expect(refusal("k3_4", [1n]).message).toContain("the bigint [1n]");
    expect(refusal("k3_2", [1]).message).toContain("ArrayBufferView");
    await packed("k3_2", [Uint16Array.of(0x3c00)]);
  });

  it("of a buffer are its address, also where the parameter is a plain 64-bit integer", async () => {
    expect((await packed("k5_8", [buffer])).getBigUint64(0, true)).toBe(BigInt(buffer.address));
    expect((await packed("k1_8", [buffer.at(8)])).getBigUint64(0, true)).toBe(BigInt(buffer.address + 8));
    expect(buffer.address).toBeGreaterThanOrEqual(ARENA_BASE);
    expect(refusal("k1_4", [buffer]).message).toContain("a buffer is given");
    expect(refusal("k2_8", [buffer]).code).toBe("BAD_KERNEL_ARGUMENTS");
    expect(refusal("k3_8", [buffer]).code).toBe("BAD_KERNEL_ARGUMENTS");
  });

  it("of bytes have exactly the parameter's size", async () => {
    const struct = new Float32Array([1, 2, 3, 4]);
    expect((await packed("k4_16", [struct])).getFloat32(12, true)).toBe(4);
    expect((await packed("k4_16", [new DataView(new ArrayBuffer(32), 8, 16)])).byteLength).toBe(16);
    expect(refusal("k4_16", [new Uint8Array(15)]).message).toContain(
      "[16] bytes as an ArrayBufferView, and [15] bytes is given",
    );
    expect(refusal("k4_16", [7]).code).toBe("BAD_KERNEL_ARGUMENTS");
  });

  it("of a type that the server does not know take bytes, and at 8 bytes bigints and buffers", async () => {
    await packed("k0_4", [Float32Array.of(2)]);
    expect((await packed("k0_8", [buffer])).getBigUint64(0, true)).toBe(BigInt(buffer.address));
    expect((await packed("k0_8", [7n])).getBigUint64(0, true)).toBe(7n);
    expect(refusal("k0_4", [2]).message).toMatch(/type that the server does not know/);
    expect(refusal("k0_8", [2]).code).toBe("BAD_KERNEL_ARGUMENTS");
  });

  it("that are wrong are an error at the call, which names kernel, argument, what is expected and what is given", () => {
    expect(refusal("mixed", []).message).toBe("The kernel [mixed] takes [9] arguments, and [0] are given.");
    expect(refusal("none", [1]).message).toBe("The kernel [none] takes [0] arguments, and [1] are given.");
    const args = [0, 0, 0, 0, 0, 0, buffer, new Uint8Array(12), 0n];
    expect(refusal("mixed", args.with(2, 0.5)).message).toBe(
      "The kernel [mixed], argument [2], is an integer of [4] bytes, [-2147483648] to [4294967295], and the number [0.5] is given.",
    );
    for (const wrong of ["1", true, null, undefined, {}, [1], () => 1, new ArrayBuffer(8)]) {
      expect(refusal("mixed", args.with(6, wrong as never)).code).toBe("BAD_KERNEL_ARGUMENTS");
    }
    expect(refusal("mixed", args.with(6, "1" as never)).message).toContain("a value of the type [string]");
    expect(refusal("mixed", args.with(6, null as never)).message).toContain("[null]");
  });

  it("refuse a buffer that is freed, and one of another lease", async () => {
    const freed = fake.gpu.alloc(16);
    const place = freed.at(4);
    freed.free();
    expect(refusal("k5_8", [freed]).code).toBe("CLOSED");
    expect(refusal("k5_8", [place]).code).toBe("CLOSED");
    const other = await openFakeGpu();
    const foreign = other.gpu.alloc(16);
    expect(refusal("k5_8", [foreign]).message).toContain("in the lease");
    await other.close();
  });

  it("leave the batch as it was when they are wrong, so that the next launch is right", async () => {
    const before = fake.executor.launches.length;
    kernel("k3_4").launch({ grid: 1, block: 1 }, [1]);
    expect(refusal("k3_4", ["x"]).code).toBe("BAD_KERNEL_ARGUMENTS");
    kernel("k3_4").launch({ grid: 1, block: 1 }, [2]);
    await waitFor("both launches arrive", () => fake.executor.launches.length === before + 2);
  });
});

describe("a launch", () => {
  it("with an option that nobody knows is refused among a kernel's first", async () => {
    const fresh = (await fake.gpu.load("// any")).kernel("none");
    const before = fake.session.calls;
    expect(() => fresh.launch({ grid: 1, block: 1, shared: 48 } as never, [])).toThrow(
      "The option [shared] of a launch is none of [grid, block, sharedBytes, stream].",
    );
    expect(fake.session.calls).toBe(before);
  });

  it("takes grid and block as a number or up to three", async () => {
    const before = fake.executor.launches.length;
    kernel("none").launch({ grid: 7, block: [8, 4], sharedBytes: 48 }, []);
    kernel("none").launch({ grid: [2 ** 31 - 1, 65_535, 65_535], block: [2, 2, 64] }, []);
    await waitFor("both launches arrive", () => fake.executor.launches.length === before + 2);
    const [first, second] = fake.executor.launches.slice(before);
    expect(first).toMatchObject({ grid: [7, 1, 1], block: [8, 4, 1], sharedBytes: 48, stream: 0 });
    expect(second).toMatchObject({ grid: [2 ** 31 - 1, 65_535, 65_535], block: [2, 2, 64] });
  });

  it.each([
    [{ grid: 0, block: 1 }],
    [{ grid: 2 ** 31, block: 1 }],
    [{ grid: [1, 65_536], block: 1 }],
    [{ grid: 1.5, block: 1 }],
    [{ grid: Number.NaN, block: 1 }],
    [{ grid: 1, block: 0 }],
    [{ grid: 1, block: 1025 }],
    [{ grid: 1, block: [1, 1, 65] }],
    [{ grid: 1, block: [32, 33] }],
    [{ grid: 1, block: 1, sharedBytes: -1 }],
    [{ grid: 1, block: 1, sharedBytes: 0.5 }],
    [{ grid: 1, block: 1, sharedBytes: 101_377 }],
  ] as const)("with %j is refused at the call", (options) => {
    const before = fake.session.calls;
    expect(() => kernel("none").launch(options as never, [])).toThrow(/kernel \[none\] is launched with/);
    expect(fake.session.calls).toBe(before);
  });
});
