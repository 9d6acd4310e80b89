/** What a library is given of a call; and work areas in the server's memory, kept until their streams have done all their work, and never without end. */
import { expect, test } from "vitest";
import type { CudaContext } from "../../server/device/cuda/context.ts";
import { HOST_WORK_BYTES_MAX, HostWork } from "../../server/device/cuda/host-work.ts";
import { LibraryFunctions } from "../../server/device/cuda/library-functions.ts";
import type { NativeLibrary } from "../../server/device/cuda/native-library.ts";
import { CudaStream } from "../../server/device/cuda/stream.ts";
import type { LibraryLookup } from "../../server/device/libraries.ts";
import { solver } from "../../shared/solver-functions.ts";
import { arg, numberIn } from "../support/library.ts";

/** A library that asks for so much, and does nothing. */
const asking = (device: bigint, host: bigint): NativeLibrary =>
  ({
    table: solver,
    handle: 1,
    descriptorType: "uint64_t",
    extentsSet: () => undefined,
    bind:
      () =>
      (...values: readonly unknown[]) => {
        const [first, second] = values.filter((value) => value instanceof BigInt64Array);
        if (first !== undefined) first[0] = device;
        if (second !== undefined) second[0] = host;
        return 0;
      },
  }) as unknown as NativeLibrary;

test.each([
  ["as much as is asked for where a program says less", 10n, 100],
  ["as much as a program says where that is a little more", 5000n, 5000],
])("a work area on the host has %s", (_, said, byteCount) => {
  const checked: number[] = [];
  const lookup = { check: (_address: number, bytes: number) => void checked.push(bytes) } as unknown as LibraryLookup;
  const words = [0, 4, 4, 1, 4096, 4, 8192, 1, 12288, 7];
  const packed = [...words.map((word) => arg.u64(word)), arg.u64(said), arg.u64(16384)];
  const functions = new LibraryFunctions(asking(300n, 100n), { arenaBase: 4096 });
  const prepared = functions.prepare(
    numberIn(solver, "cusolverDnXgetrf"),
    new Uint8Array(Buffer.concat(packed)),
    lookup,
  );
  expect(prepared.hostWork.map(({ byteLength }) => byteLength)).toEqual([byteCount]);
  // The matrix, the pivots, the work area on the device, and the result.
  expect(checked).toEqual([128, 32, 300, 4]);
});

test("what a job does not use never reaches the library, nor does an address where there is nothing", () => {
  const lookup = { check: () => undefined } as unknown as LibraryLookup;
  const given = (name: string, words: readonly number[]): unknown[] => {
    const packed = new Uint8Array(Buffer.concat(words.map((word) => arg.u64(word))));
    const { called, values } = new LibraryFunctions(asking(0n, 0n), { arenaBase: 4096 }).prepare(
      numberIn(solver, name),
      packed,
      lookup,
    );
    return called.arguments.flatMap(({ kind }, index) => (kind === "pointer" ? [values[index]] : []));
  };
  const vectors = [16, 1, 32, 1];
  const others = [48, 5, 64, 80];
  // Vectors that are not wanted, and those that are; A, S, U, V^H, work areas, result.
  expect(given("cusolverDnSgesvd", [78, 78, 4, 3, 96, 4, 112, ...vectors, ...others])).toEqual([
    96n,
    112n,
    0n,
    0n,
    48n,
    64n,
    80n,
  ]);
  expect(given("cusolverDnSgesvd", [65, 83, 4, 3, 96, 4, 112, ...vectors, ...others])).toEqual([
    96n,
    112n,
    16n,
    32n,
    48n,
    64n,
    80n,
  ]);
  // Nothing to factor: an address all the same, where a program must give one.
  expect(given("cusolverDnSgetrs", [0, 0, 2, 96, 1, 112, 128, 1, 144])).toEqual([4096n, 0n, 4096n, 144n]);
});

const NOT_READY = 600;

/** Streams that are busy, by their handles. */
function standing(): { context: CudaContext; busy: Set<number> } {
  const busy = new Set<number>();
  const api = { cuStreamQuery: (stream: number) => (busy.has(stream) ? NOT_READY : 0) };
  return { context: { api } as unknown as CudaContext, busy };
}

/** Of so many bytes, without having them. */
const areaOf = (byteLength: number): Uint8Array => ({ byteLength }) as Uint8Array;

test("an area is kept as long as its stream is busy, and goes with the next one or with the stream", () => {
  const { context, busy } = standing();
  const work = new HostWork(context);
  const [one, two] = [new CudaStream(1), new CudaStream(2)];
  const use = (stream: CudaStream, ...sizes: readonly number[]): void => {
    const areas = sizes.map(areaOf);
    work.makeRoom(areas);
    work.keep(stream, areas);
  };
  busy.add(1).add(2);
  use(one, 100);
  use(two, 30, 3);
  expect(work.byteCount).toBe(133);
  busy.delete(1);
  use(two, 7);
  expect(work.byteCount).toBe(40);
  work.forget(two);
  expect(work.byteCount).toBe(0);
});

test("work that is not done cannot have them without end", () => {
  const { context, busy } = standing();
  const work = new HostWork(context);
  const stream = new CudaStream(9);
  busy.add(9);
  work.makeRoom([areaOf(HOST_WORK_BYTES_MAX - 1)]);
  work.keep(stream, [areaOf(HOST_WORK_BYTES_MAX - 1)]);
  work.makeRoom([areaOf(1)]);
  expect(() => work.makeRoom([areaOf(2)])).toThrow(expect.objectContaining({ code: "OUT_OF_MEMORY" }));
  busy.delete(9);
  work.makeRoom([areaOf(HOST_WORK_BYTES_MAX)]);
  expect(work.byteCount).toBe(0);
});
