/** Calls of libraries' functions as the server prepares them: what the library gets for each argument, and what of it is checked before. */
import { expect, it } from "vitest";
import { LibraryFunctions } from "../../server/device/cuda/library-functions.ts";
import type { LibraryValue, NativeLibrary } from "../../server/device/cuda/native-library.ts";
import { readLibrary } from "../../shared/library-functions.ts";
import { arg } from "../support/library.ts";

const BASE = 0x1000_0000;

/** What is called, with what, and which spans were checked. */
function stand(line: string) {
  const called: LibraryValue[][] = [];
  const checked: [address: number, byteCount: number][] = [];
  const spec = { name: "cuSome", word: "some", descriptors: {}, measures: [], lines: { some: line } };
  const native: NativeLibrary = {
    table: readLibrary(spec),
    versions: { version: 1, cudartVersion: 0, maxDeviceVersion: 0 },
    handle: 0xbeef,
    descriptorType: "uint64_t",
    notSupported: 9,
    start: () => 0,
    close: () => undefined,
    bind:
      () =>
      (...values) => {
        called.push(values as LibraryValue[]);
        return 0;
      },
    outcome: (status) => ({ status, message: "" }),
    isDevices: () => false,
    failure: () => {
      throw new Error("not asked for");
    },
    setStream: () => 0,
    extentsSet: () => undefined,
    measured: () => 1,
  };
  const functions = new LibraryFunctions(native, { arenaBase: BASE });
  const lookup = {
    descriptor: () => ({ kind: "descriptor" as const }),
    check: (address: number, byteCount: number) => void checked.push([address, byteCount]),
    claim: () => undefined,
    made: () => undefined,
  };
  const call = (...packed: readonly Uint8Array[]): LibraryValue[] => {
    const prepared = functions.prepare(0, new Uint8Array(Buffer.concat(packed)), lookup);
    expect(functions.call(prepared)).toBe(0);
    return called.at(-1)!;
  };
  return { call, checked };
}

const { i8, i32, i64, u64, longs } = arg;

it("an address behind which the function reaches nothing is checked by nobody and reaches no library", () => {
  const A = 2n ** 63n + 8n;
  // One that must be there is one of the slice in its place.
  for (const [kind, nothing] of [
    ["pointer", BigInt(BASE)],
    ["pointer?", 0n],
  ] as const) {
    const { call, checked } = stand(`handle, i32 job, i32 n, ${kind} A of (job==86)*n*n f64`);
    expect(call(i32(86), i32(3), u64(A))).toEqual([0xbeef, 86, 3, A]);
    expect(checked).toEqual([[Number(A), 72]]);
    expect(call(i32(78), i32(3), u64(A))).toEqual([0xbeef, 78, 3, nothing]);
    expect(call(i32(86), i32(0), u64(A))).toEqual([0xbeef, 86, 0, nothing]);
    expect(checked).toHaveLength(1);
  }
});

it("a size is worked out without overflow, and by the type that the call says", () => {
  const { call, checked } = stand("handle, dataType t, i64 n, i64 lda, pointer A of lda*(n-1)+1 t");
  const largest = 2n ** 63n - 1n;
  call(i32(5), i64(largest), i64(largest), u64(BASE));
  expect(checked.at(-1)![1]).toBeGreaterThan(2 ** 126);
  for (const [type, bytes] of [
    [0, 4],
    [1, 8],
    [2, 2],
    [4, 8],
    [5, 16],
    [14, 2],
    [15, 4],
  ] as const) {
    call(i32(type), i64(3), i64(10), u64(BASE));
    expect(checked.at(-1), `${type}`).toEqual([BASE, 21 * bytes]);
  }
  for (const type of [-1, 16, 77]) {
    expect(() => call(i32(type), i64(3), i64(10), u64(BASE)), `${type}`).toThrow("is not known");
  }
  // What cannot be told apart from nothing by its sign is refused by the library itself.
  expect(call(i32(0), i64(-4), i64(4), u64(2n ** 63n)).at(-1)).toBe(BigInt(BASE));
});

it("what the function does not look at is an address of the slice, and what is absent is absent", () => {
  const { call, checked } = stand(
    "handle, unread A, i8 job, i32 rank, longs? embed of rank, pointer? B of 4, out u64 size",
  );
  expect(call(i8(-3), i32(2), u64(1), longs(5, -6), u64(0)).slice(0, 4)).toEqual([0xbeef, BASE, -3, 2]);
  const [, , , , embed, B] = call(i8(1), i32(2), u64(1), longs(5, -6), u64(64));
  expect([...new BigInt64Array((embed as Uint8Array).buffer)]).toEqual([5n, -6n]);
  expect([B, checked]).toEqual([64n, [[64, 4]]]);
  expect(call(i8(1), i32(2), u64(0), u64(0))[4]).toBe(null);
  expect(() => call(i8(1), i32(-2), u64(1), u64(0))).toThrow("[-2] elements");
  expect(() => call(i8(1), i32(2 ** 30), u64(1), u64(0))).toThrow("elements");
  expect(() => call(i8(1), i32(3), u64(1), longs(5, 6))).toThrow("too short");
  expect(() => call(i8(1), i32(2), u64(0), longs(5, 6), u64(0))).toThrow("too long");
});
