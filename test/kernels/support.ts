/** Words that every kernel case uses: fixtures, buffers, seeded numbers, and comparisons that say where they fail. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { packageFolder } from "../../client/package-folder.ts";
import { type ErrorCode, SluiceError } from "../../shared/errors.ts";
import type { KernelBuffer, KernelMachine, KernelProgram } from "./machine.ts";

export const i8 = (value: number): Int8Array => Int8Array.of(value);
export const u8 = (value: number): Uint8Array => Uint8Array.of(value);
export const i16 = (value: number): Int16Array => Int16Array.of(value);
export const u16 = (value: number): Uint16Array => Uint16Array.of(value);
export const i32 = (value: number): Int32Array => Int32Array.of(value);
export const f32 = (value: number): Float32Array => Float32Array.of(value);
export const f64 = (value: number): Float64Array => Float64Array.of(value);
export const i64 = (value: bigint): BigInt64Array => BigInt64Array.of(value);
export const u64 = (value: bigint): BigUint64Array => BigUint64Array.of(value);

/** The PTX of a fixture by its name without the ending. From the sources as well as from the build. */
export const fixture = (name: string): Uint8Array =>
  readFileSync(join(packageFolder, "test", "kernels", "ptx", `${name}.ptx`));

export const loadFixture = (machine: KernelMachine, name: string): Promise<KernelProgram> =>
  machine.load(fixture(name));

/** A buffer that holds the data. */
export async function upload(machine: KernelMachine, data: ArrayBufferView): Promise<KernelBuffer> {
  const buffer = await machine.alloc(data.byteLength);
  await machine.write(buffer, data);
  return buffer;
}

/** A buffer filled with 0xa5, so that what a kernel does not write shows. */
export const scratch = (machine: KernelMachine, byteCount: number): Promise<KernelBuffer> =>
  upload(machine, new Uint8Array(byteCount).fill(0xa5));

/** Reads into `into` and returns it. */
export async function download<T extends ArrayBufferView>(
  machine: KernelMachine,
  buffer: KernelBuffer,
  into: T,
): Promise<T> {
  await machine.read(buffer, into);
  return into;
}

/** Number of blocks that cover `n` elements. */
export const blocksFor = (n: number, block: number): number => Math.ceil(n / block);

/** A small seeded generator (xorshift32): the same numbers on every machine. */
export function seeded(seed: number): { u32(): number; unit(): number; int(bound: number): number } {
  let state = (seed ^ 0x9e3779b9) | 1;
  const next = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  return { u32: next, unit: () => next() / 2 ** 32, int: (bound) => next() % bound };
}

export const floats = (length: number, make: (index: number) => number): Float32Array =>
  Float32Array.from({ length }, (_, index) => make(index));

interface NumbersLike {
  readonly length: number;
  readonly [index: number]: number | bigint;
}

/** Every element equal, integers or bits; names the first that is not. */
export function equalAll(actual: NumbersLike, expected: NumbersLike, label: string): void {
  assert.equal(actual.length, expected.length, `${label}: length`);
  for (let i = 0; i < actual.length; i++)
    if (actual[i] !== expected[i] && !(Number.isNaN(actual[i]) && Number.isNaN(expected[i])))
      assert.fail(`${label}: element ${i} is ${actual[i]}, expected ${expected[i]}`);
}

/** A stated error: absolute plus relative to the expected value. NaN and infinities must agree exactly. */
export interface Tolerance {
  readonly absolute?: number;
  readonly relative?: number;
}

export function isClose(actual: number, expected: number, { absolute = 0, relative = 0 }: Tolerance): boolean {
  if (Number.isNaN(expected)) return Number.isNaN(actual);
  if (actual === expected) return true;
  if (!Number.isFinite(actual) || !Number.isFinite(expected)) return false;
  return Math.abs(actual - expected) <= absolute + relative * Math.abs(expected);
}

export function closeAll(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { label, ...tolerance }: Tolerance & { label: string },
): void {
  assert.equal(actual.length, expected.length, `${label}: length`);
  for (let i = 0; i < actual.length; i++)
    if (!isClose(actual[i]!, expected[i]!, tolerance))
      assert.fail(`${label}: element ${i} is ${actual[i]}, expected ${expected[i]}`);
}

/** The work must fail with this code, now or at the synchronisation behind it; a failed machine stays failed. */
export async function expectFailure(
  machine: KernelMachine,
  { code, work }: { code: ErrorCode; work: () => Promise<void> },
): Promise<SluiceError> {
  let failure: unknown;
  try {
    await work();
    await machine.synchronize();
  } catch (error) {
    failure = error;
  }
  assert.ok(failure instanceof SluiceError, `expected ${code}, got ${failure === undefined ? "no error" : failure}`);
  // Which exception an address far outside of everything raises is the hardware's affair; that it ends the slice is not.
  const codes = machine.isHardware && code === "ILLEGAL_ADDRESS" ? [code, "KERNEL_TRAP"] : [code];
  assert.ok(codes.includes(failure.code), `expected ${codes}, got ${failure.code}: ${failure.message}`);
  const { code: found } = failure;
  await assert.rejects(
    async () => machine.synchronize(),
    (later) => later instanceof SluiceError && later.code === found,
    "a failed kernel must poison the slice",
  );
  return failure;
}
